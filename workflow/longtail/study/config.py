"""The configuration of a run: ``config.yaml`` with what the command line adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.study import documents

CONFIG = "config.yaml"
"""The file that Snakemake, and whoever gives no configuration, reads in the working directory."""


@dataclass(frozen=True)
class Budget:
    """How much of the papers' training is done.

    Attributes:
        name: as in ``catalog/budgets.yaml``, or ``custom``.
        title: what tables call it.
        epochs: factor on every number of epochs, in (0, 1].
        head_class_rows: most images of the largest class, None for all.
        batch_size: largest batch, None for the methods' own.
        backbone: replaces every backbone, None for the datasets' own.
    """

    name: str
    title: str
    epochs: float = 1.0
    head_class_rows: int | None = None
    batch_size: int | None = None
    backbone: str | None = None

    @property
    def label(self) -> str:
        """What every result of this budget carries; empty for the papers' own."""
        if self.name == "paper":
            return ""
        parts = [f"{self.epochs:g} of the epochs"]
        if self.head_class_rows is not None:
            parts.append(f"at most {self.head_class_rows} images per class")
        if self.batch_size is not None:
            parts.append(f"batches of at most {self.batch_size}")
        if self.backbone is not None:
            parts.append(f"backbone {self.backbone}")
        return f"budget {self.name} ({self.title}: {', '.join(parts)})"


@dataclass(frozen=True)
class Drawing:
    """How figures are drawn: of no account for what is computed.

    Attributes:
        titles: whether title and paper stand above the panels.
    """

    titles: bool = True


@dataclass(frozen=True)
class Config:
    """A validated configuration; the fields are described in ``schemas/config.schema.yaml``."""

    targets: tuple[str, ...]
    protocol: str = "official"
    budget: Budget = field(default_factory=lambda: Budget("paper", "the papers' own"))
    seeds: tuple[int, ...] | None = None
    methods: tuple[str, ...] | None = None
    datasets: tuple[str, ...] | None = None
    precision: str | None = None
    pretraining_seed: int | None = None
    partial: bool = False
    data_root: str = "data"
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sentence_encoder: Mapping[str, str] | None = None
    image_weights: Mapping[str, str] = field(default_factory=dict)
    wordnet: str | None = None
    trainings_per_gpu: int = 1
    catalog: tuple[str, ...] = ()
    figures: Drawing = field(default_factory=Drawing)

    @property
    def view(self) -> str:
        """The folder that keeps tables apart by budget, protocol and the like; empty for the papers' own, whole."""
        parts = [] if self.budget.name == "paper" else [self.budget.name]
        if self.protocol != "official":
            parts.append(f"{self.protocol}-protocol")
        if self.pretraining_seed is not None:
            parts.append(f"pretraining-seed{self.pretraining_seed}")
        if self.partial:
            parts.append("partial")
        return "-".join(parts)


def of_folder() -> dict[str, Any]:
    """The configuration of the working directory, of which Snakemake's command line may have said otherwise.

    Raises:
        LongtailError: if there is none, or no mapping.
    """
    if not Path(CONFIG).exists():
        raise LongtailError(f"There is no {CONFIG} in this folder. Go to the checkout's, or give --config.")
    found = documents.read_yaml(Path(CONFIG))
    if not isinstance(found, dict):
        raise LongtailError(f"{CONFIG} holds no configuration, which is a mapping. Write `targets: [...]` into it.")
    return found


def budget_of(given: str | Mapping[str, Any], budgets: Mapping[str, Mapping[str, Any]]) -> Budget:
    """The budget of a name, or of numbers of one's own.

    Raises:
        LongtailError: for a name that is none.
    """
    if isinstance(given, str):
        if given not in budgets:
            raise unknown("budget", given, budgets)
        return Budget(name=given, **budgets[given])
    return Budget(name="custom", **{"title": "own numbers", **given})


def own_catalogs(document: Mapping[str, Any], source: object = "config") -> tuple[Path, ...]:
    """The folders of one's own that a configuration adds to the catalogue, seen from the working directory.

    Args:
        document: plain data as Snakemake merged it, not yet validated: budgets stand in the catalogue.
        source: what to call the document in messages.

    Raises:
        LongtailError: for anything the schema does not allow.
    """
    _validate(document, source)
    return tuple(Path(folder).expanduser() for folder in document.get("catalog", ()))


def _validate(document: Mapping[str, Any], source: object) -> None:
    if not isinstance(document, Mapping):
        raise LongtailError(f"{source}: a configuration is a mapping, not {type(document).__name__}.")
    documents.validate(document, "config", source)


def parse(document: Mapping[str, Any], budgets: Mapping[str, Mapping[str, Any]], source: object = "config") -> Config:
    """Validate a configuration.

    Args:
        document: plain data as Snakemake merged it.
        budgets: the named budgets of the catalogue.
        source: what to call the document in messages.

    Raises:
        LongtailError: for anything the schema does not allow, and for unknown budgets.
    """
    _validate(document, source)
    lists = {key: tuple(document[key]) for key in ("seeds", "methods", "datasets") if document.get(key) is not None}
    return Config(
        targets=tuple(document["targets"]),
        protocol=document.get("protocol", "official"),
        budget=budget_of(document.get("budget", "paper"), budgets),
        precision=document.get("precision"),
        pretraining_seed=document.get("pretraining_seed"),
        partial=document.get("partial", False),
        data_root=document.get("data_root", "data"),
        data=document.get("data", {}),
        sentence_encoder=document.get("sentence_encoder"),
        image_weights=document.get("image_weights", {}),
        wordnet=document.get("wordnet"),
        trainings_per_gpu=document.get("trainings_per_gpu", 1),
        catalog=tuple(document.get("catalog", ())),
        figures=Drawing(**document.get("figures", {})),
        **lists,
    )
