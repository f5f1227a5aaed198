"""What tables show of records: means over seeds, one for each kind of machine, and never of an outdated one."""

from __future__ import annotations

import dataclasses
import math
import re

import numpy as np
import pandas as pd
import pytest

from longtail.errors import LongtailError
from longtail.records.ledger import Ledger, groups
from longtail.records.record import Record, read_all
from longtail.reporting.aggregate import FRAME_TYPES
from longtail.reporting.from_records import recorded_places
from longtail.reporting.table import RenderedTable, render_table
from longtail.study.study import Study
from tests.records.makers import SHIPPED, record, study

ROW, PRINTED = "CE*", 70.4


@pytest.fixture(scope="module")
def asking() -> Study:
    return study()


def ce(asking: Study, *accuracies: float, **changes) -> list[Record]:
    """Records of CE on CIFAR-10-LT at ratio 100, one per seed."""
    return [
        record(asking, "ce", "cifar10-lt-ir100", seed, values={"accuracy": [value]}, **changes)
        for seed, value in enumerate(accuracies)
    ]


def rendered(asking: Study, records: list[Record], metrics: pd.DataFrame | None = None) -> RenderedTable:
    named = [dataclasses.replace(one, path=f"records/{number}.parquet") for number, one in enumerate(records)]
    plan = asking.table("iccl", "table1")
    return render_table(plan, metrics, recorded_places(plan, Ledger(named, asking).of("iccl", "table1")))


def line(table: RenderedTable) -> dict:
    frame = table.frame
    here = frame[(frame["row"] == ROW) & (frame["dataset"] == "CIFAR-10-LT") & (frame["ratio"] == 100)]
    (found,) = here.to_dict("records")
    return found


def shown(text: str) -> str:
    """The row of the method in Markdown."""
    (found,) = re.findall(r"^\| CE\\\* \|.*$", text, re.M)
    return found


def documents(table: RenderedTable, tmp_path) -> dict[str, str]:
    table.write(tmp_path, "table")
    return {form: (tmp_path / f"table.{form}").read_text() for form in ("md", "tex", "html", "csv")}


def test_seeds_are_averaged_and_held_against_print(asking):
    found = line(rendered(asking, ce(asking, 70.0, 71.0, 72.0)))
    assert found["published"] == PRINTED
    assert found["recorded"] == pytest.approx(71.0)
    assert found["recorded_std"] == pytest.approx(1.0)
    assert found["recorded_seeds"] == 3
    assert found["recorded_difference"] == pytest.approx(0.6)
    assert found["recorded_on"] == "some CPU in float32"
    assert found["recorded_in"].split() == [f"records/{number}.parquet" for number in range(3)]
    assert found["seeds"] == 0
    assert math.isnan(found["computed"])


@pytest.mark.parametrize(
    ("accuracies", "changes", "status"),
    [
        ((70.0, 71.0, 72.0), {}, "reproduced"),
        ((60.0, 61.0, 62.0), {}, "differs"),
        ((70.0, 71.0), {}, "computed"),  # the table has three seeds
        ((70.0, 71.0, 72.0), {"source": "mine", "label": "CIFAR-10-LT images: mine"}, "computed"),
        ((70.0, 71.0, 72.0), {"overlooked": ("dirty",)}, "computed"),
    ],
)
def test_reproduced_takes_all_seeds_and_the_data_as_printed(asking, accuracies, changes, status):
    assert line(rendered(asking, ce(asking, *accuracies, **changes)))["recorded_status"] == status


def test_every_format_shows_them_and_says_on_what_they_were_trained(asking, tmp_path):
    texts = documents(rendered(asking, ce(asking, 70.0, 71.0, 72.0)), tmp_path)
    assert rf"{PRINTED} \| 71.0 ± 1.0 (n=3)" in shown(texts["md"])
    assert r"70.4 $\mid$ 71.0\,$\pm$ 1.0\,(n=3)" in texts["tex"]
    assert '<span class="recorded reproduced" title="recorded: reproduced">71.0</span>' in texts["html"]
    for text in (texts["md"], texts["html"]):
        assert "Recorded on some CPU in float32." in text
        assert "3 training" not in text.partition("Recorded")[0]
    assert "Nothing in this table is computed" not in texts["md"]


def test_what_was_computed_here_stands_beside_it(asking, tmp_path):
    text = documents(rendered(asking, ce(asking, 71.0), pd.DataFrame()), tmp_path)["md"]
    assert rf"{PRINTED} \| 71.0 (n=1) \| —" in shown(text)
    assert r"Each cell shows published \| recorded \| computed." in text


def test_a_table_without_records_is_as_it_was(asking, tmp_path):
    text = documents(rendered(asking, [], pd.DataFrame()), tmp_path)["md"]
    assert rf"{PRINTED} \| —" in shown(text)
    assert "ecorded" not in text


def test_the_same_cell_twice_shows_both(asking, tmp_path):
    records = [*ce(asking, 70.0), *ce(asking, 72.0, created="2026-02-01T00:00:00+00:00")]
    table = rendered(asking, records)
    assert line(table)["recorded"] == 70.0
    assert line(table)["recorded_too"] == "72.0 (n=1, some CPU in float32)"
    text = documents(table, tmp_path)["md"]
    assert "70.0 (n=1)<sup>a</sup>; 72.0 (n=1)<sup>b</sup>" in shown(text)
    assert "b: recorded on some CPU in float32 (the same seeds, trained again)." in text


def test_other_machines_are_told_apart(asking, tmp_path):
    records = [*ce(asking, 70.0, 71.0), *ce(asking, 74.0, device="H200")]
    text = documents(rendered(asking, records), tmp_path)["md"]
    assert "70.5 ± 0.7 (n=2)<sup>a</sup>; 74.0 (n=1)<sup>b</sup>" in shown(text)
    assert "b: recorded on H200 in float32." in text


def test_an_outdated_record_is_named_and_not_used(asking, tmp_path):
    (old,) = ce(asking, 71.0)
    *before, last = old.spec["lineage"]
    spec = {**old.spec, "lineage": [*before, {**last, "version": 99}]}
    (other,) = ce(asking, 71.0, spec=spec)
    table = rendered(asking, [other])
    assert math.isnan(line(table)["recorded"])
    assert line(table)["outdated"] == "records/0.parquet"
    text = documents(table, tmp_path)["md"]
    assert "71.0" not in shown(text)
    assert "not shown: 1 outdated record of this cell, which the catalogue trains or measures otherwise now" in text


def test_other_data_are_labelled_above_the_table(asking, tmp_path):
    records = ce(asking, 71.0, source="mine", label="CIFAR-10 images: mine")
    assert "> **recorded values: CIFAR-10 images: mine**" in documents(rendered(asking, records), tmp_path)["md"]


def test_what_was_overlooked_is_said_above_the_table_and_beside_the_value(asking, tmp_path):
    table = rendered(asking, ce(asking, 71.0, overlooked=("dirty",)))
    said = "recorded although the code had changes that no commit has, or was in no checkout"
    assert f"> **recorded values: {said}**" in documents(table, tmp_path)["md"]
    assert line(table)["recorded_on"] == f"some CPU in float32; {said}"


def test_a_record_in_other_units_is_an_error(asking):
    wrong = record(asking, "ce", "cifar10-lt-ir100", values={"accuracy": [0.71]}, unit="ratio")
    with pytest.raises(LongtailError, match="must agree on the unit"):
        rendered(asking, [wrong])


def test_trials_of_a_seed_are_averaged_first(asking):
    records = [
        record(asking, "simclr", "cifar10-ir10", seed, values={"ACC": trials})
        for seed, trials in enumerate([[30.0, 34.0], [40.0, 42.0, 44.0]])
    ]
    plan = study(seeds=[0, 1])
    named = [dataclasses.replace(one, path=str(number)) for number, one in enumerate(records)]
    table = plan.table("conmix", "table2")
    places = recorded_places(table, Ledger(named, plan).of("conmix", "table2"))
    values = [
        value
        for entry, place in zip(table.entries, places, strict=True)
        for value in place.values
        if (entry.row, entry.metric, entry.dataset) == ("SimCLR", "ACC", "CIFAR-10")
    ]
    assert values
    assert {(value.mean, value.seeds) for value in values} == {(37.0, 2)}


def test_the_shipped_records_give_the_means_of_their_lines(asking):
    """Computed once more from the files, without any of the code that tables are made by."""
    ledger = Ledger(read_all(str(SHIPPED)), asking)
    plan = asking.table("digits", "table2")
    frame = render_table(plan, None, recorded_places(plan, ledger.of("digits", "table2"))).frame
    assert {name: str(kind) for name, kind in frame.dtypes.items()} == FRAME_TYPES
    (group,) = {group for group in groups(ledger.of("digits", "table2")) if group.copy == 0}
    values: dict[tuple[str, float], list[float]] = {}
    for one in ledger.records:
        lines = one.values().to_pylist()
        if (one.cut, one.objective, one.device) == ("digits-lt-ir10", "ride-reweighted", group.device):
            for each in lines:
                if each["metric"] == "accuracy" and each["readout"] == "classifier":
                    values.setdefault((one.cut, one.seed), []).append(each["value"])
    means = [np.mean(trials) for trials in values.values()]
    here = frame[(frame["row"] == "RIDE") & (frame["ratio"] == 10) & (frame["metric"] == "accuracy")].iloc[0]
    assert here["recorded"] == pytest.approx(np.mean(means), abs=1e-12)
    assert here["recorded_std"] == pytest.approx(np.std(means, ddof=1), abs=1e-12)
    assert here["recorded_seeds"] == len(means)
