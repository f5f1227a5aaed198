"""The phase that a job trains or embeds: read once, where a command begins, and typed from there on.

The document that it is read from (ARCHITECTURE.md, "A phase, as data") stays with it, since files record that. No other
module knows its keys, save :mod:`longtail.training.checkpoint`, which compares the documents of files.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from longtail.errors import LongtailError
from longtail.files import read_json
from longtail.training.hyperparameters import TrainingSettings, parse_settings
from longtail.training.shape import COUNT, NUMBERS, require, wrong

STARTS = ("fresh", "continue", "transfer")
MOST_CLASSES, MOST_PIXELS = 1_000_000, 16_384
"""Beyond every data set, and within what memory holds."""

OF_ALL: Mapping[str, Any] = {
    "identity": str,
    "data": {"dataset": str, "classes": COUNT},
    "backbone": {"name": str},
    "precision": str,
    "lineage": [
        {
            "objective": str,
            "implementation": str,
            "start": str,
            "first_epoch": COUNT,
            "last_epoch": COUNT,
            "clock": COUNT,
            "settings": {},
        }
    ],
    "seed": COUNT,
}
OF_IMAGES: Mapping[str, Any] = {
    "data": {"image_size": COUNT, "channels": COUNT, "test_transform": dict},
    "backbone": {"stem": str},
    "lineage": [{"settings": {"normalization": {"mean": NUMBERS, "std": NUMBERS}}}],
}
BACKBONE = ("name", "stem", "weights")
OF_TEXTS: Mapping[str, Any] = {"data": {"max_tokens": COUNT}}
OF_SPLIT: Mapping[str, Any] = {"rows": COUNT, "class_sizes": [COUNT]}
"""What a specification must have, and besides if its data are images or texts, or if its split was read."""


@dataclass(frozen=True)
class Data:
    """What the networks read.

    Attributes:
        dataset: its name, for messages.
        classes: number of true classes K.
        holds: whether the data are images or texts.
        image_size: of images, height and width in pixels as the networks see them; 0 for texts.
        channels: of images, 1 or 3; 0 for texts.
        test_transform: of images, how they are embedded; empty for texts.
        max_tokens: of texts, tokens that are read of one; 0 for images.
        rows: images or texts in the training split; None until that is read.
        class_sizes: how many of them each class has, K numbers; None until then.
    """

    dataset: str
    classes: int
    holds: Literal["images", "texts"]
    image_size: int = 0
    channels: int = 0
    test_transform: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int = 0
    rows: int | None = None
    class_sizes: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Backbone:
    """The network between input and heads.

    Attributes:
        name: of the backbone, or of the sentence encoder.
        stem: where it reads images, else empty.
        weights: the name of the published ones that it starts from; empty where it starts anew, and for texts.
    """

    name: str
    stem: str = ""
    weights: str = ""


@dataclass(frozen=True)
class Stretch:
    """Consecutive epochs of one objective on one clock.

    Attributes:
        objective: its name in the catalogue.
        implementation: its class, as ``module:Class``.
        start: one of :data:`STARTS`.
        first_epoch: epochs of the clock before this stretch.
        last_epoch: epochs of the clock after it.
        clock: epochs the schedule is made for.
        settings: what the loop reads.
        own: the other settings by name, which are the objective's.
        parent_seed: seed of the state that a transfer starts from; None for that of the specification.
    """

    objective: str
    implementation: str
    start: str
    first_epoch: int
    last_epoch: int
    clock: int
    settings: TrainingSettings
    own: Mapping[str, Any]
    parent_seed: int | None = None


@dataclass(frozen=True)
class Specification:
    """A phase and its seed.

    Attributes:
        identity: of the phase, part of the names of files.
        data: what is trained on.
        backbone: what is trained.
        precision: ``mixed`` or ``float32``.
        lineage: the stretches that lead to the phase, at least one; the first is fresh.
        seed: of every random draw.
        document: what :func:`parse` made this of, as files record it.
    """

    identity: str
    data: Data
    backbone: Backbone
    precision: str
    lineage: tuple[Stretch, ...]
    seed: int
    document: Mapping[str, Any] = field(repr=False)

    @property
    def last(self) -> Stretch:
        """The stretch that the job trains."""
        return self.lineage[-1]

    @property
    def opening(self) -> int:
        """Where in the lineage the networks of its last stretch were made: the last stretch that does not continue."""
        return max(position for position, stretch in enumerate(self.lineage) if stretch.start != "continue")

    def before(self, position: int) -> Specification:
        """The training that the stretch at ``position`` starts from, by its own seed, but with this identity."""
        seed = self.lineage[position].parent_seed
        lineage = self.document["lineage"][:position]
        return parse({**self.document, "lineage": lineage, "seed": self.seed if seed is None else seed})

    def with_split(self, labels: Sequence[int], path: Path) -> Specification:
        """The specification with what only the training split tells: ``rows``, and ``class_sizes`` of them.

        Args:
            labels: true class of each row of the split.
            path: of the split, for the message.

        Raises:
            LongtailError: if the specification names another number of rows.
        """
        rows = len(labels)
        if self.data.rows not in (None, rows):
            raise LongtailError(
                f"{path} has {rows} rows, but the specification says {self.data.rows}. One of them is out of date: "
                f"delete the split and run the workflow again."
            )
        counted = Counter(labels)
        return self.with_rows(rows, [counted[label] for label in range(self.data.classes)])

    def with_rows(self, rows: int, class_sizes: Sequence[int]) -> Specification:
        """The specification with ``rows`` and ``class_sizes`` of a training split that was read before."""
        data = {**self.document["data"], "rows": rows, "class_sizes": list(class_sizes)}
        return parse({**self.document, "data": data})

    def with_last(self, settings: Mapping[str, Any] | None = None, **epochs: int) -> Specification:
        """The specification with other ``settings`` or epochs of the last stretch, for updates that measure it."""
        *before, last = self.document["lineage"]
        changed = {**last, **epochs, "settings": {**last["settings"], **(settings or {})}}
        return parse({**self.document, "lineage": [*before, changed]})


def read_spec(text: str) -> Specification:
    """A phase's specification from JSON, or from the file after an ``@``.

    Raises:
        LongtailError: if it cannot be read, or as :func:`parse` does.
    """
    return parse(read_json(text, "The specification"))


def parse(document: Any) -> Specification:
    """The specification that a document describes.

    Raises:
        LongtailError: naming the place, if a part is missing or of the wrong type, a size in pixels is none, the epochs
            of a stretch are out of order, the first stretch has nothing to continue, a normalisation is not one of the
            images' channels, or the identity, which is part of the names of files, is no plain name; naming objective
            and setting, if one that the loop reads is wrong.
    """
    require(document, OF_ALL, "")
    holds: Literal["images", "texts"] = "texts" if "max_tokens" in document["data"] else "images"
    require(document, OF_TEXTS if holds == "texts" else OF_IMAGES, "")
    for key in OF_SPLIT.keys() & document["data"].keys():
        require(document["data"][key], OF_SPLIT[key], f"data.{key}")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", document["identity"]):
        raise wrong("identity", document["identity"], "a name of letters, digits, - and _")
    _require_lineage(document["lineage"])
    if not 0 < document["data"]["classes"] <= MOST_CLASSES:
        raise wrong("data.classes", document["data"]["classes"], f"a number of classes up to {MOST_CLASSES}")
    if holds == "images":
        _require_images(document)
    return Specification(
        identity=document["identity"],
        data=_data(holds, document["data"]),
        backbone=Backbone(**{key: document["backbone"][key] for key in BACKBONE if key in document["backbone"]}),
        precision=document["precision"],
        lineage=tuple(_stretch(stretch) for stretch in document["lineage"]),
        seed=document["seed"],
        document=document,
    )


def _data(holds: Literal["images", "texts"], data: Mapping[str, Any]) -> Data:
    sizes = data.get("class_sizes")
    return Data(
        dataset=data["dataset"],
        classes=data["classes"],
        holds=holds,
        image_size=data.get("image_size", 0),
        channels=data.get("channels", 0),
        test_transform=data.get("test_transform", {}),
        max_tokens=data.get("max_tokens", 0),
        rows=data.get("rows"),
        class_sizes=None if sizes is None else tuple(sizes),
    )


def _stretch(stretch: Mapping[str, Any]) -> Stretch:
    settings, own = parse_settings(stretch["objective"], stretch["settings"])
    return Stretch(
        objective=stretch["objective"],
        implementation=stretch["implementation"],
        start=stretch["start"],
        first_epoch=stretch["first_epoch"],
        last_epoch=stretch["last_epoch"],
        clock=stretch["clock"],
        settings=settings,
        own=own,
        parent_seed=stretch.get("parent_seed"),
    )


def _require_lineage(lineage: Sequence[Mapping[str, Any]]) -> None:
    for index, stretch in enumerate(lineage):
        place = f"lineage[{index}]"
        if stretch["start"] not in STARTS:
            raise wrong(f"{place}.start", stretch["start"], f"one of {', '.join(STARTS)}")
        if not stretch["first_epoch"] < stretch["last_epoch"] <= stretch["clock"]:
            epochs = {key: stretch[key] for key in ("first_epoch", "last_epoch", "clock")}
            raise wrong(place, epochs, "first_epoch < last_epoch <= clock")
        if "parent_seed" in stretch:
            require(stretch["parent_seed"], COUNT, f"{place}.parent_seed")
    if lineage[0]["start"] != "fresh":
        raise LongtailError(
            f"The lineage {' → '.join(stretch['objective'] for stretch in lineage)} begins with nothing to continue. "
            f"Its first stretch must have start 'fresh'."
        )


def _require_images(document: Mapping[str, Any]) -> None:
    data = document["data"]
    if not 0 < data["image_size"] <= MOST_PIXELS or data["channels"] not in (1, 3):
        raise wrong("data", data, f"an image_size from 1 to {MOST_PIXELS} and 1 or 3 channels")
    for key, value in data["test_transform"].items():
        place = f"data.test_transform.{key}"
        if key in ("interpolation", "final_interpolation"):
            require(value, str, place)
        elif value is not None and not (type(value) is int and 0 < value <= MOST_PIXELS):
            raise wrong(place, value, f"null or a number of pixels up to {MOST_PIXELS}")
    for index, stretch in enumerate(document["lineage"]):
        lengths = {len(values) for values in stretch["settings"]["normalization"].values()}
        if lengths != {data["channels"]}:
            place = f"lineage[{index}].settings.normalization"
            raise wrong(place, stretch["settings"]["normalization"], "mean and std, one number per channel")
