"""Files that are cut off, empty or no images are told from whole ones without decoding them."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from longtail.data.whole import TAIL, require_whole
from longtail.errors import LongtailError

PIXELS = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)


def saved(kind, pixels=PIXELS, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def with_thumbnail(content):
    """The JPEG with another one, whole, in its EXIF segment."""
    thumbnail = saved("JPEG", PIXELS[:8, :8])
    segment = b"Exif\x00\x00" + thumbnail
    return content[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + content[2:]


JPEGS = {
    "plain": saved("JPEG"),
    "progressive": saved("JPEG", progressive=True),
    "restarts": saved("JPEG", restart_marker_rows=1),
    "grey": saved("JPEG", PIXELS[..., 0]),
    "thumbnail": with_thumbnail(saved("JPEG")),
    "filled": saved("JPEG")[:2] + b"\xff\xff" + saved("JPEG")[2:],
}
OTHERS = {kind: saved(kind) for kind in ("PNG", "BMP", "TIFF", "WEBP", "PPM")}


def put(folder, content, name="a.JPEG"):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", [*JPEGS, *OTHERS])
def test_whole_images_pass_whatever_they_are_called(tmp_path, kind):
    """ImageNet's n02105855_2933.JPEG is a PNG."""
    path = put(tmp_path, {**JPEGS, **OTHERS}[kind])
    Image.open(path).load()
    require_whole(path)


@pytest.mark.parametrize("behind", [b"\x00", b"\r\n", b"SEFT" * 20, b"\x00" * (TAIL - 2), b"\x00" * 3 * TAIL])
@pytest.mark.parametrize("kind", JPEGS)
def test_bytes_behind_the_end_of_a_jpeg_do_not_matter(tmp_path, kind, behind):
    require_whole(put(tmp_path, JPEGS[kind] + behind))


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_is_cut_off_anywhere_is_named(tmp_path, kind, share):
    """Also where a whole thumbnail is left."""
    content = JPEGS[kind]
    path = put(tmp_path, content[: int(share * len(content))])
    with pytest.raises(LongtailError, match=rf"^The image {path} is cut off: its JPEG has no end \(FFD9\)\. Get it"):
        require_whole(path)


def test_a_png_that_is_cut_off_is_named(tmp_path):
    with pytest.raises(LongtailError, match=r"is cut off: its PNG has no end \(IEND\)"):
        require_whole(put(tmp_path, OTHERS["PNG"][:-8]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file"),
        (b"<html>404 Not Found</html>", r"is no image: it begins with b'<html>40', and no JPEG does \(FFD8\)"),
        (b"\x00" * 5000, "is no image"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is no image: it begins with b'version '"),
        (b"\xff\xd8", "is cut off"),
        (b"\xff\xd8" + b"\x00" * 500 + b"\xff\xd9", "is cut off"),
    ],
)
def test_what_is_no_image_is_named_as_it_is_called(tmp_path, content, message):
    path = put(tmp_path, content)
    with pytest.raises(LongtailError, match=f"^The image list.txt, line 3 {message}"):
        require_whole(path, "list.txt, line 3")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(LongtailError, match=r"a\.JPEG does not exist"):
        require_whole(tmp_path / "a.JPEG")
    with pytest.raises(LongtailError, match="cannot be read: Is a directory"):
        require_whole(tmp_path)
    with pytest.raises(LongtailError, match="cannot be read: embedded null byte"):
        require_whole(tmp_path / "a\0b")
    (tmp_path / "link.JPEG").symlink_to("nowhere.JPEG")
    with pytest.raises(LongtailError, match=r"does not exist \(.*link\.JPEG is a link to nowhere\.JPEG\)"):
        require_whole(tmp_path / "link.JPEG")
