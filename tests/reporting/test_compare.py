"""Two runs of a table: what lies within the seeds' spread, what does not, and what cannot be compared."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail import files
from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.reporting.aggregate import FRAME_TYPES, NOT_RECORDED
from longtail.reporting.compare import OUTSIDE, UNJUDGED, WITHIN, Side, Value, compare, page, read
from longtail.reporting.table import render_table

from .makers import entry, lines, metrics, plan

RECORD = Path(__file__).parents[2] / "results" / "records" / "digits" / "table1.parquet"


def frame(*values: tuple[str, float | None, float | None, int], **changes: Any) -> pd.DataFrame:
    """A table's tidy frame with a line per (row, mean, std, seeds)."""
    blank = {"paper": "toy", "table": "table1", "group": "", "dataset": "digits", "ratio": 10.0, "metric": "ACC"}
    blank |= {"unit": "percent", "trials": 1, "status": "computed", "reason": "", "label": "", **NOT_RECORDED}
    records = [
        {**blank, "row": row, "computed": mean, "computed_std": std, "seeds": seeds, **changes}
        for row, mean, std, seeds in values
    ]
    return pd.DataFrame(records, columns=list(FRAME_TYPES)).astype(FRAME_TYPES)


def written(path: Path, *values: tuple[str, float | None, float | None, int], **changes: Any) -> Path:
    files.write_table(path, pa.Table.from_pandas(frame(*values, **changes), preserve_index=False))
    return path


def side(*values: tuple[float, float, int]) -> Side:
    places = [("toy", "table1", f"row {index}", "", "digits", "10", "ACC") for index in range(len(values))]
    found = {place: Value(*value, "percent") for place, value in zip(places, values, strict=True)}
    return Side("a run", found, ("",), ("1",))


def verdicts(first: Side, second: Side) -> dict[str, str]:
    return {one.place[2]: one.verdict for one in compare(first, second)}


means = st.floats(-100, 100)
spreads = st.one_of(st.just(0.0), st.just(math.nan), st.floats(1e-3, 50))


@st.composite
def sides(draw: st.DrawFn) -> tuple[Side, Side]:
    def value() -> tuple[float, float, int]:
        std = draw(spreads)
        return draw(means), std, 1 if math.isnan(std) else draw(st.integers(2, 10))

    count = draw(st.integers(1, 6))
    return side(*(value() for _ in range(count))), side(*(value() for _ in range(count)))


@given(sides())
def test_a_run_lies_within_itself(both: tuple[Side, Side]) -> None:
    run, _ = both
    assert set(verdicts(run, run).values()) == {WITHIN}


@given(sides())
def test_it_does_not_matter_which_is_first(both: tuple[Side, Side]) -> None:
    assert verdicts(*both) == verdicts(*reversed(both))


@given(sides())
def test_the_worst_come_first_and_each_once(both: tuple[Side, Side]) -> None:
    found = [one.verdict for one in compare(*both)]
    assert found == sorted(found, key=[OUTSIDE, UNJUDGED, WITHIN].index)
    assert len(found) == len(both[0].values)
    page(*both, compare(*both))


@given(sides(), st.floats(-50, 50))
def test_more_values_never_make_one_stand_out(both: tuple[Side, Side], mean: float) -> None:
    """What lies within alone lies within among others, since all of them share one risk."""
    first, second = both
    alone = [verdicts(Side("a", {p: first.values[p]}, ("",), ()), Side("b", {p: second.values[p]}, ("",), ()))
             for p in first.values]  # fmt: skip
    together = verdicts(first, second)
    for one in alone:
        ((row, verdict),) = one.items()
        assert together[row] == verdict or (verdict, together[row]) == (OUTSIDE, WITHIN)


def test_draws_of_one_distribution_lie_within_about_as_often_as_promised() -> None:
    draw = np.random.default_rng(0)

    def run() -> Side:
        samples = draw.normal(50, 3, size=(24, 3))
        return side(*((sample.mean(), sample.std(ddof=1), 3) for sample in samples))

    agree = [set(verdicts(run(), run()).values()) == {WITHIN} for _ in range(200)]
    assert np.mean(agree) >= 0.95


def test_another_distribution_is_noticed() -> None:
    first, second = side(*[(50.0, 1.0, 5)] * 48), side(*[(50.0, 1.0, 5)] * 47, (60.0, 1.0, 5))
    found = verdicts(first, second)
    assert [row for row, verdict in found.items() if verdict == OUTSIDE] == ["row 47"]


@pytest.mark.parametrize(
    ("first", "second", "verdict"),
    [
        ((75.7, 0.0, 3), (75.7, 0.0, 3), WITHIN),
        ((75.7, 0.0, 3), (75.7 + 1e-5, 1e-14, 3), WITHIN),
        ((75.7, 0.0, 3), (75.8, 0.0, 3), OUTSIDE),
        ((0.5, 0.0, 3), (0.501, 0.0, 3), OUTSIDE),
        ((75.7, 0.0, 3), (75.8, math.nan, 1), OUTSIDE),
        ((75.7, 0.0, 3), (75.8, 1.0, 3), WITHIN),
        ((75.7, math.nan, 1), (75.7, math.nan, 1), WITHIN),
        ((75.7, math.nan, 1), (75.8, math.nan, 1), UNJUDGED),
        ((75.7, 1.0, 5), (77.0, math.nan, 1), WITHIN),
        ((75.7, 1.0, 5), (85.0, math.nan, 1), OUTSIDE),
    ],
)
def test_without_spread_or_with_one_seed(
    first: tuple[float, float, int], second: tuple[float, float, int], verdict: str
) -> None:
    assert verdicts(side(first), side(second)) == {"row 0": verdict}


def command(*paths: Path) -> int:
    return main(["compare", *map(str, paths)])


@pytest.mark.parametrize(("difference", "verdict"), [(2.0, WITHIN), (200.0, OUTSIDE)])
def test_seeds_of_a_training_that_agree_by_chance_spread_as_others_do(difference: float, verdict: str) -> None:
    def of(row: str, metric: str) -> tuple[str, ...]:
        return ("toy", "table1", row, "", "digits", "10", metric)

    first = {
        of("trained", "ACC"): Value(90.0, 1.0, 3, "percent"),
        of("trained", "many"): Value(98.0, 0.0, 3, "percent"),
        of("other", "many"): Value(97.0, 1.0, 3, "percent"),
        of("control", "many"): Value(60.0, 0.0, 3, "percent"),
    }
    second = {
        **first,
        of("trained", "many"): Value(98.0 - difference, 0.0, 3, "percent"),
        of("control", "many"): Value(60.1, 0.0, 3, "percent"),
    }
    found = compare(Side("A", first, ("",), ("1",)), Side("B", second, ("",), ("1",)))
    judged = {one.place: one for one in found}
    assert judged[of("trained", "many")].verdict == verdict
    assert judged[of("trained", "many")].plain == judged[of("other", "many")].plain
    assert judged[of("control", "many")].verdict == OUTSIDE


def test_the_command_says_how_many_lie_within(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.parquet", ("SimCLR", 50.0, 2.0, 3), ("Pixels", 75.7, 0.0, 3), ("MoCo", 60.0, 1.0, 3))
    near = written(tmp_path / "b.parquet", ("SimCLR", 52.0, 2.5, 3), ("Pixels", 75.7, 0.0, 3), ("MoCo", None, None, 0))
    far = written(tmp_path / "c.parquet", ("SimCLR", 52.0, 2.5, 3), ("Pixels", 74.7, 0.0, 3), ("BYOL", 1.0, 1.0, 3))
    assert command(a, near) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "2 of 2 values lie within, 0 outside; in A only: 1."
    assert "Beyond it lie 0 of 1 values; 0.1 are expected by chance" in out
    assert "not made alike" not in out
    assert command(a, far) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == "1 of 2 values lie within, 1 outside; in A only: 1; in B only: 1."
    rows = [line for line in out.splitlines() if line.startswith("| toy")]
    assert [re.search(r"Pixels|SimCLR", row)[0] for row in rows] == ["Pixels", "SimCLR"]  # type: ignore[index]
    assert OUTSIDE in rows[0]
    assert "-1" in rows[0]


def test_single_seeds_that_differ_are_not_said_to_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = (written(tmp_path / f"{mean}.parquet", ("SimCLR", mean, None, 1)) for mean in (50.0, 50.1))
    assert command(a, b) == 1
    assert "1 cannot be judged: they differ, and each is a single seed." in capsys.readouterr().out


def test_runs_that_were_not_made_alike_are_called_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = written(tmp_path / "a.parquet", ("SimCLR", 50.0, 2.0, 3))
    b = written(tmp_path / "b.parquet", ("SimCLR", 50.0, 2.0, 3), label="budget smoke (toy length)")
    assert command(a, b) == 0
    out = capsys.readouterr().out
    assert "They were not made alike" in out
    assert "budget smoke (toy length)" in out


def test_many_values_are_cut_to_the_worst(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [(f"row {index}", float(index), 1.0, 3) for index in range(50)]
    a = written(tmp_path / "a.parquet", *values)
    b = written(tmp_path / "b.parquet", *((row, mean + 100 * (mean >= 20), *rest) for row, mean, *rest in values))
    assert command(a, a) == 0
    assert "... and 30 more that lie within." in capsys.readouterr().out
    assert command(a, b) == 1
    out = capsys.readouterr().out
    assert sum(OUTSIDE in line for line in out.splitlines()) == 30
    assert "... and 20 more that lie within." in out


def test_folders_of_results_and_of_records(tmp_path: Path) -> None:
    for name in ("table1", "table2"):
        written(tmp_path / "results" / "tables" / "toy" / f"{name}.parquet", ("SimCLR", 50.0, 2.0, 3), table=name)
        written(tmp_path / "records" / "toy" / f"{name}.avx2.parquet", ("SimCLR", 51.0, 2.0, 3), table=name)
    files.write_table(tmp_path / "records" / "toy" / "figure1.parquet", pa.table({"series": ["SimCLR"]}))
    files.write_table(tmp_path / "results" / "metrics" / "toy.parquet", pa.table({"metric": ["ACC"]}))
    results, records = read(tmp_path / "results"), read(tmp_path / "records")
    assert set(results.values) == set(records.values)
    assert len(results.values) == 2
    assert command(tmp_path / "results", tmp_path / "records" / "toy") == 0
    assert command(tmp_path / "results", tmp_path / "records" / "toy" / "table2.avx2.parquet") == 0


def test_a_rendered_table_can_be_compared_with_averages_in_it(tmp_path: Path) -> None:
    first, second = entry("ConMix"), entry("ConMix", dataset="CIFAR-20")
    both = entry("ConMix", group="Average", ratio=None, cell=None, members=(first.cell, second.cell))
    data = metrics(lines(first.cell, "ACC", [[50.0], [51.0]]))
    table = render_table(plan(first, both, entry("CC", missing="not implemented yet"), seeds=(0, 1)), data)
    table.write(tmp_path, "table")
    run = read(tmp_path / "table.parquet")
    assert {place[5] for place in run.values} == {"", "10"}
    assert command(tmp_path / "table.parquet", tmp_path) == 0


def unusable(kind: str, folder: Path) -> Path:
    path = folder / "unusable.parquet"
    if kind == "another study":
        return written(path, ("SimCLR", 50.0, 2.0, 3), paper="other")
    if kind == "nothing computed":
        return written(path, ("SimCLR", None, None, 0))
    if kind == "another unit":
        return written(path, ("SimCLR", 0.5, 0.02, 3), unit="ratio")
    if kind == "twice":
        return written(path, ("SimCLR", 50.0, 2.0, 3), ("SimCLR", 50.0, 2.0, 3))
    if kind == "the same table twice":
        written(folder / "twice" / "one.parquet", ("SimCLR", 50.0, 2.0, 3))
        written(folder / "twice" / "two.parquet", ("SimCLR", 50.0, 2.0, 3))
        return folder / "twice"
    if kind == "empty folder":
        (folder / "empty").mkdir()
        return folder / "empty"
    if kind == "no table":
        files.write_table(path, pa.table({"metric": ["ACC"]}))
    if kind == "no Parquet":
        path.write_text("row,metric\n", encoding="utf-8")
    if kind in ("truncated", "damaged"):
        content = bytearray(RECORD.read_bytes())
        values = pq.read_metadata(RECORD).row_group(0).column([*FRAME_TYPES].index("computed"))
        content[values.data_page_offset + values.total_compressed_size - 8] ^= 0xFF  # behind the page's header
        path.write_bytes(content[:-100] if kind == "truncated" else content)
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("gone", "does not exist"),
        ("truncated", "not a readable Parquet"),
        ("damaged", "not a readable Parquet"),
        ("no Parquet", "not a readable Parquet"),
        ("no table", "is no table, or one of an older version: it lacks paper"),
        ("empty folder", "There is no table in"),
        ("another study", "no computed value in common"),
        ("nothing computed", "no computed value in common"),
        ("another unit", "SimCLR, digits at 10, ACC is in "),
        ("twice", "twice"),
        ("the same table twice", "are the same table. Compare the two files"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_unusable_input_is_named_and_no_difference(
    kind: str, says: str, order: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = written(tmp_path / "good.parquet", ("SimCLR", 50.0, 2.0, 3))
    assert command(*[good, unusable(kind, tmp_path)][::order]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1


def test_the_recorded_table_lies_within_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(RECORD, RECORD) == 0
    values = len(read(Path(RECORD)).values)
    assert values
    assert capsys.readouterr().out.endswith(f"{values} of {values} values lie within, 0 outside.\n")


def test_an_error_names_both_runs() -> None:
    with pytest.raises(LongtailError, match="a run and a run have no computed value in common"):
        compare(side((1.0, 1.0, 3)), Side("a run", {}, (), ()))
