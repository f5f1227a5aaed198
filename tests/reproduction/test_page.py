"""The page of recorded against printed numbers: every number traced, large differences explained or open."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.records.ledger import Ledger
from longtail.records.record import Record, read_all
from longtail.reporting.curves import of_record
from longtail.reproduction.compared import Explanations
from longtail.reproduction.page import Page, everything, page_of, plural, recorded_tables, summary, write
from longtail.study.study import Study
from tests.records.makers import SHIPPED, record

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def asking() -> Study:
    return everything({})


def ce(asking: Study, accuracy: float, seed: int = 0, **changes) -> Record:
    made = record(asking, "ce", "cifar10-lt-ir100", seed, values={"accuracy": [accuracy]}, **changes)
    return dataclasses.replace(made, path=f"results/records/cells/{made.cut}/{made.name}")


def page_with(records: list[Record], asking: Study) -> Page:
    ledger = Ledger(records, asking)
    return page_of(ledger, recorded_tables(ledger))


@pytest.fixture(scope="module")
def page(asking) -> Page:
    """One value near the printed 70.4, and one far from the printed 77.0 of LDAM-DRW."""
    other = record(asking, "ldam-drw", "cifar10-lt-ir100", values={"accuracy": [60.0]})
    other = dataclasses.replace(other, path=f"results/records/cells/{other.cut}/{other.name}")
    return page_with([*(ce(asking, 71.0 + seed, seed) for seed in range(3)), other], asking)


def test_the_page_of_the_checkout_is_up_to_date(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    assert main(["recorded", "--page", str(tmp_path / "page")]) == 0
    targets = r"\]\([^)]*\)"  # links depend on where a page lies
    made, tracked = (
        re.sub(targets, "]", path.read_text()) for path in (tmp_path / "page.md", ROOT / "docs/reproduction.md")
    )
    assert made == tracked, "Run `make docs`."


def test_every_link_of_the_tracked_page_leads_somewhere():
    text = (ROOT / "docs/reproduction.md").read_text()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []


def test_every_commit_of_a_record_is_one_of_this_repository():
    commits = {
        training["revision"] for one in read_all(str(SHIPPED)) if not one.overlooked for training in one.trainings
    } | {revision for one in read_all(str(SHIPPED)) if not one.overlooked for revision in one.revisions}
    assert commits
    shallow = subprocess.run(["git", "rev-parse", "--is-shallow-repository"], cwd=ROOT, capture_output=True, text=True)
    if shallow.stdout.strip() != "false":
        pytest.skip("no whole git history here")
    known = [
        subprocess.run(["git", "merge-base", "--is-ancestor", commit, "HEAD"], cwd=ROOT, capture_output=True).returncode
        for commit in sorted(commits)
    ]
    assert known == [0] * len(commits)


def test_values_stand_beside_print_the_largest_difference_first(page):
    differences = [abs(one.difference) for one in page.compared]
    assert differences == sorted(differences, reverse=True)
    places = {(one.paper, one.table, one.row): one for one in page.compared}
    near = places["iccl", "table1", "CE*"]
    assert (near.published, near.value.mean, near.value.seeds) == ("70.4", 72.0, 3)
    assert near.difference == pytest.approx(1.6)
    assert not near.large
    far = places["iccl", "table1", "LDAM-DRW*"]
    assert far.difference == pytest.approx(-17.0)
    assert far.large
    assert {one.paper for one in page.compared} >= {"iccl", "rescom", "gloco"}  # all print CE


def test_a_large_difference_that_nobody_explained_is_open(page):
    assert {one.row for one in page.open} >= {"LDAM-DRW*"}
    assert page.explained == ()
    assert any(one.hints for one in page.open)
    assert "differences of more than 2 points are open" in summary(page)


def test_an_explanation_of_the_catalogue_is_shown_instead(asking, monkeypatch):
    why = "The printed number is of another network."
    spec = asking.catalog.papers["iccl"]
    explained = [{"tables": ["table1"], "rows": ["CE*"], "ratios": [100], "why": why}]
    monkeypatch.setitem(asking.catalog.papers, "iccl", {**spec, "explained": explained})
    page = page_with([ce(asking, 50.0)], asking)
    assert {(one.paper, one.explained) for one in page.explained} == {("iccl", why)}
    assert all(one.paper != "iccl" for one in page.open)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"tables": ["table99"]}, "There is no table of iccl"),
        ({"tables": ["table1"], "rows": ["CE"]}, "There is no row of iccl table1"),
    ],
)
def test_an_explanation_of_nothing_is_an_error(asking, monkeypatch, entry, said):
    spec = asking.catalog.papers["iccl"]
    monkeypatch.setitem(asking.catalog.papers, "iccl", {**spec, "explained": [{**entry, "why": "because of it"}]})
    with pytest.raises(LongtailError, match=re.escape(said)):
        Explanations(asking)


@pytest.mark.parametrize("form", ["md", "html"])
def test_every_number_names_its_file_and_commit(page, tmp_path, monkeypatch, form):
    monkeypatch.chdir(tmp_path)
    write(page, Path("results/page"))
    text = (tmp_path / f"results/page.{form}").read_text()
    for one in page.compared:
        assert one.published in text
        assert f"{one.value.mean:.{one.decimals}f}" in text
        for each in one.value.records:
            assert f"records/cells/{each.cut}/{each.name}" in text
            assert each.commit in text
    assert "open" in text.lower()
    assert ("<svg" in text) == (form == "html")


def test_pages_and_drawings_are_well_formed(page, tmp_path):
    write(page, tmp_path / "page")
    for name in ("scatter", "curves"):
        ElementTree.parse(tmp_path / f"page-{name}.svg")
    html = (tmp_path / "page.html").read_text()
    assert "http" not in re.sub(r'"http://www\.w3\.org/[^"]*"', "", html)  # nothing is fetched
    for tag in ("table", "tr", "td", "ul", "figure"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>")


def test_a_page_without_records(asking, tmp_path):
    page = page_with([], asking)
    write(page, tmp_path / "page")
    text = (tmp_path / "page.md").read_text()
    assert "No recorded value stands beside a printed number yet." in text
    assert "There are none." in text


def test_outdated_records_are_listed_as_such_and_drawn_nowhere(asking):
    made = ce(asking, 71.0)
    *before, last = made.spec["lineage"]
    old = ce(asking, 71.0, spec={"lineage": [*before, {**last, "version": 99}]})
    page = page_with([old], asking)
    assert [one.state for one in page.listed] == ["outdated"]
    assert page.compared == ()
    assert page.curves == ""
    assert sum(one.outdated for one in page.coverage) >= 1


def test_the_curve_of_a_recipe_is_one(asking):
    """SDCLR for 10 of 50 epochs, then ConMix on the same clock; what follows for cRT is on another."""
    records = {one.objective: one for one in read_all(str(SHIPPED)) if one.seed == 0 and "ir10" in one.cut}
    curve = of_record(records["conmix"])
    np.testing.assert_array_equal(curve.epochs, np.arange(1, 51))
    assert len(curve.losses) == 50
    assert curve.borders == (10,)
    curve = of_record(records["classifier-retraining"])
    np.testing.assert_array_equal(curve.epochs, np.arange(1, 51))
    assert curve.borders == (40,)


def test_numbers_have_their_nouns():
    assert [plural(number, "record") for number in (0, 1, 2)] == ["0 records", "1 record", "2 records"]
