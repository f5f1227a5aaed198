"""Sources, images and specifications that are almost right are read rightly or end in one clear error."""

from __future__ import annotations

import io
import json
import os
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.data.decode import decode
from longtail.data.sources import ImageSet, Sample, samples
from longtail.data.split import SplitSpec, make_split
from longtail.data.store import write_store
from longtail.errors import LongtailError
from longtail.splits import SPLITS

from ..mutations import mutated

SPEC = {
    "images": "tiny",
    "source": {"kind": "parquet", "name": "mine", "root": "here", "files": {"train": ["a.parquet"]}, "image": "image"},
    "classes": 2,
    "image_size": 4,
    "channels": 3,
    "parts": {"train": 3},
}


def png(shade: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def parquet(path: Path, images: pa.Array, labels: pa.Array, names: tuple[str, str] = ("image", "label")) -> Path:
    pq.write_table(pa.Table.from_arrays([images, labels], names=list(names)), path)
    return path


def encoded(*pictures: bytes | None) -> pa.Array:
    return pa.array([{"bytes": data, "path": None} for data in pictures])


def stored(spec, folder: Path) -> str:
    """What comes of storing the images of a specification, as ``python -m longtail job store`` does."""
    try:
        text = json.dumps(spec, default=str, skipkeys=True)
        write_store(ImageSet.from_json(text), "train", folder / "out" / "images.npy", folder / "out" / "labels.parquet")
    except LongtailError as error:
        return str(error)
    return "stored"


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with three images: in a Parquet file, in class folders, and in a list."""
    folder = tmp_path_factory.mktemp("here")
    parquet(folder / "a.parquet", encoded(png(0), png(1), png(2)), pa.array([0, 1, 1]))
    for name, shade in (("a/1.png", 0), ("b/1.png", 1), ("b/2.png", 2)):
        (folder / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "train" / name).write_bytes(png(shade))
    (folder / "list.txt").write_text("train/a/1.png 0\ntrain/b/1.png 1\ntrain/b/2.png 1\n")
    return folder


SOURCES = [
    {"kind": "parquet", "name": "mine", "files": {"train": ["a.parquet"]}, "image": "image", "label": "label"},
    {"kind": "imagefolder", "name": "mine", "folders": {"train": "train"}, "resize": 4, "crop": 4},
    {"kind": "imagefolder", "name": "mine", "lists": {"train": "list.txt"}, "obtain": "Ask."},
    {"kind": "sklearn", "name": "mine", "dataset": "digits"},
]


@pytest.mark.parametrize("source", SOURCES)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_specification_of_images_that_is_almost_right(here, source, data):
    spec = data.draw(mutated({**SPEC, "source": {**source, "root": str(here)}}))
    before = sorted(here.rglob("*"))
    assert stored(spec, here)
    for name in ("images.npy", "labels.parquet"):
        (here / "out" / name).unlink(missing_ok=True)
    if (here / "out").exists():
        (here / "out").rmdir()
    assert sorted(here.rglob("*")) == before


def test_the_specifications_are_right_before_they_are_changed(here):
    for source in SOURCES[:3]:
        assert stored({**SPEC, "source": {**source, "root": str(here)}}, here / "right") == "stored"


SPLIT = {
    "dataset": "tiny",
    "ratio": 2,
    "construction": "longtail",
    "pool": ["train"],
    "test": ["test"],
    "head_class_rows": 4,
    "classes": 2,
    "shots": [1, 0, 1],
}


HELD_OUT = {**SPLIT, "test": None, "held_out": 1, "head_class_rows": 3}


@settings(max_examples=200)
@given(
    spec=mutated(SPLIT) | mutated({**SPLIT, "val": ["val"]}) | mutated(HELD_OUT),
    labels=st.lists(st.integers(-1, 3) | st.sampled_from([-(2**63), 2**63 - 1]), max_size=12),
    split=st.sampled_from(SPLITS),
)
def test_a_specification_of_a_split_that_is_almost_right(spec, labels, split):
    outcome = "refused"
    try:
        parsed = SplitSpec.from_json(json.dumps(spec, default=str, skipkeys=True))
        arrays = {
            part: np.array(values, np.int64)
            for part, values in (("train", [0, 1] * 5), ("test", labels), ("val", labels))
        }
        table = make_split(parsed, split, arrays)
        outcome = table.column_names[0]
    except LongtailError as error:
        assert str(error)  # noqa: PT017 - either outcome is fine, anything else is a crash
    assert outcome in ("refused", "row")


# --- Parquet ----------------------------------------------------------------------------------------------------------

IMAGES = [
    encoded(png(), png(), png()),
    encoded(png(), None, png()),
    encoded(b"", png(), png()),
    pa.array([None, None, None], pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    pa.array([{"bytes": png(), "path": 3}] * 3),
    pa.array([{"bytes": png()}] * 3),
    pa.array([{"bytes": png()}] * 3, pa.struct([("bytes", pa.large_binary())])),
    pa.array([{"bytes": png()}] * 3, pa.struct([("bytes", pa.binary_view())])),
    pa.array([{"bytes": "text"}] * 3),
    pa.array([{"bytes": 7}] * 3),
    pa.array([{"bytes": [1, 2]}] * 3),
    pa.array([{"bytes": {"bytes": png()}}] * 3),
    pa.array([{"path": "a.png"}] * 3),
    pa.array([png()] * 3),
    pa.array([[png()]] * 3),
    pa.array([None] * 3, pa.null()),
    pa.array(["a.png"] * 3).dictionary_encode(),
]
LABELS = [
    *(pa.array([0, 1, 1], kind) for kind in (pa.int8(), pa.uint8(), pa.int64(), pa.uint64())),
    pa.array([0, 1, 2**64 - 1], pa.uint64()),
    pa.array([0, 1, -(2**63)], pa.int64()),
    pa.array([0, None, 1]),
    pa.array([None] * 3, pa.null()),
    pa.array([0.0, 1.0, 1.0]),
    pa.array([0, 1, 1], pa.decimal128(3)),
    pa.array([True, False, True]),
    pa.array(["a", "b", "b"]),
    pa.array([0, 1, 1]).dictionary_encode(),
    pa.array([[0], [1], [1]]),
    pa.array([0, 1, 1], pa.timestamp("s")),
    pa.array([b"0", b"1", b"1"]),
]


@pytest.mark.parametrize("labels", LABELS, ids=lambda array: str(array.type))
@pytest.mark.parametrize("images", IMAGES, ids=lambda array: str(array.type)[:30])
def test_columns_of_any_type_are_read_or_named(tmp_path, images, labels):
    path = parquet(tmp_path / "x.parquet", images, labels)
    outcome = stored({**SPEC, "source": {"kind": "parquet", "files": {"train": str(path)}}}, tmp_path)
    assert outcome == "stored" or "x.parquet" in outcome


@pytest.mark.parametrize("names", [("image", "image"), ("label", "label"), ("image", ""), ("bytes", "label")])
def test_columns_of_any_name_are_read_or_named(tmp_path, names):
    path = parquet(tmp_path / "x.parquet", encoded(png()), pa.array([0]), names)
    assert "x.parquet" in stored({**SPEC, "source": {"kind": "parquet", "files": {"train": str(path)}}}, tmp_path)


def test_a_column_that_stands_twice_is_named(tmp_path):
    path = tmp_path / "x.parquet"
    columns = [encoded(png()), pa.array([0]), pa.array([1])]
    pq.write_table(pa.Table.from_arrays(columns, names=["image", "label", "label"]), path)
    assert "x.parquet" in stored({**SPEC, "source": {"kind": "parquet", "files": {"train": str(path)}}}, tmp_path)


def test_no_rows_are_too_few(tmp_path):
    path = parquet(tmp_path / "x.parquet", encoded(png()).slice(0, 0), pa.array([0]).slice(0, 0))
    message = stored({**SPEC, "source": {"kind": "parquet", "files": {"train": str(path)}}}, tmp_path)
    assert "has only 0 images" in message
    assert not list((tmp_path / "out").iterdir())


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_parquet_file_is_read_or_named(here, tmp_path, data):
    whole = (here / "a.parquet").read_bytes()
    if data.draw(st.booleans()):
        damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    else:
        damaged = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "x.parquet").write_bytes(damaged)
    outcome = stored(
        {**SPEC, "source": {"kind": "parquet", "root": str(tmp_path), "files": {"train": "x.parquet"}}}, tmp_path
    )
    assert outcome == "stored" or "x.parquet" in outcome or "tiny has" in outcome


# --- Folders and lists ------------------------------------------------------------------------------------------------


def folder_source(folder: Path, **changes) -> dict:
    return {**SPEC, "source": {"kind": "imagefolder", "root": str(folder), "folders": {"train": "train"}, **changes}}


@pytest.fixture
def folders(tmp_path):
    """Class folders with the three images of ``SPEC``."""
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        (tmp_path / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "train" / name).write_bytes(png())
    return tmp_path


def test_links_to_images_and_classes_are_followed(folders):
    (folders / "elsewhere").mkdir()
    (folders / "train" / "b").rename(folders / "elsewhere" / "b")
    (folders / "train" / "b").symlink_to(folders / "elsewhere" / "b")
    (folders / "elsewhere" / "1.png").write_bytes(png())
    (folders / "train" / "a" / "1.png").unlink()
    (folders / "train" / "a" / "1.png").symlink_to(folders / "elsewhere" / "1.png")
    assert stored(folder_source(folders), folders) == "stored"


@pytest.mark.parametrize("links", [1, 3])
def test_links_that_lead_in_a_circle_are_named(folders, links):
    for number in range(links):
        (folders / "train" / "a" / f"again{number}").symlink_to(folders / "train")
    message = stored(folder_source(folders), folders)
    assert "train/a/again" in message
    assert "circle" in message


def test_a_link_to_nothing_is_named(folders):
    (folders / "train" / "a" / "1.png").unlink()
    (folders / "train" / "a" / "1.png").symlink_to(folders / "gone.png")
    assert "a/1.png does not exist" in stored(folder_source(folders), folders)


@pytest.mark.parametrize(
    ("name", "message"),
    [("x" * 300, "cannot be read: File name too long"), ("loop", "cannot be read: Too many .* is a link to loop"),
     ("broken", r"does not exist \(.*broken is a link to nothing\)"), ("folder", "cannot be decoded: it is no file")],
)  # fmt: skip
def test_a_file_that_cannot_be_opened_is_not_called_truncated(tmp_path, name, message):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "broken").symlink_to("nothing")
    (tmp_path / "folder").mkdir()
    with pytest.raises(LongtailError, match=f"The image 7 {message}"):
        decode(Sample("7", tmp_path / name, 0), ImageSet(**{**SPEC, "source": {}}))


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize("source", [{}, {"lists": {"train": "list.txt"}}])
def test_what_is_no_file_is_not_waited_for(folders, make, source):
    (folders / "list.txt").write_text("train/a/1.png 0\ntrain/b/1.png 1\ntrain/b/2.png 1\n")
    (folders / "train" / "a" / "1.png").unlink()
    make(folders / "train" / "a" / "1.png")
    message = stored(folder_source(folders, **source), folders)
    assert "a/1.png" in message or "no image in the class folders a of" in message


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
@pytest.mark.parametrize(
    "source", [{"kind": "imagefolder", "lists": {"train": "x"}}, {"kind": "parquet", "files": {"train": "x"}}]
)
def test_a_list_or_table_that_is_no_file_is_not_waited_for(tmp_path, make, source):
    make(tmp_path / "x")
    assert f"{tmp_path / 'x'} " in stored({**SPEC, "source": {"root": str(tmp_path), **source}}, tmp_path)


def test_files_that_are_no_images_are_passed_over_or_named(folders):
    (folders / "train" / "notes.txt").write_text("not a class")
    (folders / "train" / "a" / "notes.txt").write_text("not an image")
    assert stored(folder_source(folders), folders) == "stored"
    (folders / "train" / "a" / "1.png").write_text("not an image")
    assert "a/1.png cannot be decoded" in stored(folder_source(folders), folders)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_list_is_read_or_named(here, tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    outcome = stored(folder_source(tmp_path, lists={"train": "list.txt"}), tmp_path)
    assert "list.txt" in outcome or "has only 0 images" in outcome


@pytest.mark.parametrize("line", ["a.png 9" + "9" * 5000, "a\x00.png 0", "/etc/hostname 0", ". 0", " 0", "a.png １"])
def test_lines_that_name_no_image_are_named(tmp_path, line):
    (tmp_path / "list.txt").write_text(line)
    assert "list.txt" in stored(folder_source(tmp_path, lists={"train": "list.txt"}), tmp_path)


# --- Images -----------------------------------------------------------------------------------------------------------


def decoded(data: bytes, **changes) -> np.ndarray:
    return decode(Sample("image 7", data, 0), ImageSet(**{**SPEC, "source": {}, **changes}))


def saved(*images: Image.Image, kind: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    more = {"save_all": True, "append_images": list(images[1:])} if len(images) > 1 else {}
    images[0].save(file, kind, **more, **options)
    return file.getvalue()


RED, BLUE = (Image.new("RGB", (4, 4), shade) for shade in ((255, 0, 0), (0, 0, 255)))


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_the_first_picture_of_an_animation_is_taken(kind):
    pixels = decoded(saved(RED, BLUE, RED, kind=kind, **({"lossless": True} if kind == "WEBP" else {})))
    assert pixels.shape == (4, 4, 3)
    assert (pixels == [255, 0, 0]).all()


def test_a_cmyk_jpeg_becomes_rgb():
    pixels = decoded(saved(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), kind="JPEG", quality=100))
    assert np.abs(pixels.astype(int) - [255, 0, 0]).max() < 4


def test_palettes_with_transparency_become_rgb():
    image = RED.quantize(4)
    image.info["transparency"] = b"\x00"
    assert (decoded(saved(image, transparency=b"\x00")) == [255, 0, 0]).all()


MODES = {
    "PNG": ["1", "I;16", "L", "LA", "P", "RGBA"],
    "TIFF": ["1", "CMYK", "F", "I", "I;16", "I;16B", "LA", "LAB", "P", "RGBA", "YCbCr"],
    "JPEG": ["1", "CMYK", "L", "YCbCr"],
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in MODES.items() for mode in modes])
def test_every_mode_that_a_file_can_have_is_decoded_or_named(mode, kind, channels):
    outcome = "image 7"
    try:
        assert decoded(saved(Image.new(mode, (4, 4)), kind=kind), channels=channels).shape == (4, 4, channels)
    except LongtailError as error:
        outcome = str(error)
    assert "image 7" in outcome


def test_grey_values_of_sixteen_bits_are_scaled_and_floats_are_named():
    values = np.array([[0, 1, 2, 3]] * 4, np.float32)
    with pytest.raises(LongtailError, match="floating-point"):
        decoded(saved(Image.fromarray(values * 1000), kind="TIFF"))
    assert (decoded(saved(Image.fromarray(np.full((4, 4), 65535, np.uint16)), kind="TIFF")) == 255).all()


@pytest.mark.parametrize("size", [(0, 4), (4, 0), (0, 0)])
def test_a_picture_of_no_size_is_named(size):
    gif = b"GIF89a" + struct.pack("<HH", *size) + b"\x00\x00\x00\x2c\x00\x00\x00\x00" + struct.pack("<HH", *size)
    bitmap = (
        b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, *size, 1, 24, 0, 0, 0, 0, 0, 0)
    )
    header = b"IHDR" + struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    picture = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + b"\x00" * 4
    for data in (gif + b"\x00\x02\x00\x3b", bitmap, picture, b""):
        with pytest.raises(LongtailError, match="image 7"):
            decoded(data)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150)
@given(data=st.data())
def test_a_damaged_animation_or_cmyk_image_is_decoded_or_named(data):
    kind = data.draw(st.sampled_from(["GIF", "PNG", "WEBP", "TIFF", "JPEG"]))
    if kind == "JPEG":
        broken = bytearray(saved(Image.new("CMYK", (4, 4)), kind=kind))
    else:
        broken = bytearray(saved(RED, BLUE, kind=kind))
    for _ in range(data.draw(st.integers(0, 3))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    del broken[data.draw(st.integers(0, len(broken))) :]
    outcome = "image 7"
    try:
        assert decoded(bytes(broken)).shape == (4, 4, 3)
    except LongtailError as error:
        outcome = str(error)
    assert "image 7" in outcome


def test_a_text_that_unpacks_into_much_more_is_not_decoded():
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    whole = png()
    bomb = chunk(b"zTXt", b"Comment\x00\x00" + zlib.compress(b"x" * 10**8))
    with pytest.raises(LongtailError, match=r"image 7 cannot be decoded \(.*\)\. .* save it anew as PNG"):
        decoded(whole[:33] + bomb + whole[33:])


def test_samples_are_checked_one_by_one(here):
    spec = ImageSet(**{**SPEC, "source": {"kind": "parquet", "files": {"train": str(here / "a.parquet")}}})
    assert [sample.label for sample in samples(spec, "train")] == [0, 1, 1]
