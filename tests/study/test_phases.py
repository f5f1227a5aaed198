from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterator

import pytest

from longtail.errors import LongtailError
from longtail.study.cells import Cell
from longtail.study.jobs import Jobs
from longtail.study.phases import Phase, canonical, data_spec, final_phase
from longtail.study.study import load_study

CLUSTERING = ("conmix", "miniclustering")


@functools.cache
def study(**config):
    return load_study({"targets": ["digits"], **{key: json.loads(value) for key, value in config.items()}})


def final(method: str, cut: str = "cifar10-ir10", *, of=None, settings: str = "{}") -> Phase:
    of = of or study()
    dataset, ratio = of.dataset_of(cut)
    m = of.catalog.method(method)
    backbone = of.backbone(dataset)
    run = of.run(Cell(m.name, settings, backbone, dataset.name, ratio, "train", m.features, m.readout, "clustering"), 0)
    return of.phase(run.cut, run.name)


def needed(of, papers=CLUSTERING) -> Iterator[tuple[str, str, int]]:
    """Every (cut, phase, seed) that the tables and figures of the papers need, parents included."""
    for paper in papers:
        for _, _, name in of.artefacts(paper):
            for measurement in of.measurements(paper, name):
                cut, run = measurement.keys["run"].split("/")
                if of.catalog.method(measurement.keys["method"]).control is None:
                    for phase in of.lineage(cut, run):
                        yield cut, phase.name, measurement.keys["seed"]


def test_conmix_starts_from_the_first_200_epochs_of_sdclr():
    conmix, sdclr = final("conmix"), final("sdclr")
    assert [(s.objective, s.first_epoch, s.last_epoch, s.clock) for s in conmix.lineage] == [
        ("sdclr", 0, 200, 1000),
        ("conmix", 200, 1000, 1000),
    ]
    assert [(s.objective, s.first_epoch, s.last_epoch, s.clock) for s in sdclr.lineage] == [("sdclr", 0, 1000, 1000)]
    assert conmix.parent.identity == sdclr.parent.identity
    assert sdclr.epochs == conmix.epochs == 800


def test_conmix_b_is_conmix_on_as_many_images_without_a_tail():
    cells = [e.cell for e in study().table("conmix", "table6").entries if e.row == "ConMix-B"]
    assert {(c["method"], c["dataset"], c["ratio"], c["split"]) for c in cells} == {("conmix", "cifar10-b", 1, "test")}
    balanced, tailed = final("conmix", "cifar10-b-ir1"), final("conmix")
    assert balanced.lineage == tailed.lineage
    assert json.loads(balanced.data)["head_class_rows"] * 10 == pytest.approx(20431, abs=9)


def test_propos_begins_a_clock_of_its_own_after_conmix():
    assert [(s.objective, s.start, s.last_epoch, s.clock) for s in final("conmix-propos").lineage] == [
        ("sdclr", "fresh", 100, 500),
        ("conmix", "continue", 500, 500),
        ("propos", "transfer", 500, 500),
    ]
    assert final("conmix-propos").lineage[-1].settings == final("propos").lineage[-1].settings


def test_the_tag_study_shares_one_warm_up():
    variants = [final("conmix", settings=canonical({"conmix": {"tags": tags}})) for tags in (50, 100, 200, 500)]
    assert len({phase.identity for phase in variants}) == 4
    assert len({phase.parent.identity for phase in variants}) == 1
    assert variants[1].identity == final("conmix").identity


def test_every_ablation_of_miniclustering_starts_from_one_encoder():
    encoder = final("byol-encoder")
    names = [name for name in study().catalog.methods if name.startswith("miniclustering")]
    ablations = [name for name in names if name not in {"miniclustering-simclr", "miniclustering-moco"}] + [
        "self-labelling"
    ]
    assert len(ablations) >= 10
    assert {final(name).parent.identity for name in ablations} == {encoder.identity}
    assert len({final(name).identity for name in ablations}) == len(ablations)


def test_the_two_papers_byol_are_not_the_same_training():
    assert final("byol").identity != final("byol-encoder").identity


def test_both_protocols_share_what_they_do_not_decide():
    paper = study(protocol='"paper"')
    assert final("conmix", of=paper).identity == final("conmix").identity
    assert final("byol-encoder", of=paper).identity == final("byol-encoder").identity
    assert final("miniclustering", of=paper).identity != final("miniclustering").identity


def test_all_seeds_may_start_from_one_pre_training():
    own, shared = study(), study(pretraining_seed="0")
    assert shared.config.view == "pretraining-seed0"
    assert "pre-training of seed 0" in shared.table("miniclustering", "table9").label

    def trainings(of):
        jobs = Jobs(of)
        return {job.run for m in of.measurements("miniclustering", "table9") for job in jobs.lineage(m.run)}

    encoders = {run for run in trainings(own) if run.name.startswith("byol-800")}
    assert len(encoders) == 2 * 5
    assert {run for run in trainings(shared) if run.name.startswith("byol-800")} == {r for r in encoders if r.seed == 0}
    # What has no transfer, and the seed that pre-trained, are the same trainings under both policies.
    methods = ("secu", "lfss", "sdclr", "conmix", "byol-800")
    for run in trainings(shared):
        assert (run in trainings(own)) == (run.seed == 0 or run.name.startswith(methods))
    assert len(trainings(shared)) == len(trainings(own)) - 2 * 4


def test_only_the_first_transfer_is_from_another_seed():
    of = study(pretraining_seed="0")
    cut = "cifar10-ir10"
    scan = of.run(Cell("scan", "{}", "resnet18", "cifar10", 10, "train", "cluster_head", "argmax", "clustering"), 3)
    assert scan.name != final("scan").name
    refined = of.parent_run(scan)
    pretext = of.parent_run(refined)
    assert [run.seed for run in (scan, refined, pretext)] == [3, 3, 0]
    assert of.parent_run(pretext) is None
    spec = of.phase(cut, scan.name).spec(3)
    assert [stretch.get("parent_seed") for stretch in spec["lineage"]] == [None, 0, None]
    assert pretext.name in {phase.name for phase in study().lineage(cut, final("scan").name)}


def test_identity_does_not_depend_on_how_the_work_is_cut():
    phase = final("sdclr")
    assert phase.parent_epoch == 200
    assert dataclasses.replace(phase, parent_epoch=None).identity == phase.identity


def test_the_clustering_papers_need_as_many_phases_as_the_sharing_rules_say():
    of = study()
    phases = set(needed(of))
    per_method = {
        # SimCLR: 6 cells of Tables 1 and 2, CIFAR-10 at 100, Tiny ImageNet, 2 balanced sets, ImageNet-LT, and ratios
        # 1, 2, 20, 50 of Table 10; each in two parts, because a SimCLR warm-up of ConMix leaves after epoch 200
        "simclr": 2 * (6 + 1 + 1 + 2 + 1 + 4),
        "moco": 6,
        # BYOL of ConMix: Tables 1 and 2, ratio 100, Tiny ImageNet, ImageNet-LT; in two parts, because CoNR leaves after
        # epoch 800
        "byol": 2 * (6 + 1 + 1 + 1),
        # CoNR: where BYOL stands
        "conr": 6 + 1 + 1 + 1,
        # Tables 1 and 2, ratio 100, Tiny ImageNet, the 2 balanced sets
        "propos": 6 + 1 + 1 + 2,
        # warm-up, ConMix and ProPos on both datasets, balanced and with a tail; on clocks that nothing else has
        "ConMix+ProPos": 3 * 4,
        # the warm-up is needed wherever SDCLR or ConMix stands: as SimCLR's cells, and ConMix-B of Table 6
        "sdclr warm-up": 15 + 1,
        "sdclr": 6 + 1 + 1 + 2 + 1,
        # ConMix in the cells of SimCLR and on the balanced subset, and three more tag numbers
        "conmix": 15 + 1 + 3,
        "conmix ablations": 5,
        # CC: Tables 1 and 2, the 2 balanced sets
        "cc": 6 + 2,
        # IDFD: as CC, and ImageNet-LT
        "idfd": 6 + 2 + 1,
        # DMICC: Tables 1 and 2, ratio 100, Tiny ImageNet, ImageNet-LT; Table 6 embeds one of them
        "dmicc": 6 + 1 + 1 + 1,
        # SCAN: Tables 1 and 2 of MiniClustering, ratio 100, Tiny ImageNet; three trainings each
        "scan": 3 * (6 + 1 + 1),
        # MiniClustering's encoder: Tables 1 and 2, ratio 100, Tiny ImageNet, ImageNet-LT, the 2 balanced sets
        "byol encoder": 6 + 1 + 1 + 1 + 2,
        "miniclustering": 6 + 1 + 1 + 1 + 2,
        "ablations of Table 3": 6,
        "other pre-training": 4 + 4,
        "other losses": 3 * 2,
        # Figure 5 of MiniClustering: grids of 6, 5, 5 and 5 values on two datasets, less the default in each
        "hyperparameters": 2 * (5 + 4 + 4 + 4),
        # Tables 1 and 2 of MiniClustering, ratio 100, Tiny ImageNet
        "secu": 6 + 1 + 1,
        "lfss": 6 + 1 + 1,
        # four more seeds of (warm-up, ConMix, encoder, MiniClustering, SeCu, LFSS) on two datasets
        "Table 9": 4 * 6 * 2,
        # self-labelling, ConMix and MiniClustering on two sets of texts
        "Table 10": 3 * 2,
    }
    assert len(phases) == sum(per_method.values()), sorted(phases)


def test_sharing_saves_at_least_an_eighth_of_the_jobs():
    of = study()
    alone = set()
    for paper in CLUSTERING:
        for _, _, name in of.artefacts(paper):
            for m in of.measurements(paper, name):
                if of.catalog.method(m.keys["method"]).control is None:
                    cut, run = m.keys["run"].split("/")
                    alone |= {
                        (m.keys["method"], m.keys["settings"], cut, p.name, m.keys["seed"])
                        for p in of.lineage(cut, run)
                    }
    distinct = len(set(needed(of)))
    assert distinct < 0.87 * len(alone)


def test_any_ingredient_changes_the_identity_and_nothing_elses():
    phase = final("conmix")
    stretch = phase.lineage[-1]
    data, settings = json.loads(phase.data), json.loads(stretch.settings)

    def with_last(**change):
        return dataclasses.replace(phase, lineage=(*phase.lineage[:-1], dataclasses.replace(stretch, **change)))

    changed = [
        dataclasses.replace(phase, precision="float32"),
        dataclasses.replace(phase, backbone=canonical({"name": "resnet50", "stem": "cifar"})),
        dataclasses.replace(phase, lineage=phase.lineage[1:]),
        *(dataclasses.replace(phase, data=canonical({**data, key: "other"})) for key in data),
        *(with_last(settings=canonical({**settings, key: "other"})) for key in settings),
        with_last(objective="other"),
        with_last(version=stretch.version + 1),
        with_last(start="transfer"),
        with_last(first_epoch=199),
        with_last(last_epoch=999),
        with_last(clock=2000),
    ]
    identities = [phase.identity, *(other.identity for other in changed)]
    assert len(set(identities)) == len(identities)
    assert with_last(implementation="somewhere.else:ConMix").identity == phase.identity
    for other in changed:
        if other.lineage[:-1] == phase.lineage[:-1] and (other.data, other.backbone, other.precision) == (
            phase.data,
            phase.backbone,
            phase.precision,
        ):
            assert other.parent.identity == phase.parent.identity


def test_raising_one_objectives_version_retrains_only_what_contains_it():
    of = load_study({"targets": ["digits"]})
    trained = [name for name, method in of.catalog.methods.items() if method.recipe and method.reads == "images"]
    before = {name: final(name, of=of).identity for name in trained}
    objectives = dict(of.catalog.objectives)
    objectives["sdclr"] = dataclasses.replace(objectives["sdclr"], version=objectives["sdclr"].version + 1)
    raised = type(of)(of.config, dataclasses.replace(of.catalog, objectives=objectives))
    after = {method: final(method, of=raised).identity for method in before}
    touched = {method for method in before if before[method] != after[method]}
    uses = {m.name for m in of.catalog.methods.values() if any(step["objective"] == "sdclr" for step in m.recipe)}
    assert touched == uses
    assert "simclr" not in touched


def test_the_seed_is_not_part_of_the_hash_but_of_the_specification():
    phase = final("conmix")
    assert phase.spec(0)["identity"] == phase.spec(1)["identity"]
    assert (phase.spec(0)["seed"], phase.spec(1)["seed"]) == (0, 1)


def test_the_specification_holds_everything_that_is_hashed():
    phase = final("conmix")
    spec = json.loads(canonical(phase.spec(3)))
    rebuilt = Phase(
        cut="",
        data=canonical(spec["data"]),
        backbone=canonical(spec["backbone"]),
        precision=spec["precision"],
        lineage=tuple(
            dataclasses.replace(stretch, **{**given, "settings": canonical(given["settings"])})
            for stretch, given in zip(phase.lineage, spec["lineage"], strict=True)
        ),
    )
    assert rebuilt.identity == spec["identity"]


def test_another_image_source_is_another_identity():
    own = load_study(
        {"targets": ["digits"], "data": {"cifar10": {"kind": "parquet", "name": "exact pixels", "files": {}}}}
    )
    assert final("simclr", of=own).identity != final("simclr").identity
    moved = load_study(
        {
            "targets": ["digits"],
            "data": {"cifar10": {"kind": "parquet", "name": "exact pixels", "files": {"train": "x"}}},
        }
    )
    assert final("simclr", of=moved).identity == final("simclr", of=own).identity


def transform_of(dataset: str, *, source: dict | None = None, **changes) -> dict:
    """The test transform that jobs are told, with a source or a part of the transform that is not the catalogue's."""
    of = study()
    cut, config = of.catalog.dataset(dataset), of.config
    if source is not None:
        config = dataclasses.replace(config, data={cut.images["name"]: source})
    given = {**cut.images.get("test_transform", {}), **changes}
    images = {**cut.images, "test_transform": {key: value for key, value in given.items() if value != "absent"}}
    return data_spec(dataclasses.replace(cut, images=images), 10, config)["test_transform"]


def test_filters_of_the_test_transform_are_told_where_they_act():
    """What acts is part of the identity, so that nothing is served that was embedded otherwise; the rest is not."""
    filters = {"interpolation": "bilinear", "final_interpolation": "bicubic"}
    assert transform_of("tiny_imagenet") == {"resize": 256, "crop": 224, **filters}
    assert transform_of("tiny_imagenet", final_interpolation="absent")["final_interpolation"] == "bilinear"
    for dataset in ("cifar10", "cifar20", "stl10", "digits"):
        assert transform_of(dataset) == {"resize": None, "crop": None}
        assert transform_of(dataset, resize="absent", crop="absent", **filters) == transform_of(dataset)
    assert transform_of("imagenet_lt") == {"resize": 256, "crop": 224, "interpolation": "bilinear"}
    stored = {"kind": "imagefolder", "name": "stored", "resize": 256, "crop": 256}
    assert transform_of("imagenet_lt", source=stored) == {"resize": 256, "crop": 224}  # 256 pixels are what is stored
    larger = transform_of("imagenet_lt", source={"kind": "imagefolder", "name": "larger", "resize": 300, "crop": 300})
    assert larger == {"resize": 256, "crop": 224, "interpolation": "bilinear"}
    stored = transform_of("cifar10", source={"kind": "imagefolder", "name": "large", "resize": 40, "crop": 40})
    assert stored == {"resize": None, "crop": None, "final_interpolation": "bilinear"}


def test_another_filter_is_another_identity():
    phase = final("simclr", "tiny_imagenet-ir10")
    data = json.loads(phase.data)
    data["test_transform"]["final_interpolation"] = "bilinear"
    assert dataclasses.replace(phase, data=canonical(data)).identity != phase.identity


def test_a_crop_larger_than_the_image_is_refused_before_anything_runs():
    with pytest.raises(LongtailError, match="test_transform of cifar10 cuts 40 pixels out of images of 32"):
        transform_of("cifar10", crop=40)


def test_a_small_budget_has_identities_splits_and_schedules_of_its_own():
    smoke = study(budget='"smoke"')
    phase = final("conmix", "cifar10-h100-ir10", of=smoke)
    assert phase.cut == "cifar10-h100-ir10"
    assert phase.identity != final("conmix").identity
    assert [(s.first_epoch, s.last_epoch, s.clock) for s in phase.lineage] == [(0, 1, 5), (1, 5, 5)]
    settings = json.loads(phase.lineage[-1].settings)
    assert settings["batch_size"] == 64
    assert settings["warmup_epochs"] == pytest.approx(0.05)
    assert json.loads(phase.backbone)["name"] == "resnet_small"


def test_a_schedule_of_the_catalogue_is_resolved_into_its_parts_and_shortened_with_the_training():
    whole, short = (
        json.loads(
            final_phase(
                of.catalog.method("moco"),
                {"moco": {"schedule": "bbn"}},
                "resnet18",
                of.catalog.dataset("cifar10"),
                10,
                of.config,
                of.catalog,
            )
            .lineage[-1]
            .settings
        )["schedule"]
        for of in (study(), study(budget='"smoke"'))
    )
    assert whole == study().catalog.schedules["bbn"]
    assert short["warmup"] == {**whole["warmup"], "epochs": pytest.approx(0.005 * whole["warmup"]["epochs"])}
    assert short["decay"] == whole["decay"]
    assert json.loads(final("moco").lineage[-1].settings)["schedule"] == "epoch_cosine"  # a function by name


def test_every_stretch_keeps_an_epoch_however_small_the_budget():
    tiny = load_study({"targets": ["digits"], "budget": {"epochs": 0.0001}})
    for method in tiny.catalog.methods.values():
        if method.recipe:
            cut = {"texts": "agnews-ir10", "images": "cifar10-ir10"}[method.reads]
            assert all(s.last_epoch > s.first_epoch for s in final(method.name, cut, of=tiny).lineage)


def test_a_transfer_starts_a_clock_of_its_own():
    byol, mini = final("miniclustering").lineage
    assert (byol.first_epoch, byol.last_epoch, byol.clock, byol.start) == (0, 800, 800, "fresh")
    assert (mini.first_epoch, mini.last_epoch, mini.clock, mini.start) == (0, 200, 200, "transfer")


def test_hyperparameters_follow_dataset_and_ratio():
    values = {
        cut: json.loads(final("miniclustering", cut).lineage[-1].settings)["mini_clusters"]
        for cut in ("cifar10-ir5", "cifar10-ir10", "cifar10-ir100", "cifar20-ir5", "stl10-ir5", "stl10-ir10")
    }
    assert values == {
        "cifar10-ir5": 30,
        "cifar10-ir10": 40,
        "cifar10-ir100": 20,
        "cifar20-ir5": 30,
        "stl10-ir5": 20,
        "stl10-ir10": 40,
    }


@pytest.mark.parametrize("cut", ["cifar10-ir0", "cifar10", "cifar11-ir10", "cifar10-h7-ir10", "../x-ir10"])
def test_a_split_that_cannot_be_is_refused(cut):
    with pytest.raises(LongtailError):
        study().dataset_of(cut)


def test_an_override_of_a_setting_that_does_not_exist_says_what_does():
    with pytest.raises(LongtailError, match="Did you mean 'tags'"):
        final("conmix", settings=canonical({"conmix": {"tag": 50}}))
    with pytest.raises(LongtailError, match="objective in the recipe"):
        final("conmix", settings=canonical({"byol": {"tags": 50}}))


def test_a_folder_of_another_configuration_is_explained():
    with pytest.raises(LongtailError, match="No recipe trains 'conmix-1000-0123456789'"):
        study().phase("cifar10-ir10", "conmix-1000-0123456789")


def test_a_dataset_may_be_trained_on_otherwise_than_its_image_set_says():
    of = study()
    cifar10, tailed = of.catalog.dataset("cifar10"), of.catalog.dataset("cifar10-lt")
    assert cifar10.images["backbone"] == {"name": "resnet18", "stem": "cifar"}
    assert tailed.images["backbone"] == {"name": "resnet32", "stem": "cifar"}
    assert of.catalog.dataset("cifar100-lt").images["normalization"] == cifar10.images["normalization"]
    assert of.stored(tailed, "train") == of.stored(cifar10, "train")
    assert tailed.title == "CIFAR-10-LT"
    phase = final("simclr", "cifar10-lt-ir100")
    assert json.loads(phase.backbone) == {"name": "resnet32", "stem": "cifar"}
    assert json.loads(phase.data)["construction"] == "shuffled-longtail"
    assert of.rows("cifar10-lt-ir100", "train") == 12406


@pytest.mark.parametrize(
    ("backbone", "dataset", "words"),
    [
        ("resnet81", "cifar10", ["backbone", "resnet81", "Did you mean 'resnet18'"]),
        ("resnet32", "imagenet_lt", ["imagenet_lt", "'imagenet'", "resnet32", "cifar"]),
    ],
)
def test_a_network_that_cannot_be_is_told_before_anything_runs(backbone, dataset, words):
    of = study()
    with pytest.raises(LongtailError) as raised:
        final_phase(of.catalog.method("ce"), {}, backbone, of.catalog.dataset(dataset), 256, of.config, of.catalog)
    for word in words:
        assert word in str(raised.value)
