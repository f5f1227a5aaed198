"""The sets of images or texts of a study, and the splits that are cut from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.splits import FILES, LONG_TAILS, PIXELS, class_sizes, parts_of
from longtail.study import layout, phases
from longtail.study.catalog import Catalog, Dataset
from longtail.study.config import Config


class Sets:
    """What the jobs on a catalogue's data are told under a configuration."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        self.config = config
        self.catalog = catalog

    def dataset_of(self, cut: str) -> tuple[Dataset, int]:
        """Dataset and ratio of a split's folder name."""
        match = re.fullmatch(r"(?P<dataset>.+?)(-h\d+)?-ir(?P<ratio>\d+)", cut)
        if match is None:
            raise LongtailError(f"{cut!r} is no split; splits are called like 'cifar10-ir10'.")
        dataset, ratio = self.catalog.dataset(match["dataset"]), int(match["ratio"])
        if ratio < 1:
            raise LongtailError(f"{cut!r}: an imbalance ratio is the largest class over the smallest, so at least 1.")
        expected = phases.cut_name(dataset, ratio, self.config.budget)
        if cut != expected:
            raise LongtailError(f"There is no split {cut!r} under this budget; it would be {expected!r}.")
        return dataset, ratio

    def store_spec(self, image_set: str) -> dict[str, Any]:
        """What the job that decodes an image set is told."""
        for dataset in self.catalog.datasets.values():
            images = dataset.images
            if images["name"] == image_set:
                source = {"root": self.config.data_root, **self.config.data.get(image_set, images["source"])}
                parts = {**images["parts"], **source.pop("parts", {})}
                kept = source.pop("storage", images.get("storage", PIXELS))
                sizes = ("max_tokens",) if dataset.holds == "texts" else ("image_size", "channels")
                described = {key: images[key] for key in ("classes", *sizes)}
                spec = {dataset.holds: image_set, "source": source, "parts": parts, **described}
                return spec if kept == PIXELS else {**spec, "storage": kept}
        raise unknown("image set", image_set, {dataset.images["name"] for dataset in self.catalog.datasets.values()})

    def corruptions(self, dataset: Dataset) -> Mapping[str, Any]:
        """What the catalogue says of corrupted versions of a dataset's test images.

        Raises:
            LongtailError: if there are none.
        """
        if "corruptions" not in dataset.images:
            having = {d.name for d in self.catalog.datasets.values() if "corruptions" in d.images}
            raise LongtailError(
                f"There are no corrupted test images of {dataset.name!r} in the catalogue; there are of "
                f"{', '.join(sorted(having)) or 'no dataset'}."
            )
        return dict(dataset.images["corruptions"])

    def corruptions_spec(self, dataset: Dataset) -> dict[str, Any]:
        """What the job that tests on corrupted versions of a dataset's test images is told; raises as above."""
        described = self.corruptions(dataset)
        name = described["name"]
        return {
            "name": name,
            "source": {"root": self.config.data_root, **self.config.data.get(name, described["source"])},
            **{key: described[key] for key in ("corruptions", "severities", "rows")},
            "trained": self.store_spec(dataset.images["name"]),
        }

    def corrupted_sets(self) -> set[str]:
        """The names of all sets of corrupted test images."""
        images = (dataset.images for dataset in self.catalog.datasets.values())
        return {each["corruptions"]["name"] for each in images if "corruptions" in each}

    def sets(self, holds: str) -> set[str]:
        """The names of all image sets, or of all text sets (``images``, ``texts``)."""
        return {dataset.images["name"] for dataset in self.catalog.datasets.values() if dataset.holds == holds}

    def streamed(self) -> set[str]:
        """The names of those image sets whose images stay files, which are decoded while networks train."""
        return set(filter(self.stay_files, self.sets("images")))

    def stay_files(self, image_set: str) -> bool:
        """Whether it is one of these."""
        return self.store_spec(image_set).get("storage") == FILES

    def backbone(self, dataset: Dataset, asked: str | None = None) -> str:
        """Name of the network on a dataset: the budget's, else the one a table asks for, else the dataset's own."""
        if dataset.holds == "texts":
            return str(phases.sentence_encoder(dataset, self.config)["name"])
        return self.config.budget.backbone or asked or str(dataset.images["backbone"]["name"])

    def stored(self, dataset: Dataset, part: str) -> str:
        """The file with the images or texts of a part of a dataset's set, or that tells where images lie."""
        name = dataset.images["name"]
        if dataset.holds == "texts":
            return layout.texts(name, part)
        return (layout.index if self.stay_files(name) else layout.images)(name, part)

    def classifier(self, name: str, dataset: Dataset, split: str) -> Mapping[str, Any]:
        """What the job that predicts the classes of a split by a classifier is told.

        A setting that is chosen ``on_validation`` has the validation split chosen by, as far as there is one and it is
        not what is predicted; else it has its other value, and nothing is said of a validation split.
        """
        entry = dict(self.catalog.classifiers[name])
        grid = entry.pop("on_validation", None)
        if grid is None or dataset.val is None or split == "val":
            return entry
        rest = {key: value for key, value in entry.items() if key not in grid}
        return {**rest, "needs": [*entry.get("needs", ()), "validation_features"], "on_validation": grid}

    def encoder(self, text_set: str) -> dict[str, str | None]:
        """Name, and local folder or None, of the sentence encoder of a text set."""
        named = (dataset for dataset in self.catalog.datasets.values() if dataset.images["name"] == text_set)
        return phases.sentence_encoder(next(named), self.config)

    def encoders(self) -> dict[str, dict[str, str | None]]:
        """Every sentence encoder of the catalogue, by the name of its folder."""
        found = [self.encoder(name) for name in sorted(self.sets("texts"))]
        return {layout.encoder_folder(str(encoder["name"])): encoder for encoder in found}

    def image_weights(self) -> dict[str, dict[str, str | None]]:
        """All published weights of networks for images, by the name of their folder: ``url``, and ``file`` or None.

        Raises:
            LongtailError: if the configuration names a file for a network that has none.
        """
        having = {name: entry["weights"] for name, entry in self.catalog.backbones.items() if "weights" in entry}
        for name in self.config.image_weights:
            if name not in having:
                raise unknown("backbone with published weights (image_weights)", name, having)
        return {
            layout.weights_folder(name, weights): {"url": url, "file": self.config.image_weights.get(name)}
            for name, entry in having.items()
            for weights, url in entry.items()
        }

    def data_spec(self, dataset: Dataset, ratio: int) -> dict[str, Any]:
        """What a job that reads a split's images is told about them."""
        return phases.data_spec(dataset, ratio, self.config)

    def split_spec(self, cut: str) -> dict[str, Any]:
        """What the job that cuts a split is told."""
        dataset, ratio = self.dataset_of(cut)
        spec = {
            "dataset": dataset.name,
            "ratio": ratio,
            "construction": dataset.construction,
            "pool": list(dataset.pool),
            "test": list(dataset.test) if dataset.test else None,
            "head_class_rows": phases.capped_rows(dataset, self.config.budget),
            "classes": dataset.images["classes"],
            "shots": list(dataset.shots) if dataset.shots else None,
        }
        # named where they are given only: another specification has Snakemake cut again what is as it was
        seldom = {"val": list(dataset.val) if dataset.val else None, "held_out": dataset.held_out}
        return spec | {key: value for key, value in seldom.items() if value is not None}

    def rows(self, cut: str, split: str) -> int:
        """Images or texts of a split, as catalogue and configuration describe it."""
        dataset, ratio = self.dataset_of(cut)
        head = phases.capped_rows(dataset, self.config.budget)
        classes = dataset.images["classes"]
        if split == "train" and dataset.construction in LONG_TAILS and head is not None:
            return sum(class_sizes(head, classes, ratio, dataset.construction))
        held_out = (dataset.held_out or 0) * classes
        if split == "test" and held_out:
            return held_out
        there = self.store_spec(dataset.images["name"])["parts"]
        return sum(there[part] for part in self.parts(cut, split)) - (held_out if split == "train" else 0)

    def parts(self, cut: str, split: str) -> tuple[str, ...]:
        """The parts of the image set that a split takes rows from."""
        dataset, _ = self.dataset_of(cut)
        return tuple(parts_of(dataset.name, dataset, split))
