"""The trainings of a study: the phase behind each cell, and the phases that it goes on from."""

from __future__ import annotations

import functools
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from longtail.errors import LongtailError
from longtail.study import layout, phases
from longtail.study.cells import Cell, asked_cells
from longtail.study.layout import Run
from longtail.study.phases import Phase, canonical
from longtail.study.sets import Sets


class Trainings(Sets):
    """What is trained on a catalogue's splits under a configuration."""

    def run(self, cell: Cell, seed: int) -> Run:
        """The folder of a cell's trained (or untrained) features."""
        method, dataset = self.catalog.method(cell.method), self.catalog.dataset(cell.dataset)
        if method.control is not None:
            if json.loads(cell.settings):
                raise LongtailError(f"The control {method.name!r} has no settings to override.")
            phases.require_fit(method, dataset)
            cut = phases.cut_name(dataset, cell.ratio, self.config.budget)
            return Run("controls", cut, method.control, seed)
        phase = self.trained(cell, seed)
        return Run("phases", phase.cut, phase.name, seed)

    def trained(self, cell: Cell, seed: int) -> Phase:
        """The phase whose features a cell has; of a control there is none, and must not be asked for."""
        phase = self._final(cell.method, cell.settings, cell.backbone, cell.dataset, cell.ratio)
        if self.config.pretraining_seed not in (None, seed):
            phase = phases.pretrained_with(phase, self.config.pretraining_seed)
        return phase

    @functools.cache  # noqa: B019 - a study lives as long as its process
    def _final(self, method: str, overrides: str, backbone: str, dataset: str, ratio: int) -> Phase:
        return phases.final_phase(
            self.catalog.method(method),
            json.loads(overrides),
            backbone,
            self.catalog.dataset(dataset),
            ratio,
            self.config,
            self.catalog,
        )

    @functools.cache  # noqa: B019 - a study lives as long as its process
    def phases_of(self, cut: str) -> Mapping[str, Phase]:
        """Every phase that a recipe of the catalogue, or an override of a table, trains on a split, by folder name."""
        found: dict[str, Phase] = {}
        leaves: dict[Any, list[int]] = defaultdict(list)
        for final in self.finals(cut).values():
            finals = [final]
            if self.config.pretraining_seed is not None:
                finals.append(phases.pretrained_with(final, self.config.pretraining_seed))
            for phase in (step for each in finals for step in phases.steps(each)):
                if phase.name not in found:
                    found[phase.name] = phase
                    leaves[phases.stretch_key(phase)].append(phase.lineage[-1].last_epoch)
        return {name: phases.cut_at(phase, leaves) for name, phase in found.items()}

    @functools.cache  # noqa: B019 - a study lives as long as its process
    def finals(self, cut: str) -> Mapping[tuple[str, str, str], Phase]:
        """Where recipes of the catalogue, and overrides of tables, end on a split: by method, settings, backbone."""
        dataset, ratio = self.dataset_of(cut)
        fitting = {name for name, m in self.catalog.methods.items() if m.recipe and m.reads == dataset.holds}
        refused = {name for name, m in self.catalog.methods.items() if m.refusal(dataset)}
        wanted = {(name, "{}", self.backbone(dataset)) for name in fitting}
        for spec in self.catalog.papers.values():
            for asked in asked_cells(spec):
                here = asked.get("dataset") == dataset.name and asked.get("ratio") == ratio
                if here and not asked.keys().isdisjoint(("settings", "backbone")):
                    backbone = self.backbone(dataset, asked.get("backbone"))
                    wanted.add((asked["method"], canonical(asked.get("settings", {})), backbone))
        return {
            (name, overrides, backbone): self._final(
                self.catalog.method(name).name, overrides, backbone, dataset.name, ratio
            )
            for name, overrides, backbone in sorted(wanted)
            if name not in self.catalog.planned["methods"] and name not in refused
        }

    def phase(self, cut: str, name: str) -> Phase:
        """The phase in a folder.

        Raises:
            LongtailError: if no recipe arrives there, e.g. because the folder is of another budget or protocol.
        """
        known = self.phases_of(cut)
        if name not in known:
            raise LongtailError(
                f"No recipe trains {name!r} on {cut!r} under this configuration "
                f"(budget {self.config.budget.name}, protocol {self.config.protocol}). "
                f"Its phases are {', '.join(sorted(known))}."
            )
        return known[name]

    def starts_from(self, cut: str, name: str) -> str | None:
        """The folder of the published weights that the job of a phase makes its networks from; None if it needs none.

        A job that goes on with the networks of another one has all weights from there.
        """
        phase = self.phase(cut, name)
        backbone = json.loads(phase.backbone)
        if "weights" not in backbone or phase.parent_epoch is not None or phase.lineage[-1].start == "continue":
            return None
        return layout.weights_folder(backbone["name"], backbone["weights"])

    def parent(self, cut: str, name: str) -> Phase | None:
        """The phase whose checkpoint the training of another starts from."""
        parent = self.phase(cut, name).parent
        return None if parent is None else self.phase(cut, parent.name)

    def parent_run(self, run: Run) -> Run | None:
        """The run whose checkpoint the training of another starts from."""
        parent = self.parent(run.cut, run.name)
        if parent is None:
            return None
        return Run(run.kind, run.cut, parent.name, self.phase(run.cut, run.name).parent_seed(run.seed))

    def lineage(self, cut: str, name: str) -> list[Phase]:
        """The phase and all that must be trained before it, the latest first."""
        chain = [self.phase(cut, name)]
        while (parent := self.parent(cut, chain[-1].name)) is not None:
            chain.append(parent)
        return chain
