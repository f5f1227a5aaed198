"""A tiny ImageNet-C: a list to train on whose classes are not numbered by their names, and corrupted test images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

CATALOG = Path(__file__).parents[1] / "workflow" / "catalog"
NUMBERS = {"n01440764": 1, "n02105855": 0, "n15075141": 2}
"""Of the classes by their folders; sorted by name they would be 0, 1, 2."""

DESCRIBED: dict[str, Any] = yaml.safe_load((CATALOG / "datasets" / "imagenet_lt.yaml").read_text(encoding="utf-8"))
CORRUPTIONS: list[str] = DESCRIBED["images"]["corruptions"]["corruptions"]
GROUPS = {
    "noise": CORRUPTIONS[:3],
    "blur": CORRUPTIONS[3:7],
    "weather": CORRUPTIONS[7:11],
    "digital": CORRUPTIONS[11:],
}
"""The archives of the distribution, and what is in each."""

GROUP_OF = {corruption: group for group, of_group in GROUPS.items() for corruption in of_group}


def write_training_list(folder: Path, sizes: Sequence[int], side: int = 8, kind: str = "train") -> Path:
    """Images of each class in ``folder/<kind>/<class>/`` and the list of them beside; ``sizes`` are by class number."""
    lines = []
    for name, number in NUMBERS.items():
        for row in range(sizes[number]):
            path = f"{kind}/{name}/{name}_{row}.JPEG"
            save(folder / path, 1000 * number + row + len(kind), (side, side))
            lines.append(f"{path} {number}")
    listed = folder / f"list_{kind}.txt"
    listed.write_text("".join(f"{line}\n" for line in np.random.default_rng(0).permutation(lines)))
    return listed


def write_corrupted(
    folder: Path, corruptions: Sequence[str], severities: int, per_class: int, side: int = 8, grouped: bool = False
) -> None:
    """Images of each class in ``folder/[group/]<corruption>/<severity>/<class>/``, called as ImageNet's are."""
    for position, corruption in enumerate(corruptions):
        top = folder / GROUP_OF[corruption] if grouped else folder
        for severity in range(1, severities + 1):
            for name, number in NUMBERS.items():
                for row in range(per_class):
                    file = f"ILSVRC2012_val_{1 + 10 * number + row:08}.JPEG"
                    save(
                        top / corruption / str(severity) / name / file,
                        hash((position, severity, number, row)),
                        (side, side),
                    )


def save(path: Path, seed: int, size: tuple[int, int]) -> None:
    """A JPEG of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(abs(seed)).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, "JPEG", quality=95)


def corrupted_spec(root: Path, per_class: int, training: int, **changes: Any) -> dict[str, Any]:
    """What the job on corrupted images is told: two corruptions at two severities, unless told otherwise."""
    spec = {
        "name": "tiny_c",
        "source": {"kind": "corruptions", "root": str(root), "folder": "c", "obtain": "Ask."},
        "corruptions": ["fog", "snow"],
        "severities": 2,
        "rows": per_class * len(NUMBERS),
        "trained": {
            "images": "tiny",
            "source": {"kind": "imagefolder", "root": str(root), "lists": {"train": "list_train.txt"}},
            "classes": len(NUMBERS),
            "image_size": 8,
            "channels": 3,
            "parts": {"train": training},
        },
    }
    return {**spec, **changes}
