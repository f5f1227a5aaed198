"""How long a network takes is measured without weights, data or an answer that depends on either."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from longtail.__main__ import main
from longtail.embedding import infer_time
from longtail.embedding.infer_time import milliseconds, untrained
from longtail.evaluation.score import Metric, _table
from longtail.files import read_provenance, read_table
from longtail.study.study import load_study
from longtail.training.specification import parse

SCORER = {"name": "inference", "reads": "network", "batch_size": 3, "warm_up": 9, "forwards": 9}
SCORER |= {"warm_up_on_cpu": 2, "forwards_on_cpu": 4}


def command(tmp_path: Path, spec: dict, features: str = "embedding", **scorer: object) -> int:
    told = json.dumps({**SCORER, **scorer})
    arguments = ["--spec", json.dumps(spec), "--features", features, "--scorer", told, "--gpus", "0", "--threads", "1"]
    return main(["job", "infer-time", *arguments, "--out", str(tmp_path / "m.parquet")])


class Counting(nn.Module):
    """Remembers the images and modes of its passes."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[tuple[int, ...], bool, bool]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append((tuple(images.shape), self.training, torch.is_grad_enabled()))
        return images.mean((1, 2, 3))


def test_only_passes_after_the_warm_up_count(monkeypatch):
    clock = iter([0.0, 9.0, 9.0, 17.0, 17.0, 17.5, 18.0, 18.25])
    monkeypatch.setattr(infer_time.time, "perf_counter", lambda: next(clock))
    network = Counting().eval()
    assert milliseconds(network, torch.zeros(3, 1, 2, 2), warm_up=2, forwards=2) == [500, 250]
    assert network.seen == [((3, 1, 2, 2), False, False)] * 4


def test_a_file_holds_the_median_and_says_on_what_and_how_it_was_measured(tmp_path, tools, monkeypatch):
    network = Counting()
    monkeypatch.setattr(infer_time, "untrained", lambda spec, features: network)
    monkeypatch.setattr(infer_time, "milliseconds", timed := lambda *given: [4.0, 1.0, 3.0, 100.0][: given[3]])
    assert command(tmp_path, tools.spec()) == 0
    (line,) = read_table(tmp_path / "m.parquet").to_pylist()
    assert (line.pop("metric"), line.pop("value"), line.pop("unit")) == ("infer_ms", 3.5, "ms")
    assert line == {"trial": 0, "class": None, "cluster": None, "parameter": None}
    facts = read_provenance(tmp_path / "m.parquet")
    assert facts["milliseconds"] == timed(None, None, None, 4)
    assert facts["scored"] == {"identity": "toy4", "seed": 0, "features": "embedding"}
    assert (facts["precision"], facts["threads"], facts["warm_up"]) == ("float32", 1, 2)
    assert facts["device"]
    assert facts["scorer"]["batch_size"] == 3
    assert not network.training


def test_its_columns_are_those_of_what_it_is_merged_with():
    assert infer_time.metrics(1.0).schema.equals(_table({0: [Metric("infer_ms", 1.0, "ms")]}).schema)


def test_images_are_as_large_as_the_network_sees_them(tmp_path, tools, monkeypatch):
    network = Counting()
    monkeypatch.setattr(infer_time, "untrained", lambda spec, features: network)
    assert command(tmp_path, tools.spec()) == 0
    assert network.seen == [((3, 1, 6, 6), False, False)] * (2 + 4)


@pytest.mark.parametrize(("features", "message"), [("heads", "'head'"), ("", "kind of features")])
def test_features_that_there_are_not_are_named(tmp_path, tools, capsys, features, message):
    assert command(tmp_path, tools.spec(), features) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "m.parquet").exists()


@pytest.mark.parametrize("scorer", [{"batch_size": 0}, {"forwards": 1.5}, {"warm_up_on_cpu": None}])
def test_a_protocol_that_is_none_is_named(tmp_path, tools, capsys, scorer):
    assert command(tmp_path, tools.spec(), **scorer) == 1
    assert next(iter(scorer)) in capsys.readouterr().err


@pytest.mark.parametrize("table", ["table1", "table2"])
def test_networks_of_the_tables_give_a_class_for_each_of_a_thousand(table):
    """Built as for a training, with no split: the backbone that is asked for, and every expert of RIDE."""
    study = load_study({"targets": [f"rescom_{table}"]})
    wanted = [m for m in study.measurements("rescom", table) if m.keys["readout"] == "network"]
    parameters = {}
    for measurement in wanted:
        spec = parse(study.phase(measurement.run.cut, measurement.run.name).spec(0))
        network = untrained(spec, measurement.keys["features"]).eval()
        with torch.no_grad():
            _, logits = network(torch.randn(1, 3, 64, 64))
        assert logits.shape == (1, 1000)
        parameters[measurement.keys["method"]] = sum(p.numel() for p in network.parameters())
    experts = [parameters[name] for name in ("ride-2", "ride", "ride-4")]
    assert experts[1] - experts[0] == experts[2] - experts[1] > 0
    assert len(wanted) == 4
