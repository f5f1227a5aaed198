"""Images whose values have more or fewer bits than their files can hold are never black without a word."""

from __future__ import annotations

import io
import json
import struct
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from longtail.data.decode import decode
from longtail.data.rows import Sample
from longtail.data.sources import ImageSet
from longtail.data.store import write_store
from longtail.errors import LongtailError


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png16(values, extra=b""):
    """A PNG of 16 bits a channel; Pillow can write none of several channels."""
    values = np.asarray(values, ">u2")
    colour = 0 if values.ndim == 2 else {2: 4, 3: 2, 4: 6}[values.shape[2]]
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in values))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def saved(values, kind, dtype):
    file = io.BytesIO()
    Image.fromarray(np.asarray(values, dtype)).save(file, kind)
    return file.getvalue()


FILES = {
    "PNG": png16,
    "TIFF": lambda values: saved(values, "TIFF", np.uint16),
    "TIFF of 32 bits": lambda values: saved(values, "TIFF", np.int32),
    "PNG with sBIT": lambda values: png16(values, chunk(b"sBIT", b"\x0c")),
}


def stored(folder, image_set, images, **source):
    """The pixels of images as ``store`` writes them, (N, 4, 4)."""
    for row, data in enumerate(images):
        (folder / f"{row}.png").write_bytes(data)
    (folder / "list.txt").write_text("".join(f"{row}.png 0\n" for row in range(len(images))))
    given = {"kind": "imagefolder", "root": str(folder), "lists": {"train": "list.txt"}, **source}
    spec = image_set(given, channels=1, parts={"train": len(images)})
    write_store(spec, "train", folder / "x.npy", folder / "x.parquet")
    return np.load(folder / "x.npy")[..., 0]


def grey(greatest, seed=0):
    values = np.random.default_rng(seed).integers(0, greatest + 1, (4, 4))
    values[0, 0] = greatest
    return values


@pytest.mark.parametrize("bits", [1, 4, 8, 10, 12, 14, 15])
@pytest.mark.parametrize("kind", FILES)
def test_images_that_do_not_fill_their_type_ask_for_their_bits(tmp_path, image_set, kind, bits):
    white = 2**bits - 1
    images = [FILES[kind](grey(white // 2, 1)), FILES[kind](grey(white, 2))]
    with pytest.raises(LongtailError, match=rf"`bits: {bits}`, so that {white:,} becomes white; or `bits: 16`"):
        stored(tmp_path, image_set, images)
    assert not (tmp_path / "x.npy").exists()
    pixels = stored(tmp_path, image_set, images, bits=bits)
    assert (pixels[1] == np.rint(grey(white, 2) * 255 / white)).all()
    assert pixels[0, 0, 0] == round(white // 2 * 255 / white)  # the darker one is not brightened by itself
    assert (stored(tmp_path, image_set, images, bits=16)[1] == np.rint(grey(white, 2) / 257)).all()


@pytest.mark.parametrize("kind", FILES)
def test_a_dark_image_beside_bright_ones_stays_dark(tmp_path, image_set, kind, capsys):
    pixels = stored(tmp_path, image_set, [FILES[kind](grey(200)), FILES[kind](grey(60000))])
    assert (pixels.max((1, 2)) == [1, 233]).all()
    assert capsys.readouterr().err == ""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bits=st.integers(1, 16), seed=st.integers(0, 99))
def test_scaling_is_linear_and_rounds(image_set, bits, seed):
    white = 2**bits - 1
    values = grey(white, seed)
    pixels = decode(Sample("image 7", png16(values), 0), image_set({"bits": bits}, channels=1))[..., 0]
    assert np.abs(pixels - values * 255 / white).max() <= 0.5


def test_values_beyond_the_bits_are_named(tmp_path, image_set):
    with pytest.raises(LongtailError, match=r"0\.png\) cannot be decoded: .*\.\.5000 do not fit 12 bits; .*`bits`"):
        stored(tmp_path, image_set, [png16(grey(5000))], bits=12)
    with pytest.raises(LongtailError, match="do not fit 16 bits"):
        stored(tmp_path, image_set, [saved(grey(2**20), "TIFF", np.int32)])
    assert stored(tmp_path, image_set, [saved(grey(2**20), "TIFF", np.int32)], bits=21).max() == 128
    with pytest.raises(LongtailError, match=r"-1\.\.9 do not fit"):
        stored(tmp_path, image_set, [saved(grey(10) - 1, "TIFF", np.int32)])
    with pytest.raises(LongtailError, match="floating-point"):
        stored(tmp_path, image_set, [saved(grey(10), "TIFF", np.float32)], bits=8)


def tiff16(values: np.ndarray, white_is_zero: bool, order: str) -> bytes:
    """A grey TIFF file of 16 bits, which Pillow writes with white as the greatest value only."""
    data = values.astype(f"{order}u2").tobytes()
    height, width = values.shape
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 0 if white_is_zero else 1, 273: 8, 277: 1, 278: height}
    tags[279] = len(data)
    entries = b"".join(struct.pack(f"{order}HHIHH", tag, 3, 1, value, 0) for tag, value in tags.items())
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(data))
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + struct.pack(f"{order}I", 0)


@pytest.mark.parametrize("bits", [{}, {"bits": 16}, {"bits": 12}])
def test_grey_values_whose_zero_is_white_are_no_negatives(tmp_path, image_set, bits):
    values = grey(4095 if bits.get("bits") == 12 else 65535)
    plain = stored(tmp_path, image_set, [tiff16(values, False, "<"), tiff16(values, False, ">")], **bits)
    assert (plain[0] == plain[1]).all()
    assert (stored(tmp_path, image_set, [tiff16(values, True, "<")], **bits)[0] == 255 - plain[0]).all()
    with pytest.raises(LongtailError, match=r"of a kind that Pillow cannot read: .* save it anew as PNG"):
        stored(tmp_path, image_set, [tiff16(values, True, ">")], **bits)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_sixteen_bits_are_refused_where_their_upper_eight_are_empty(tmp_path, image_set, channels):
    values = np.random.default_rng(0).integers(0, 4096, (4, 4, channels))
    values[0, 0] = 4095
    with pytest.raises(LongtailError, match=r"seem to have 12 bits.*only the upper 8 are read: convert"):
        stored(tmp_path, image_set, [png16(values)])
    with pytest.raises(LongtailError, match="too few for `bits: 12`"):
        stored(tmp_path, image_set, [png16(values)], bits=12)
    assert stored(tmp_path, image_set, [png16(values * 16)]).max() == 255
    assert stored(tmp_path, image_set, [png16(values)], bits=16).max() == 15


def test_eight_bits_and_fewer_are_left_as_they_are(tmp_path, image_set, capsys):
    black_and_white = np.array([[0, 1] * 2] * 4, bool)
    file = io.BytesIO()
    Image.fromarray(black_and_white).save(file, "PNG")
    images = [file.getvalue(), saved(grey(200), "PNG", np.uint8)]
    for bits in ({}, {"bits": 12}, {"bits": 4}):
        pixels = stored(tmp_path, image_set, images, **bits)
        assert (pixels[0] == black_and_white * 255).all()
        assert (pixels[1] == grey(200)).all()
    assert capsys.readouterr().err == ""
    stored(tmp_path, image_set, [saved(grey(15), "PNG", np.uint8)])
    assert "the brightest pixel of tiny, part 'train', has 15 of 255" in capsys.readouterr().err


@pytest.mark.parametrize("bits", [0, -1, 32, 12.0, "12", True])
def test_bits_are_a_small_number(bits):
    spec = {
        "images": "tiny",
        "source": {"bits": bits},
        "classes": 2,
        "image_size": 4,
        "channels": 1,
        "parts": {"train": 1},
    }
    with pytest.raises(LongtailError, match="'bits' in the source of tiny is"):
        ImageSet.from_json(json.dumps(spec))
