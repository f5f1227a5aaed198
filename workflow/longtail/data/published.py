"""Image sets that come with a library, or by its download."""

from __future__ import annotations

import os
import pickle
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from longtail.data.places import expanded
from longtail.data.rows import Sample
from longtail.errors import LongtailError, unknown

PUBLISHED: Mapping[str, tuple[str, Mapping[str, Sequence[str]]]] = {
    "CIFAR10": (
        "cifar-10-batches-py",
        {"train": [f"data_batch_{batch}" for batch in range(1, 6)], "test": ["test_batch"]},
    ),
    "CIFAR100": ("cifar-100-python", {"train": ["train"], "test": ["test"]}),
    "STL10": ("stl10_binary", {part: [f"{part}_X.bin", f"{part}_y.bin"] for part in ("train", "test")}),
}
"""Folder and files that each part of torchvision's sets is read from, known without torchvision, which takes seconds to
import."""

ARCHIVES: Mapping[str, tuple[str, str]] = {
    "CIFAR10": ("cifar-10-python.tar.gz", "https://www.cs.toronto.edu"),
    "CIFAR100": ("cifar-100-python.tar.gz", "https://www.cs.toronto.edu"),
    "STL10": ("stl10_binary.tar.gz", "http://ai.stanford.edu"),
}
"""Archive of each of them, from which torchvision unpacks what is missing, and the site that it comes from."""

UNOBTAINABLE = (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError, tarfile.TarError)
"""What torchvision raises where files are missing or damaged and cannot be downloaded."""


@dataclass(frozen=True)
class SklearnSource:
    """The handwritten digits that come with scikit-learn: 1,797 images of 8x8, grey values 0..16, one part.

    They need no download. Grey values are scaled to 0..255.
    """

    is_encoded: ClassVar[bool] = False

    dataset: str = "digits"
    root: str = ""  # every source has one; nothing is read from it

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the digits in scikit-learn's order."""
        from sklearn.datasets import load_digits

        self.check(part)
        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        for row, (image, label) in enumerate(zip(images, digits.target.tolist(), strict=True)):
            yield Sample(f"scikit-learn digits, row {row}", image, label)

    def inputs(self, part: str) -> list[Path]:
        """None: the digits are part of scikit-learn."""
        return []

    def check(self, part: str) -> None:
        """Check that there is such a set, and such a part of it."""
        if self.dataset != "digits":
            raise unknown("scikit-learn image set", self.dataset, ["digits"])
        if part != "train":
            raise unknown("part of the scikit-learn digits", part, ["train"])


@dataclass(frozen=True)
class TorchvisionSource:
    """CIFAR-10, CIFAR-100 and STL-10 as torchvision downloads them, verified by checksum.

    Attributes:
        dataset: torchvision's name.
        root: folder of the downloads; nothing is written there if they are there already.
        labels: for CIFAR-100, ``fine`` (100 classes) or ``coarse`` (the 20 superclasses stored in the same files, which
            are the classes of CIFAR-20).
    """

    is_encoded: ClassVar[bool] = False

    dataset: str
    root: str = "data"
    labels: str | None = None

    def samples(self, part: str) -> Iterator[Sample]:
        """Yield the images in the order of the published files."""
        images, labels = self._load(part)
        for row, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield Sample(f"{self.dataset} {part}, row {row}", image, int(label))

    def inputs(self, part: str) -> list[Path]:
        """The published files of the part, as far as they are there already."""
        return [path for path in self._files(part) if path.exists()]

    def downloads(self, part: str) -> bool:
        """Whether files of the part are missing, so that reading it needs a connection."""
        return not all(path.exists() for path in self._files(part))

    def site(self, part: str) -> str | None:
        """The site that missing files of the part are downloaded from; None if they, or their archive, are here."""
        archive, site = ARCHIVES[self.dataset]
        return site if self.downloads(part) and not (expanded(self.root) / archive).exists() else None

    def check(self, part: str) -> None:
        """Check that there is such a set, such a part and such a choice of labels, and where to put what is missing."""
        if not self.downloads(part):
            return
        root = expanded(self.root).absolute()
        nearest = next(path for path in (root, *root.parents) if path.exists())
        if not nearest.is_dir():
            raise self._unobtainable(FileExistsError(f"File exists: {nearest}"))
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise self._unobtainable(PermissionError(f"{nearest} cannot be written"))

    def _files(self, part: str) -> list[Path]:
        if self.dataset not in PUBLISHED:
            raise unknown("torchvision image set", self.dataset, PUBLISHED)
        folder, files = PUBLISHED[self.dataset]
        if part not in files:
            raise unknown(f"part of {self.dataset}", part, files)
        choices = ("fine", "coarse") if self.dataset == "CIFAR100" else ("fine",)
        if self.labels is not None and self.labels not in choices:
            raise unknown(f"labels of {self.dataset}", self.labels, choices)
        return [expanded(self.root) / folder / name for name in files[part]]

    def _make_root(self) -> None:
        root = expanded(self.root)
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unobtainable(error) from error

    def _load(self, part: str) -> tuple[np.ndarray, Sequence[int]]:
        """Images (N, H, W, 3) uint8 and labels."""
        self._files(part)
        try:
            return self._read(part, download=False)
        except UNOBTAINABLE:  # not there, or not whole: what the download says is said
            self._make_root()
        from filelock import FileLock

        try:
            with FileLock(expanded(self.root) / f".{self.dataset}.lock"):  # the jobs of two parts share one download
                return self._read(part, download=True)
        except UNOBTAINABLE as error:
            raise self._unobtainable(error) from error

    def _read(self, part: str, download: bool) -> tuple[np.ndarray, Sequence[int]]:
        from torchvision import datasets

        root = expanded(self.root)
        if self.dataset == "STL10":
            stl = datasets.STL10(root, split=part, download=download)
            return stl.data.transpose(0, 2, 3, 1), stl.labels
        cifar = getattr(datasets, self.dataset)(root, train=part == "train", download=download)
        if self.labels != "coarse":
            return cifar.data, cifar.targets
        coarse: list[int] = []
        for path in self._files(part):
            with path.open("rb") as file:  # its checksum was verified above
                coarse += pickle.load(file, encoding="latin1")["coarse_labels"]
        return cifar.data, coarse

    def _unobtainable(self, error: BaseException) -> LongtailError:
        return LongtailError(
            f"Cannot obtain {self.dataset} in {expanded(self.root).absolute()}: {error}. It is not there with the "
            f"published checksums, so torchvision downloads it there: check the connection and that the folder can be "
            f"written, or put the published archive into that folder, or name another source."
        )
