"""The whole study: a catalogue seen through a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longtail.errors import LongtailError, unknown
from longtail.study import catalog as catalogue
from longtail.study import config as configuration
from longtail.study.artefacts import Artefacts
from longtail.study.catalog import Catalog
from longtail.study.cells import asked_cells
from longtail.study.config import Config


class Study(Artefacts):
    """A catalogue seen through a configuration."""

    def __init__(self, config: Config, catalog: Catalog) -> None:
        """Check that every name in the configuration exists."""
        super().__init__(config, catalog)
        for name in config.methods or ():
            catalog.method(name)
        for name in config.datasets or ():
            catalog.dataset(name)
        image_sets = {dataset.images["name"] for dataset in catalog.datasets.values()} | self.corrupted_sets()
        for name in config.data:
            if name not in image_sets:
                raise unknown("image set (config: data)", name, image_sets)
        for paper, spec in catalog.papers.items():
            for asked in asked_cells(spec):
                lacking = [key for key in ("method", "dataset", "ratio") if key not in asked]
                if lacking and "average_of" not in asked:
                    raise LongtailError(f"{paper}: a cell lacks {', '.join(lacking)}; what it has is {dict(asked)}.")
        for target in config.targets:
            self.artefacts(target)


def load_study(config: Mapping[str, Any], root: Path = catalogue.CATALOG) -> Study:
    """The study behind a configuration.

    Args:
        config: plain data as Snakemake merged it from ``config.yaml`` and the command line.
        root: the catalogue.

    Raises:
        LongtailError: naming the place and the way out for the first thing that is wrong.
    """
    catalog = catalogue.load(root, configuration.own_catalogs(config))
    return Study(configuration.parse(config, catalog.budgets), catalog)
