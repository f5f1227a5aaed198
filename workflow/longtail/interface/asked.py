"""What the functions of the interface have in common: a study, and where its results lie."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError
from longtail.study import documents, layout
from longtail.study.cells import Measurement
from longtail.study.config import CONFIG, of_folder
from longtail.study.phases import cut_name
from longtail.study.study import Study, load_study

Settings = Mapping[str, Any] | str | os.PathLike[str]
"""A configuration: its keys, or the YAML file that has them."""


class Asked:
    """A configuration and its study.

    Attributes:
        document: the configuration as plain data.
        study: the catalogue, seen through it.
    """

    def __init__(self, config: Settings | None, budget: str | Mapping[str, Any] | None, protocol: str | None) -> None:
        """Read the configuration; ``budget`` and ``protocol`` come on top where they are given.

        Raises:
            LongtailError: if it cannot be read, or is wrong.
        """
        if config is None:
            given: Any = of_folder() if Path(CONFIG).exists() else {}
        elif isinstance(config, Mapping):
            given = config
        else:
            given = documents.read_yaml(Path(config))
            if not isinstance(given, Mapping):
                raise LongtailError(f"{os.fspath(config)} is no configuration: it has to be a mapping.")
        on_top = {"budget": budget, "protocol": protocol}
        self.document: dict[str, Any] = {
            "targets": ["digits"],
            **given,
            **{key: value for key, value in on_top.items() if value is not None},
            "partial": False,
        }
        self.study: Study = load_study(self.document)

    def measurement(self, method: str, dataset: str, ratio: int, seed: int) -> tuple[str, Measurement]:
        """The folder name of the split, and what is measured of a cell by the method's own readout.

        Raises:
            LongtailError: for a method, dataset, ratio or seed that there is not, or a method that the dataset refuses.
        """
        known = self.study.catalog.dataset(dataset)
        for name, value, least in (("ratio", ratio, 1), ("seed", seed, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise LongtailError(f"{name} is {value!r}; it is a whole number from {least} on.")
        if reason := self.study.catalog.method(method).refusal(known):
            raise LongtailError(f"{method} is not available on {dataset}: {reason}")
        cut = cut_name(known, ratio, self.study.config.budget)
        (found,) = self.study.cell_measurements(method, cut, seed)
        return cut, found

    def command(self, target: str) -> str:
        """What to type to have the workflow make a file."""
        told = [f"{key}={documents.flow(value)}" for key, value in self.document.items() if key not in _UNSAID]
        return shlex.join(["snakemake", "--cores", "all", target, *(["--config", *told] if told else [])])


_UNSAID = ("targets", "partial")


@contextmanager
def results_in(results: str | os.PathLike[str]) -> Iterator[str]:
    """Have all results lie in a folder within the block."""
    with layout.moved(os.fspath(results)):
        yield layout.RESULTS
