"""Every value that recognition trains with, against what ``published`` says of papers and official codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from longtail.study import catalog as catalogue
from longtail.study.settings import resolve, resolved, selectors
from longtail.study.study import load_study
from tests.methods.recognition.published import gathered
from tests.methods.recognition.published.supcon import SUPCON_COSINE

CATALOG = catalogue.load()
ON_CIFAR, OF_THE_PAPERS, ON_CIFAR100 = map(gathered, ("ON_CIFAR", "OF_THE_PAPERS", "ON_CIFAR100"))
RECIPES, READOUTS, FEATURES = map(gathered, ("RECIPES", "READOUTS", "FEATURES"))
ON_LARGE, LARGE_RECIPES, NOT_ON = map(gathered, ("ON_LARGE", "LARGE_RECIPES", "NOT_ON"))
LARGE = {"imagenet_lt": 256, "places_lt": 996, "inaturalist18": 500}


def settings_of(objective: str, dataset: str, protocol: str = "official") -> dict[str, Any]:
    settings = CATALOG.objectives[objective].settings
    return resolved(objective, settings, {}, CATALOG.dataset(dataset), 100, protocol, CATALOG)


def test_every_objective_of_recognition_is_checked() -> None:
    found = {o.name for o in CATALOG.objectives.values() if "longtail.methods.recognition." in o.implementation}
    assert set(ON_CIFAR) | set(ON_LARGE) == found


@pytest.mark.parametrize("protocol", ["official", "paper"])
@pytest.mark.parametrize("dataset", ["cifar10-lt", "cifar100-lt"])
@pytest.mark.parametrize("objective", ON_CIFAR)
def test_settings_on_cifar(objective: str, dataset: str, protocol: str) -> None:
    differing = OF_THE_PAPERS.get(objective, {}) if protocol == "paper" else {}
    on_cifar100 = ON_CIFAR100.get(objective, {}) if dataset == "cifar100-lt" else {}
    assert settings_of(objective, dataset, protocol) == {**ON_CIFAR[objective], **differing, **on_cifar100}


@pytest.mark.parametrize("objective", ON_CIFAR)
def test_on_digits_only_another_batch_changes_the_pace(objective: str) -> None:
    """Rates that were chosen by looking at the test images of the digits would be tuned on what is reported."""
    cifar, digits = settings_of(objective, "cifar10-lt"), settings_of(objective, "digits-lt")
    rates, batches = (digits[key] / cifar[key] for key in ("learning_rate", "batch_size"))
    assert batches <= rates <= 1


@pytest.mark.parametrize(
    ("objective", "dataset"), [(objective, dataset) for objective, entry in ON_LARGE.items() for dataset in entry]
)
def test_settings_on_the_large_sets(objective: str, dataset: str) -> None:
    settings = CATALOG.objectives[objective].settings
    found = resolved(objective, settings, {}, CATALOG.dataset(dataset), LARGE[dataset], "official", CATALOG)
    assert found == ON_LARGE[objective][dataset]


@pytest.mark.parametrize("method", NOT_ON)
def test_recipes_on_the_large_sets(method: str) -> None:
    entry = CATALOG.method(method)
    found = {}
    for name in LARGE:
        dataset = CATALOG.dataset(name)
        if not entry.refusal(dataset):
            keys = selectors(dataset, LARGE[name])
            steps = entry.recipe_on(dataset)
            found[name] = [(step["objective"], resolve(step["epochs"], keys, "official")) for step in steps]
    assert found == LARGE_RECIPES.get(method, {})
    assert set(entry.unavailable) == NOT_ON[method] == LARGE.keys() - found.keys()


def test_experts_are_as_many_as_the_name_says() -> None:
    counts = {
        method: {resolve(step["settings"]["experts"], (), "official") for step in CATALOG.method(method).recipe}
        for method in ("ride-2", "ride-4")
    }
    assert counts == {"ride-2": {2}, "ride-4": {4}}


def test_the_first_half_of_tsc_on_imagenet_lt_is_kcl_as_its_authors_ran_it() -> None:
    cut = "imagenet_lt-ir256"
    (tsc,), (kcl,) = (STUDY.cell_measurements(method, cut, 0) for method in ("tsc", "kcl-tsc"))
    lineages = [STUDY.lineage(cut, measured.run.name) for measured in (tsc, kcl)]
    assert [len(lineage) for lineage in lineages] == [3, 2]
    assert lineages[0][-1].identity == lineages[1][-1].identity
    (gloco,) = STUDY.cell_measurements("kcl", cut, 0)
    assert STUDY.lineage(cut, gloco.run.name)[-1].identity != lineages[1][-1].identity


def test_only_the_large_batches_of_supcon_are_warmed_up() -> None:
    digits = settings_of("supcon", "digits-lt")
    assert digits["batch_size"] <= 256
    assert digits["schedule"] == {"decay": SUPCON_COSINE}


@pytest.mark.parametrize("method", RECIPES)
def test_recipes(method: str) -> None:
    found = []
    for step in CATALOG.method(method).recipe:
        epochs = (
            resolve(step["epochs"], selectors(CATALOG.dataset(dataset), 100), "official")
            for dataset in ("cifar10-lt", "digits-lt")
        )
        found.append((step["objective"], *epochs))
    assert found == RECIPES[method]


@pytest.mark.parametrize("method", RECIPES)
def test_readouts(method: str) -> None:
    entry = CATALOG.method(method)
    assert (entry.features, entry.readout) == (FEATURES.get(method, "backbone"), READOUTS.get(method, "classifier"))


def test_what_reslt_weighs_by_ratio() -> None:
    settings = CATALOG.objectives["reslt"].settings
    betas = {
        dataset: [
            resolve(settings["beta"], selectors(CATALOG.dataset(dataset), ratio), "official") for ratio in (100, 50, 10)
        ]
        for dataset in ("cifar10-lt", "cifar100-lt")
    }
    assert betas == {"cifar10-lt": [0.998, 0.998, 0.96], "cifar100-lt": [0.995, 0.99, 0.72]}


# --- What is trained once ---------------------------------------------------------------------------------------------

CUT = "cifar10-lt-ir100"
STUDY = load_study({"targets": ["digits"]})


def trained(method: str) -> Any:
    """The state that a method's features are of."""
    (measured,) = STUDY.cell_measurements(method, CUT, 0)
    return STUDY.phase(CUT, Path(measured.path).parts[3])


@pytest.mark.parametrize(
    ("plain", "deferred"),
    [("ce", "ce-drw"), ("ldam", "ldam-drw"), ("ce", "ce-drs"), ("ce-bbn", "ce-drw-bbn"), ("ce-bbn", "ce-drs-bbn")],
)
def test_rebalancing_is_deferred_to_where_the_learning_rate_falls(plain: str, deferred: str) -> None:
    """Epochs 0 to 159 have none and are those of the method without; the first rebalanced epoch is 160."""
    first, last = trained(deferred).lineage
    assert (first.objective, first.first_epoch, first.last_epoch, first.clock) == (plain, 0, 160, 200)
    assert (last.start, last.first_epoch, last.last_epoch, last.clock) == ("continue", 160, 200, 200)
    assert trained(deferred).parent.identity == trained(plain).parent.identity


@pytest.mark.parametrize("method", ["tau-norm", "ncm", "logit-adjustment"])
def test_readouts_are_of_the_state_of_ce(method: str) -> None:
    assert trained(method).identity == trained("ce").identity


@pytest.mark.parametrize(
    ("method", "first"),
    [("crt", "ce"), ("lws", "ce"), ("disalign", "ce"), ("crt-bbn", "ce-bbn"), ("lws-bbn", "ce-bbn")],
)
def test_second_stages_start_from_the_state_of_ce(method: str, first: str) -> None:
    assert trained(method).lineage[-1].start == "transfer"
    assert trained(method).parent.identity == trained(first).identity


@pytest.mark.parametrize("method", ["gloco-proco", "kcl-proco"])
def test_coresets_are_selected_by_the_state_of_ce(method: str) -> None:
    contrast = trained(method).parent
    assert [stretch.start for stretch in contrast.lineage] == ["fresh", "transfer"]
    assert contrast.parent.identity == trained("ce").identity


def test_gates_are_of_the_state_of_ride() -> None:
    assert trained("ride-routed").lineage[-1].start == "transfer"
    assert trained("ride-routed").parent.identity == trained("ride").identity


def test_the_teacher_of_dive_is_balanced_softmax() -> None:
    first, last = trained("dive").lineage
    assert (last.start, last.clock) == ("transfer", first.clock)
    assert trained("dive").parent.identity == trained("balanced-softmax").identity


def test_the_student_of_ride_learns_from_six_experts_on_a_clock_of_its_own() -> None:
    stretches = [
        (s.objective, s.start, s.first_epoch, s.last_epoch, s.clock) for s in trained("ride-distilled").lineage
    ]
    assert stretches == [
        ("ride-six", "fresh", 0, 160, 200),
        ("ride-six-reweighted", "continue", 160, 200, 200),
        ("ride-distilled", "transfer", 0, 160, 200),
        ("ride-distilled-reweighted", "continue", 160, 200, 200),
    ]
