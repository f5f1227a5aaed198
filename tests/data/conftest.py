"""What the tests of images share."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from longtail.data.sources import ImageSet


@pytest.fixture
def shared_data() -> Path:
    """Folder of the real data packs; the test is skipped where there is none."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("LONGTAIL_SHARED_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no real data: set LONGTAIL_SHARED_DATA ({folder} is not a folder)")
    return folder


@pytest.fixture
def image_set() -> Callable[..., ImageSet]:
    """Makes an image set of 4x4 colour images in two classes, with what a test says otherwise."""

    def make(source: dict[str, Any], **changes: Any) -> ImageSet:
        usual = {"images": "tiny", "classes": 2, "image_size": 4, "channels": 3, "parts": {"train": 3}}
        return ImageSet(source=source, **{**usual, **changes})

    return make


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """Makes an image file of random pixels."""

    def make(seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (4, 4), kind: str = "PNG") -> bytes:
        bands = len(Image.new(mode, (1, 1)).getbands())
        shape = (size[1], size[0]) if bands == 1 else (size[1], size[0], bands)
        pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
        file = io.BytesIO()
        Image.frombytes(mode, size, pixels.tobytes()).save(file, kind)
        return file.getvalue()

    return make
