"""The tables that are tracked under results/records and that docs/start.md shows: where they come from."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest

from longtail.files import read_provenance
from longtail.reporting.compare import WITHIN, compare, read

ROOT = Path(__file__).parents[2]
RECORDS = sorted((ROOT / "results" / "records" / "digits").glob("*.parquet"))


def lines_of_table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|") and "±" in line]


def test_there_are_records():
    assert RECORDS


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_a_record_says_how_it_was_made(path):
    facts = read_provenance(path)
    assert {"revision", "versions", "created", "python"} <= set(facts)
    assert not facts["revision"].endswith("-dirty")
    assert facts["revision"] != "unknown"


def test_the_first_page_shows_the_recorded_tables():
    tables = [ROOT / f"results/records/digits/{name}.md" for name in ("table1", "table2")]
    recorded = [lines_of_table(path.read_text(encoding="utf-8")) for path in tables]
    assert all(recorded)
    assert lines_of_table((ROOT / "docs/start.md").read_text(encoding="utf-8")) == [*chain.from_iterable(recorded)]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.name)
def test_records_of_other_processors_agree_as_well_as_chance_has_it(path):
    """``table1.avx2.parquet`` is the table of ``table1.parquet`` on another processor, where there is one."""
    first = path.with_name(f"{path.name.partition('.')[0]}.parquet")
    compared = compare(read(first), read(path))
    assert len(compared) == len(read(first).values)
    assert [one.place for one in compared if one.verdict != WITHIN] == []
