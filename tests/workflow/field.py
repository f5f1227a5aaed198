"""A dataset of a user's own: a few images of four classes in folders, and what the catalogue says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

SIZES = (8, 5, 3, 2)
"""Images of each class in the part ``train``."""


def picture(seed: int) -> Image.Image:
    """An image of noise, 8x8 pixels."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8))


def add_field(
    checkout: Path,
    raw: Path,
    folders: Mapping[str, str],
    sizes: Mapping[str, Sequence[int]],
    **datasets: Mapping[str, Any],
) -> None:
    """Put images below ``raw``, and a description of them into the catalogue of a checkout.

    Args:
        checkout: its folder.
        raw: the folder that ``folders`` are relative to.
        folders: of each part.
        sizes: number of images of each class in each part.
        datasets: what is cut from them, a long tail unless they say otherwise.
    """
    for part, of_part in sizes.items():
        for label, size in enumerate(of_part):
            folder = raw / folders[part] / f"class{label}"
            folder.mkdir(parents=True)
            for row in range(size):
                picture(100 * label + row).save(folder / f"{row}.png")
    images = {
        "name": "field",
        "title": "Field",
        "source": {"kind": "imagefolder", "folders": dict(folders), "obtain": "Ask the group."},
        "parts": {part: sum(of_part) for part, of_part in sizes.items()},
        "classes": len(SIZES),
        "image_size": 8,
        "channels": 3,
        "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3},
        "test_transform": {"resize": None, "crop": None},
        "backbone": {"name": "resnet_small", "stem": "cifar"},
        "precision": "float32",
        "resources": {"threads": 1, "mem_mb": 2000},
    }
    cuts = {name.replace("_", "-"): {"construction": "longtail", **dataset} for name, dataset in datasets.items()}
    text = yaml.safe_dump({"images": images, "datasets": cuts})
    (checkout / "workflow/catalog/datasets/field.yaml").write_text(text)
