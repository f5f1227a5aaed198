"""Targets as they are typed: whatever is suggested in place of a mistyped one is a target."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.study import asked, layout
from longtail.study.study import load_study

STUDIES = {
    view: load_study({"targets": ["digits"], **config})
    for view, config in {"": {}, "smoke": {"budget": "smoke"}, "paper-protocol": {"protocol": "paper"}}.items()
}
STUDY = STUDIES[""]
NAMES = [*STUDY.targets(), "all", "plan", "status", "discrepancies"]


def check(target, study=STUDY):
    asked.check(study, target, NAMES, set(asked._files(study)).__contains__)


def suggestion(target, study=STUDY):
    with pytest.raises(LongtailError) as caught:
        check(target, study)
    found = re.search(r"Did you mean '([^']*)'\?", str(caught.value))
    return found and found[1]


@st.composite
def cells(draw):
    """The file of a cell of images."""
    method = draw(st.sampled_from([name for name, one in STUDY.catalog.methods.items() if one.reads == "images"]))
    dataset = draw(st.sampled_from(["digits", "cifar10", "cifar20", "stl10"]))
    return layout.cell("", method, f"{dataset}-ir{draw(st.integers(1, 500))}", draw(st.integers(0, 2**31 - 1)))


FILES = sorted(path for files in STUDY.targets().values() for path in files)
TARGETS = st.sampled_from(NAMES) | st.sampled_from(FILES) | cells()


@st.composite
def mistyped(draw):
    """A target with one slip: a character too much, too few, another, two exchanged, or letters of another case."""
    text = draw(TARGETS)
    place = draw(st.integers(0, len(text) - 1))
    slip = draw(st.sampled_from(["more", "less", "other", "exchanged", "case", "capital"]))
    other = draw(st.sampled_from("abcxyz019_-."))
    before, at, after = text[:place], text[place], text[place + 1 :]
    return {
        "more": before + at + other + after,
        "less": before + after,
        "other": before + other + after,
        "exchanged": before + after[:1] + at + after[1:],
        "case": text.upper(),
        "capital": before + at.upper() + after,
    }[slip]


@given(TARGETS)
def test_a_target_is_one(target):
    check(target)


@given(mistyped())
def test_a_mistyped_target_is_another_one_or_its_suggestion_is_one(target):
    try:
        check(target)
    except LongtailError:
        meant = suggestion(target)
        assert meant is not None, target
        check(meant)


@given(st.text(max_size=40) | st.text("results/tbcd-_.0123{}*", max_size=40).map("results/{}".format))
def test_any_text_is_a_target_or_one_clear_error(target):
    try:
        check(target)
    except LongtailError as error:
        assert repr(target) in str(error)  # noqa: PT017 - either outcome is fine, anything else is a crash


@pytest.mark.parametrize(
    ("target", "complaint", "meant"),
    [
        ("conmix_tabel2", "no target 'conmix_tabel2'", "conmix_table2"),
        ("CONMIX_TABLE2", "Targets are papers (conmix, ", "conmix_table2"),
        ("table2", "no target", "digits_table2"),
        ("conmix/table2", "no target", "conmix_table2"),
        ("conmix_table2.md", "no target", "conmix_table2"),
        (
            "results/tables/conmix/table22.md",
            "there is no table of conmix 'table22'",
            "results/tables/conmix/table2.md",
        ),
        ("results/tables/conmx/table2.md", "there is no paper 'conmx'", "results/tables/conmix/table2.md"),
        ("results/tables/conmix/table2.html5", "there is no format of tables", "results/tables/conmix/table2.html"),
        ("results/tables/conmix/table2.md/x", "is no folder", "results/tables/conmix/table2.md"),
        ("results/tables/conmix/table2", "no format of tables ''", None),
        ("results/tables/conmix", "it is a folder", "conmix"),
        ("results/tables/conmix/figure1.md", "figure1 of conmix is a figure", None),
        ("results/figures/conmix/table1.png", "table1 of conmix is a table", None),
        ("results/table/conmix/table2.md", "no target", "results/tables/conmix/table2.md"),
        ("tables/conmix/table2.md", "no target", "results/tables/conmix/table2.md"),
        ("results/smoke/tables/conmix/table2.md", "it lies in results/smoke/", "results/tables/conmix/table2.md"),
        (
            "results/cells/SimCLR/cifar10-ir10/seed0.parquet",
            "no method 'SimCLR'",
            "results/cells/simclr/cifar10-ir10/seed0.parquet",
        ),
        (
            "results/cells/simclr/CIFAR10-ir10/seed0.parquet",
            "no dataset for simclr",
            "results/cells/simclr/cifar10-ir10/seed0.parquet",
        ),
        (
            "results/cells/simclr/digits-ir2.5/seed0.parquet",
            "a whole number",
            "results/cells/simclr/digits-ir2/seed0.parquet",
        ),
        (
            "results/cells/simclr/digits-ir0/seed0.parquet",
            "at least 1",
            "results/cells/simclr/digits-ir1/seed0.parquet",
        ),
        (
            "results/cells/simclr/digits-ir010/seed0.parquet",
            "is called 'digits-ir10'",
            "results/cells/simclr/digits-ir10/seed0.parquet",
        ),
        (
            "results/cells/simclr/digits-h100-ir10/seed0.parquet",
            "is called 'digits-ir10'",
            "results/cells/simclr/digits-ir10/seed0.parquet",
        ),
        (
            "results/cells/simclr/digits/seed0.parquet",
            "a whole number",
            "results/cells/simclr/digits-ir10/seed0.parquet",
        ),
        (
            "results/cells/simclr/digits-ir10/seed-1.parquet",
            "with a seed",
            "results/cells/simclr/digits-ir10/seed1.parquet",
        ),
        (
            "results/cells/simclr/digits-ir10/seed007.parquet",
            "with a seed",
            "results/cells/simclr/digits-ir10/seed7.parquet",
        ),
        ("results/cells/simclr/digits-ir10/3.parquet", "with a seed", "results/cells/simclr/digits-ir10/seed3.parquet"),
        (
            "results/cells/simclr/digits-ir10/seed9999999999.parquet",
            "with a seed",
            "results/cells/simclr/digits-ir10/seed2147483647.parquet",
        ),
        ("results/cells/simclr/digits-ir10", "the file of a cell is", "results/cells/simclr/digits-ir10/seed0.parquet"),
        (
            "result/cells/simclr/digits-ir10/seed0.parquet",
            "no target",
            "results/cells/simclr/digits-ir10/seed0.parquet",
        ),
        ("results/datasets/cifr10/train/images.npy", "no target", "results/datasets/cifar10/train/images.npy"),
    ],
)
def test_what_is_wrong_with_a_target_and_what_was_meant(target, complaint, meant):
    with pytest.raises(LongtailError) as caught:
        check(target)
    assert complaint in str(caught.value)
    found = suggestion(target)
    if meant is not None:
        assert found == meant
    check(found)


@pytest.mark.parametrize(("view", "study"), STUDIES.items())
def test_a_file_of_another_view_is_told_the_own_one(view, study):
    for other in STUDIES:
        target = layout.table(other, "conmix", "table2")[0]
        if other == view:
            check(target, study)
        else:
            assert suggestion(target, study) == layout.table(view, "conmix", "table2")[0]


def test_a_cell_of_the_papers_length_is_told_the_split_of_a_toy():
    found = suggestion("results/cells/simclr/digits-ir10/seed0.parquet", STUDIES["smoke"])
    assert found == "results/smoke/cells/simclr/digits-h100-ir10/seed0.parquet"
    check(found, STUDIES["smoke"])


def test_a_cell_that_no_method_can_read_is_told_one_that_can_be():
    found = suggestion("results/cells/text-conmix/digits-ir10/seed0.parquet")
    assert found.startswith("results/cells/text-conmix/")
    check(found)


def test_a_file_that_is_named_from_the_root_is_told_as_seen_from_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert suggestion(f"{tmp_path}/results/tables/conmix/table2.md") == "results/tables/conmix/table2.md"


def test_what_resembles_nothing_gets_no_suggestion():
    assert suggestion("../x") is None
    assert suggestion("README.md") is None


@given(st.lists(st.sampled_from([*STUDY.targets()]), min_size=1, max_size=4, unique=True))
def test_a_plan_is_of_the_names_that_stand_beside_it(names):
    assert asked.of_overview(STUDY, names) == names


@given(st.sampled_from([name for name in STUDY.targets() if "_" in name]))
def test_or_of_what_their_files_belong_to(name):
    assert asked.of_overview(STUDY, STUDY.targets()[name]) == [name]
    ((paper, _, artefact),) = STUDY.artefacts(name)
    assert asked.of_overview(STUDY, [layout.merged("", paper, artefact)]) == [name]


def test_or_of_the_configuration():
    assert asked.of_overview(STUDY, []) == asked.of_overview(STUDY, ["all"]) == ["digits"]
    assert asked.of_overview(STUDY, ["all", "conmix", "digits"]) == ["digits", "conmix"]


@pytest.mark.parametrize(
    "target",
    [
        "conmix_tabel2",
        "discrepancies",
        "results/tables/conmix/table22.md",
        "results/smoke/tables/conmix/table2.md",
        "results/cells/simclr/digits-ir10/seed0.parquet",
        "results/datasets/digits-ir10/train.parquet",
        "../x",
    ],
)
def test_there_is_no_plan_of_anything_else(target):
    with pytest.raises(LongtailError, match=re.escape(repr(target))):
        asked.of_overview(STUDY, [target])
