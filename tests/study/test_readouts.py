"""How a cell is read out: by which network, on which split, what makes of it what its scorer reads."""

from __future__ import annotations

import dataclasses
import functools
import json

import pytest

from longtail.errors import LongtailError
from longtail.study.jobs import Jobs, behind
from longtail.study.study import Study, load_study

CE = {"row": "CE", "method": "ce"}
SIMCLR = {"row": "SimCLR", "method": "simclr"}
DIGITS = {"dataset": "digits-lt", "ratio": 10}
CUT = "digits-lt-ir10"


@functools.cache
def plain() -> Study:
    return load_study({"targets": ["digits"]})


def study_of(rows: list[dict], columns: list[dict], metrics: list[str], **table: object) -> Study:
    """The catalogue with a table ``mine_table1`` besides."""
    spec = {"title": "Table 1", "caption": "Mine.", "seeds": 1, "layout": {"columns": ["dataset", "ratio"]}, **table}
    paper = {
        "paper": "mine",
        "title": "Mine",
        "tables": {"table1": {**spec, "rows": rows, "columns": columns, "metrics": metrics}},
    }
    catalog = plain().catalog
    return Study(plain().config, dataclasses.replace(catalog, papers={**catalog.papers, "mine": paper}))


def cells(*table: list, **more: object) -> list[dict]:
    found = [entry.cell for entry in study_of(*table, **more).table("mine", "table1").entries]
    assert all(found)
    return found


# --- what is scored ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "metric", "words"),
    [
        (CE, "ACC", ["'clustering'", "assignments", "'classifier'", "'ce'", "predictions"]),
        (SIMCLR, "accuracy", ["'classification'", "predictions", "'kmeans'", "'simclr'", "assignments"]),
        ({**CE, "readout": "kmeans"}, "few", ["'classification'", "'kmeans'", "'ce'"]),
        ({**SIMCLR, "readout": "ncm"}, "NMI", ["'clustering'", "'ncm'", "'simclr'"]),
    ],
)
def test_a_scorer_does_not_read_what_another_kind_of_readout_makes(row: dict, metric: str, words: list[str]) -> None:
    with pytest.raises(LongtailError) as error:
        cells([row], [DIGITS], [metric])
    for word in words:
        assert word in str(error.value)


def test_embeddings_are_scored_whatever_reads_them_out() -> None:
    for row in (CE, SIMCLR, {**SIMCLR, "readout": "argmax"}):
        (cell,) = cells([row], [DIGITS], ["few_many_ratio"])
        assert (cell["readout"], cell["scorer"]) == ("embeddings", "geometry")


def test_weights_are_scored_where_they_were_written() -> None:
    of = study_of([CE], [DIGITS], ["weight_norm"])
    (measurement,) = of.measurements("mine", "table1")
    assert (measurement.keys["readout"], measurement.keys["scorer"]) == ("weights", "weight_norms")
    job = Jobs(of).cell(measurement)
    assert job.outputs[0].endswith("/backbone/test/metrics/weights/weight_norms.parquet")
    assert [need.rule for need in job.needs] == ["split", "embed"]
    assert measurement.run.weights("backbone", "test") in job.needs[1].outputs
    with pytest.raises(LongtailError, match="'pixels' has none"):
        cells([{"row": "Pixels", "method": "pixels"}], [DIGITS], ["weight_norm"])


def test_readouts_and_scorers_that_do_not_exist_are_named() -> None:
    with pytest.raises(LongtailError, match="Did you mean 'kmeans'"):
        cells([{**SIMCLR, "readout": "kmean"}], [DIGITS], ["ACC"])
    metrics = plain().catalog.metrics
    catalog = dataclasses.replace(plain().catalog, metrics={**metrics, "ACC": {**metrics["ACC"], "scorer": "kmeans"}})
    with pytest.raises(LongtailError, match=r"scorer \(metric 'ACC'\) 'kmeans'"):
        Study(plain().config, catalog).table("digits", "table1")


def test_a_cell_asked_for_by_name_is_scored_by_what_its_readout_makes() -> None:
    of = plain()
    (clustered,), (classified,) = of.cell_measurements("simclr", CUT, 0), of.cell_measurements("tau-norm", CUT, 0)
    assert clustered.path.endswith("/projection/train/metrics/kmeans/clustering.parquet")
    assert classified.path.endswith("/backbone/test/metrics/tau-norm/classification.parquet")


IMAGENET = {"dataset": "imagenet_lt", "ratio": 256, "backbone": "resnet50"}
CORRUPTED = ["mean_corruption_error", "normalized_corruption_error"]


def test_corrupted_images_are_classified_once_for_all_metrics_of_them() -> None:
    of = study_of([CE], [IMAGENET], ["accuracy", *CORRUPTED])
    (clean, first, second) = (entry.cell for entry in of.table("mine", "table1").entries)
    assert (clean["readout"], clean["scorer"]) == ("classifier", "classification")
    assert first == second == {**clean, "readout": "corruptions", "scorer": "corruptions"}
    measured, corrupted = of.measurements("mine", "table1")
    assert corrupted.path == f"{measured.run.folder}/backbone/test/metrics/corruptions/corruptions.parquet"
    order = behind([Jobs(of).cell(corrupted)])
    (job,) = [each for each in order if each.rule == "corruptions"]
    assert job.outputs == (f"{measured.run.folder}/backbone/corruptions.parquet",)
    assert [need.rule for need in job.needs] == ["train"]
    assert not [each for each in order if each.rule in ("embed", "classify")]
    assert job in order[-1].needs
    assert job.log == f"results/logs/corruptions/{measured.run.cut}/{measured.run.name}-seed0-backbone.log"


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        (CE, DIGITS, "no corrupted test images of 'digits-lt' in the catalogue; there are of imagenet_lt"),
        (CE | {"readout": "ncm"}, IMAGENET, "'ce' is read out by 'ncm'.* the readout 'classifier'"),
        (SIMCLR, IMAGENET, "'simclr' is read out by 'kmeans'"),
        ({"row": "Pixels", "method": "pixels"}, IMAGENET, "'pixels' is read out by"),
    ],
)
def test_corrupted_images_that_cannot_be_classified_are_refused(row: dict, column: dict, message: str) -> None:
    with pytest.raises(LongtailError, match=message):
        cells([row], [column], CORRUPTED)


def test_corrupted_images_from_elsewhere_are_named_where_they_are_shown() -> None:
    def of(metrics: list[str], **config: object) -> object:
        catalog = study_of([CE], [IMAGENET], metrics).catalog
        config = load_study({"targets": ["digits"], "data_root": "raw", **config}).config
        return Study(config, catalog)

    usual, own = of(CORRUPTED), {"imagenet_c": {"kind": "corruptions", "name": "mine", "folder": "/c"}}
    plan = usual.table("mine", "table1")
    assert (plan.label, "ImageNet-C images: corruptions." in plan.footnotes) == ("", True)
    spec = usual.corruptions_spec(usual.catalog.dataset("imagenet_lt"))
    assert (spec["source"]["root"], spec["source"]["folder"]) == ("raw", "imagenet-c")
    assert spec["trained"] == usual.store_spec("imagenet_lt")

    changed = of(["accuracy", *CORRUPTED], data=own)
    plan = changed.table("mine", "table1")
    assert plan.label == "ImageNet-C images: mine"
    assert "ImageNet-C images: mine." in plan.footnotes
    assert [entry.as_printed for entry in plan.entries] == [True, False, False]
    source = changed.corruptions_spec(changed.catalog.dataset("imagenet_lt"))["source"]
    assert source == {"root": "raw", "kind": "corruptions", "name": "mine", "folder": "/c"}
    clean = of(["accuracy"], data=own).table("mine", "table1")
    assert (clean.label, [note for note in clean.footnotes if "ImageNet-C" in note]) == ("", [])
    with pytest.raises(LongtailError, match=r"image set .*'imagenet_b'.*Did you mean 'imagenet_c'"):
        of(CORRUPTED, data={"imagenet_b": own["imagenet_c"]})


# --- on which split ---------------------------------------------------------------------------------------------------


def test_classifiers_predict_what_they_were_not_trained_on_and_clusterers_cluster_what_there_is() -> None:
    split = {
        json.dumps(row): cells([row], [DIGITS], [metric])[0]["split"]
        for row, metric in (
            (CE, "accuracy"),
            ({**CE, "readout": "ncm"}, "accuracy"),
            ({**CE, "split": "train"}, "accuracy"),
            ({**CE, "readout": "kmeans"}, "ACC"),
            (SIMCLR, "ACC"),
            ({**SIMCLR, "split": "test"}, "ACC"),
        )
    }
    assert list(split.values()) == ["test", "test", "train", "train", "train", "test"]


def test_a_classifier_on_a_dataset_without_a_test_split_is_refused() -> None:
    with pytest.raises(LongtailError, match="'digits' has no test split"):
        cells([CE], [{"dataset": "digits", "ratio": 10}], ["accuracy"])


@pytest.mark.parametrize(
    ("method", "embedded"),
    [("ce", {"test"}), ("tau-norm", {"test"}), ("logit-adjustment", {"test"}), ("ncm", {"test", "train"})],
)
def test_what_a_classifier_needs_is_embedded(method: str, embedded: set[str]) -> None:
    jobs = Jobs(plain())
    (measurement,) = plain().cell_measurements(method, CUT, 0)
    order = behind([jobs.cell(measurement)])
    assert {job.embedded[1] for job in order if job.rule == "embed"} == embedded
    assert [job.rule for job in order[-2:]] == ["classify", "score"]
    assert order[-2].outputs[0].endswith(f"/backbone/test/predictions/{measurement.keys['readout']}.parquet")
    assert order[-2].log != order[-1].log


def with_validation(study: Study, parts: tuple[str, ...] | None) -> Study:
    """The study whose ImageNet-LT has a validation list, or none."""
    catalog = study.catalog
    changed = dataclasses.replace(catalog.dataset("imagenet_lt"), val=parts)
    return Study(study.config, dataclasses.replace(catalog, datasets={**catalog.datasets, "imagenet_lt": changed}))


def test_tau_is_chosen_on_a_validation_list_where_there_is_one() -> None:
    cut, dataset = "imagenet_lt-ir256", "imagenet_lt"
    embedded, told = {}, {}
    for parts in (("val",), None):
        of = with_validation(plain(), parts)
        (measurement,) = of.cell_measurements("tau-norm", cut, 0)
        order = behind([Jobs(of).cell(measurement)])
        embedded[parts] = {job.embedded[1] for job in order if job.rule == "embed"}
        told[parts] = of.classifier("tau-norm", of.catalog.dataset(dataset), "test")
    assert embedded == {("val",): {"test", "val"}, None: {"test"}}
    entry = plain().catalog.classifiers["tau-norm"]
    assert told["val",] == {
        "name": "tau-norm",
        "algorithm": "tau_normalized",
        "needs": ["weights", "validation_features"],
        "on_validation": entry["on_validation"],
    }
    assert told[None] == {"name": "tau-norm", "algorithm": "tau_normalized", "needs": ["weights"], "tau": 1.0}


def test_nothing_is_chosen_on_the_split_that_is_predicted() -> None:
    of = with_validation(plain(), ("val",))
    assert of.classifier("tau-norm", of.catalog.dataset("imagenet_lt"), "val")["tau"] == 1.0


@pytest.mark.parametrize("dataset", ["cifar10-lt", "cifar100-lt", "digits-lt", "inaturalist18"])
def test_a_dataset_without_a_validation_list_is_read_out_as_ever(dataset: str) -> None:
    """Records and finished predictions of it rest on these very settings."""
    entry = {"name": "tau-norm", "algorithm": "tau_normalized", "needs": ["weights"], "tau": 1.0}
    assert plain().classifier("tau-norm", plain().catalog.dataset(dataset), "test") == entry


@pytest.mark.parametrize(
    ("projection", "embedded"),
    [("tsne", {"test"}), ("tsne-weights", {"test"}), ("tsne-smallest", {"test"}), ("tsne-training", {"test", "train"})],
)
def test_what_a_projection_needs_is_embedded(projection: str, embedded: set[str]) -> None:
    of = plain()
    (measurement,) = of.cell_measurements("ce", CUT, 0)
    order = behind([Jobs(of).cell(dataclasses.replace(measurement, projection=projection))])
    assert {job.embedded[1] for job in order if job.rule == "embed"} == embedded
    assert order[-1].outputs[0].endswith(f"/backbone/test/projections/{projection}.parquet")


def test_one_training_is_read_out_in_many_ways() -> None:
    readouts = ["classifier", "ncm", "tau-norm", "logit-adjusted"]
    of = study_of([{**CE, "row": name, "readout": name} for name in readouts], [DIGITS], ["accuracy"])
    measurements = of.measurements("mine", "table1")
    assert len({m.run for m in measurements}) == 1
    assert [m.keys["readout"] for m in measurements] == readouts
    assert len({m.path for m in measurements}) == 4


# --- shot groups ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shots", ["strict", "index", None])
def test_a_table_says_which_shot_groups_it_means(shots: str | None) -> None:
    chosen = {} if shots is None else {"shots": shots}
    of = study_of([CE], [DIGITS], ["accuracy", "many", "medium", "few", "calibration_error"], **chosen)
    groups = [f"{group} ({shots or 'strict'})" for group in ("many", "medium", "few")]
    entries = of.table("mine", "table1").entries
    assert [entry.measured for entry in entries] == ["accuracy", *groups, "calibration_error"]
    assert [entry.metric for entry in entries] == ["accuracy", "many", "medium", "few", "calibration_error"]
    assert len({m.path for m in of.measurements("mine", "table1")}) == 1  # one file holds both definitions


# --- by which network -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["row", "column"])
def test_another_network_is_another_training_in_a_folder_of_its_own(where: str) -> None:
    other = {"backbone": "resnet32"}
    row, column = (CE | other, DIGITS) if where == "row" else (CE, DIGITS | other)
    of = study_of([row], [column], ["accuracy"])
    (measurement,) = of.measurements("mine", "table1")
    (own,) = study_of([CE], [DIGITS], ["accuracy"]).measurements("mine", "table1")
    assert (measurement.keys["backbone"], own.keys["backbone"]) == ("resnet32", "resnet_small")
    assert measurement.run != own.run
    known = of.phases_of(CUT)
    assert {measurement.run.name, own.run.name} <= set(known)
    phase, usual = known[measurement.run.name], known[own.run.name]
    assert phase.identity != usual.identity
    assert [stretch.settings for stretch in phase.lineage] == [stretch.settings for stretch in usual.lineage]
    assert phase.spec(0)["backbone"] == {"name": "resnet32", "stem": usual.spec(0)["backbone"]["stem"]}
    assert of.phase(CUT, measurement.run.name).identity == phase.identity
    assert [job.run for job in Jobs(of).lineage(measurement.run)] == [measurement.run]
    # nobody else's training is another one
    assert known.keys() - {measurement.run.name} == plain().phases_of(CUT).keys()


def test_the_datasets_own_network_asked_for_by_name_is_the_same_training() -> None:
    named, unnamed = (
        study_of([row], [DIGITS], ["accuracy"]).measurements("mine", "table1")
        for row in ({**CE, "backbone": "resnet_small"}, CE)
    )
    assert named == unnamed


def test_a_budgets_network_replaces_the_one_a_table_asks_for() -> None:
    config = load_study({"targets": ["digits"], "budget": {"backbone": "resnet18"}}).config
    catalog = study_of([{**CE, "backbone": "resnet32"}], [DIGITS], ["accuracy"]).catalog
    of = Study(config, catalog)
    (entry,) = of.table("mine", "table1").entries
    assert entry.cell["backbone"] == "resnet18"


def test_a_column_for_another_network_may_stand_above_a_control() -> None:
    of = study_of([SIMCLR, {"row": "Pixels", "method": "pixels"}], [{**DIGITS, "backbone": "resnet32"}], ["ACC"])
    trained, control = of.measurements("mine", "table1")
    assert (trained.keys["backbone"], control.keys["backbone"]) == ("resnet32", "")
    assert trained.run.name in of.phases_of(CUT)
    assert control.run.kind == "controls"
