"""Which tables and figures of ResCom on the large sets show one and the same training."""

from __future__ import annotations

import functools
import json

import pytest

from longtail.study.study import Study, load_study


@functools.cache
def study() -> Study:
    return load_study({"targets": ["rescom"]})


def shown(name: str) -> dict[tuple[str, ...], str]:
    """The training behind each row (and group) of a table, or cell of a figure."""
    runs = {
        json.dumps({key: value for key, value in m.keys.items() if key not in ("seed", "run")}, sort_keys=True): m.run
        for m in study().measurements("rescom", name)
    }
    if "table" in name:
        places = [((e.row, e.group), e.cell) for e in study().table("rescom", name).entries if e.cell]
    else:
        places = []
        for figure in study().figure("rescom", name).cells:
            places.append(((figure.label, figure.group), figure.cell))
    return {place: runs[json.dumps(cell, sort_keys=True)].folder for place, cell in places}


X50 = ("ResCom", "ResNeXt-50")
R50 = ("ResCom", "ResNet-50")
MAIN = ("SupCon + CBL + CBQ + SPM + SiamBS", "")
SUPCON, CBL = ("SupCon + BalSfx", ""), ("SupCon + CBL + BalSfx", "")


@pytest.mark.parametrize(
    ("one", "place", "other", "there"),
    [
        ("table1", R50, "table4", R50),
        ("table2", X50, "table4", X50),
        ("table3", ("ResCom", "ImageNet-C"), "table4", R50),
        ("table3", ("MoCo+BalSfx", "ImageNet-LT"), "table6", ("MoCo + BalSfx", "")),
        ("table5", ("Q_p = 1, Q_n = 500", "K×Q = 1000×4"), "table4", X50),
        ("table6", MAIN, "table4", R50),
        ("table9", ("ResCom", ""), "table4", R50),
        ("table10", ("ResCom", ""), "table4", X50),
        ("figure3", ("original", ""), "table6", CBL),
        ("figure3", ("balanced", ""), "table6", ("SupCon + CBL + CBQ + BalSfx", "")),
        ("figure4left", ("0", ""), "table6", SUPCON),
        ("figure4left", ("0.99", ""), "table6", CBL),
        ("figure4center", ("4000", "SupCon + BalSfx"), "table6", SUPCON),
        ("figure4center", ("4000", "MoCo + BalSfx"), "table6", ("MoCo + BalSfx", "")),
        ("figure4right", ("ResCom", ""), "table6", MAIN),
        ("figure5", ("SupCon + BalSfx", ""), "table6", SUPCON),
    ],
)
def test_one_training_stands_wherever_it_is_shown(one, place, other, there):
    assert shown(one)[place] == shown(other)[there]


def test_every_setting_of_the_sweeps_is_a_training_of_its_own():
    for name, number in (("table5", 7), ("figure3", 3), ("figure4left", 6), ("figure4center", 12)):
        assert len(set(shown(name).values())) == number


def test_times_and_contents_of_queues_need_no_other_training():
    def runs(name: str, *scorers: str) -> set[str]:
        return {m.run.folder for m in study().measurements("rescom", name) if m.keys["scorer"] in scorers}

    for name in ("table1", "table2"):
        assert runs(name, "inference") == runs(name, "classification")
    assert runs("figure3", "queue_contents") == runs("figure3", "classification")


def test_cells_of_tables_without_a_recipe_say_why():
    missing = {
        (name, entry.row)
        for name in ("table9", "table10", "table11", "table12")
        for entry in study().table("rescom", name).entries
        if entry.missing
    }
    assert missing >= {("table9", "ELF"), ("table11", "GistNet"), ("table12", "ELF"), ("table12", "DiVE(4 experts)")}
    assert not {row for _, row in missing} & {"ResCom", "PaCo", "MiSLAS", "LWS", "RIDE(4 experts)"}
