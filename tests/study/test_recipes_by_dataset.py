"""Methods that are trained otherwise on some datasets, or cannot be trained there as nobody says how."""

from __future__ import annotations

import dataclasses

import pytest

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study.config import parse
from longtail.study.study import Study, load_study

CATALOG = catalogue.load()
REASON = "its code has no script for it"


def study_of(**changes: object) -> Study:
    """The study with something else about the method ``lws``."""
    methods = {**CATALOG.methods, "lws": dataclasses.replace(CATALOG.methods["lws"], **changes)}
    return Study(parse({"targets": ["digits"]}, CATALOG.budgets), dataclasses.replace(CATALOG, methods=methods))


def objectives(study: Study, cut: str) -> list[str]:
    (measured,) = study.cell_measurements("lws", cut, 0)
    return [stretch.objective for stretch in study.phase(cut, measured.run.name).lineage]


def test_a_recipe_of_a_dataset_stands_in_place_of_that_of_all() -> None:
    plain = study_of()
    crt = CATALOG.methods["crt"].recipe
    for name in ("digits", "digits-lt"):  # an image set, and a cut of it
        other = study_of(recipes={name: crt})
        assert objectives(other, "digits-lt-ir10") == ["ce", "classifier-retraining"]
        assert (
            objectives(other, "cifar10-lt-ir10") == objectives(plain, "cifar10-lt-ir10") == ["ce", "learnable-scaling"]
        )
    both = study_of(recipes={"digits": CATALOG.methods["lws"].recipe, "digits-lt": crt})
    assert objectives(both, "digits-lt-ir10") == ["ce", "classifier-retraining"]
    assert list(both.catalog.methods["lws"].steps) == [*CATALOG.methods["lws"].recipe * 2, *crt]


def test_where_a_method_is_not_available_no_training_is_planned_and_tables_say_why() -> None:
    study = study_of(unavailable={"digits-lt": REASON})
    title = study.catalog.dataset_title("digits-lt")
    assert study.missing("lws", "digits-lt") == f"not available on {title}: {REASON}"
    assert study.missing("lws", "cifar10-lt") is None
    assert not any(method == "lws" for method, _, _ in study.finals("digits-lt-ir10"))
    assert any(method == "lws" for method, _, _ in study_of().finals("digits-lt-ir10"))
    with pytest.raises(LongtailError, match=rf"'lws' is not available on 'digits-lt': {REASON}.*two_stage\.yaml"):
        study.cell_measurements("lws", "digits-lt-ir10", 0)
    assert study.cell_measurements("lws", "cifar10-lt-ir10", 0)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"recipes": {"digit": []}}, r"dataset \(method 'lws', recipes\)"),
        ({"unavailable": {"digit": "no reason"}}, r"dataset \(method 'lws', unavailable\)"),
    ],
)
def test_datasets_of_methods_have_to_exist(entry: dict[str, object], words: str) -> None:
    with pytest.raises(LongtailError, match=words):
        catalogue._check_selectors(study_of(**entry).catalog)


def test_every_recipe_of_the_catalogue_can_be_planned_where_it_is_said_to_be() -> None:
    """On each dataset that a method has a recipe of its own for, and on none that it is not available on."""
    study = load_study({"targets": ["digits"]})
    for method in study.catalog.methods.values():
        assert not method.recipes.keys() & method.unavailable.keys()
        for name in method.recipes:
            dataset = study.catalog.dataset(name)
            assert study.cell_measurements(method.name, f"{dataset.name}-ir10", 0)
