"""The ten lines of docs/own-method.md train, and the cell that the page asks for exists."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import torch

from longtail.methods.base import Batch
from longtail.study.study import load_study
from longtail.training.build import build
from longtail.training.specification import parse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/own-method.md").read_text()
FILES = dict(re.findall(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```", PAGE, re.M | re.S))
CODE, ENTRY = "workflow/longtail/methods/clustering/alignment.py", "workflow/catalog/methods/alignment.yaml"


def test_the_page_has_the_two_files_and_they_are_new() -> None:
    assert set(FILES) == {CODE, ENTRY}
    assert not any((ROOT / name).exists() for name in FILES)
    assert len([line for line in FILES[CODE].splitlines() if line.strip()]) <= 10


def test_the_method_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = tmp_path / "mine/methods/alignment.yaml"
    entry.parent.mkdir(parents=True)
    entry.write_text(FILES[ENTRY].replace("longtail.methods.clustering.alignment", "alignment_of_the_page"))
    (tmp_path / "alignment_of_the_page.py").write_text(FILES[CODE])
    monkeypatch.syspath_prepend(tmp_path)

    (command,) = re.findall(r"^snakemake (.+)$", PAGE, re.M)
    method, cut, seed = Path(shlex.split(command)[-1]).with_suffix("").parts[-3:]
    study = load_study({"targets": ["digits"], "catalog": [str(tmp_path / "mine")]})
    (measurement,) = study.cell_measurements(method, cut, int(seed.removeprefix("seed")))
    spec = parse(study.phase(cut, measurement.run.name).spec(0)).with_rows(12, [3] * 4)
    objective = build(spec)

    torch.manual_seed(0)
    views = (torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8))
    loss = objective.loss(Batch(views, (torch.arange(6),) * 2, torch.Generator()))["loss"]
    a, b = (torch.nn.functional.normalize(objective.encoder("projection")(view).float()) for view in views)
    torch.testing.assert_close(loss, torch.stack([(u - v) @ (u - v) for u, v in zip(a, b, strict=True)]).mean())
    loss.backward()
    assert any(weights.grad is not None and weights.grad.any() for weights in objective.parameters())
