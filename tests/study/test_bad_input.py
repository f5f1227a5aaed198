"""A configuration or catalogue that is almost right is a study or one clear error, and never leads outside."""

from __future__ import annotations

import copy
import functools
import shutil
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from longtail.errors import LongtailError
from longtail.study import catalog as catalogue
from longtail.study import documents
from longtail.study.cells import asked_cells
from longtail.study.phases import canonical
from longtail.study.study import Study, load_study

from ..mutations import mutated

CONFIG = {
    "targets": ["digits", "digits_table1"],
    "protocol": "paper",
    "budget": {"title": "mine", "epochs": 0.05, "head_class_rows": 100, "batch_size": 16, "backbone": "resnet_small"},
    "seeds": [0, 1],
    "methods": ["simclr", "conmix", "pixels"],
    "datasets": ["digits", "cifar10"],
    "precision": "float32",
    "data_root": "data",
    "data": {"digits": {"kind": "parquet", "name": "mine", "files": {"train": ["a.parquet"]}}},
}
FILES = [
    "augmentations.yaml", "budgets.yaml", "readouts.yaml", "metrics.yaml", "planned.yaml", "datasets/digits.yaml",
    "methods/conmix.yaml", "methods/controls.yaml", "methods/miniclustering.yaml", "methods/sdclr.yaml",
    "papers/digits.yaml", "schedules.yaml",
]  # fmt: skip


def everything_of(study: Study) -> list[str]:
    """Make every plan and specification of a study; the files that it speaks of."""
    paths = [path for files in study.targets().values() for path in files]
    for paper in study.catalog.papers:
        for _, kind, name in study.artefacts(paper):
            assert study.table(paper, name) if kind == "tables" else study.figure(paper, name)
            for measurement in study.measurements(paper, name):
                cut, run = measurement.keys["run"].split("/")
                dataset, ratio = study.dataset_of(cut)
                specs = [
                    study.split_spec(cut),
                    study.store_spec(dataset.images["name"]),
                    study.data_spec(dataset, ratio),
                ]
                if study.catalog.method(measurement.keys["method"]).control is None:
                    specs += [phase.spec(0) for phase in study.lineage(cut, run)]
                assert all(canonical(spec).encode() for spec in specs)
                paths += [measurement.path, *study.parts(cut, measurement.keys["split"])]
    return paths


read = functools.cache(documents.read_yaml)


@contextmanager
def instead_of(path: Path | None, document):
    """The catalogue as if ``document`` stood in the file ``path``; no file is read twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "read_yaml", lambda asked: document if asked == path else read(asked))
        catalogue.load.cache_clear()
        yield
    catalogue.load.cache_clear()


def a_study_or_an_error(config, root) -> bool:
    try:
        paths = everything_of(load_study(config, root))
    except LongtailError as error:
        assert str(error)  # noqa: PT017 - either outcome is fine, anything else is a crash
        return False
    for path in paths:
        assert ".." not in PurePosixPath(path).parts
        assert not PurePosixPath(path).is_absolute()
        assert path.isprintable()
    return True


def families_not_needed() -> set[str]:
    """The files of methods of recognition that the tables of digits show nothing of."""
    full = catalogue.load()
    shown = {asked["method"] for asked in asked_cells(full.paper("digits"))}
    steps = [full.objectives[step["objective"]] for name in shown for step in full.methods[name].steps]
    needed = {full.objectives[one].family for step in steps for one in (step.name, *step.definers.values())}
    needed |= {full.methods[name].family for name in shown}
    recognition = {o.family for o in full.objectives.values() if ".recognition." in o.implementation}
    return recognition - needed


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The catalogue with one paper and its methods only, so that everything of it can be planned hundreds of times."""
    root = tmp_path_factory.mktemp("bad") / "catalog"
    shutil.copytree(catalogue.CATALOG, root)
    for paper in (root / "papers").glob("*.yaml"):
        if paper.name != "digits.yaml":
            paper.unlink()
    for family in families_not_needed():
        (root / "methods" / f"{family}.yaml").unlink()
    assert a_study_or_an_error({"targets": ["digits"]}, root)
    assert a_study_or_an_error(CONFIG, root)
    return root


@settings(max_examples=200)
@given(config=mutated(CONFIG))
def test_a_configuration_that_is_almost_right(small, config):
    a_study_or_an_error(config, small)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25)
@given(data=st.data())
def test_a_catalogue_that_is_almost_right(small, name, data):
    document = data.draw(mutated(read(small / name)))
    config = {"targets": ["digits"], "budget": data.draw(st.sampled_from(["paper", "smoke"]))}
    with instead_of(small / name, document):
        a_study_or_an_error(config, small)


NAMES = ["../x", "/tmp/x", "a/b", "..", "a\nb", "a\n", "a\x07", "a\x00b", "\ud800", "{seed}"]


def renamed(document, way, name):
    """The document with the last key of ``way`` called ``name``, or the value there if it is no key of a mapping."""
    *way, last = way
    for key in way:
        document = document[key]
    if isinstance(document[last], str):
        document[last] = name
    else:
        document[name] = document.pop(last)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("file", "way"),
    [
        ("datasets/digits.yaml", ["images", "name"]),
        ("datasets/digits.yaml", ["datasets", "digits"]),
        ("datasets/digits.yaml", ["images", "parts", "train"]),
        ("methods/sdclr.yaml", ["objectives", "sdclr"]),
        ("methods/sdclr.yaml", ["methods", "sdclr"]),
        ("methods/sdclr.yaml", ["methods", "sdclr", "features"]),
        ("methods/controls.yaml", ["methods", "pixels", "control"]),
        ("readouts.yaml", ["clusterers", "kmeans"]),
        ("readouts.yaml", ["classifiers", "classifier"]),
        ("readouts.yaml", ["scorers", "geometry"]),
        ("readouts.yaml", ["projections", "umap"]),
        ("budgets.yaml", ["smoke"]),
        ("papers/digits.yaml", ["paper"]),
        ("papers/digits.yaml", ["tables", "table1"]),
        ("papers/digits.yaml", ["figures", "figure1"]),
        ("papers/digits.yaml", ["figures", "figure3", "projection"]),
    ],
)
def test_a_name_in_the_catalogue_that_would_lead_elsewhere(small, file, way, name):
    document = copy.deepcopy(read(small / file))
    renamed(document, way, name)
    with instead_of(small / file, document), pytest.raises(LongtailError):
        everything_of(load_study({"targets": ["digits"]}, small))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["readout", "backbone", "features", "split", "method", "dataset"])
def test_a_name_in_a_cell_that_would_lead_elsewhere(small, key, name):
    document = copy.deepcopy(read(small / "papers/digits.yaml"))
    document["tables"]["table1"]["rows"][0][key] = name
    with instead_of(small / "papers/digits.yaml", document), pytest.raises(LongtailError):
        everything_of(load_study({"targets": ["digits"]}, small))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["targets", "methods", "datasets", "budget", "protocol", "precision", "data"])
def test_a_name_in_the_configuration_that_would_lead_elsewhere(key, name):
    value = {"targets": [name], "methods": [name], "datasets": [name], "data": {name: {"kind": "x", "name": "x"}}}
    with pytest.raises(LongtailError):
        load_study({"targets": ["digits"], key: value.get(key, name)})


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_a_target_that_would_lead_elsewhere(name):
    study = load_study({"targets": ["digits"]})
    for ask in (
        lambda: study.cell_measurements(name, "digits-ir10", 0),
        lambda: study.cell_measurements("conmix", name, 0),
        lambda: study.cell_measurements("conmix", f"{name}-ir10", 0),
        lambda: study.phase("digits-ir10", name),
        lambda: study.phase(f"digits-ir10/{name}", "conmix-100-0123456789"),
        lambda: study.store_spec(name),
        lambda: study.table(name, "table1"),
        lambda: study.table("digits", name),
        lambda: study.artefacts(f"digits_{name}"),
    ):
        with pytest.raises(LongtailError):
            ask()


@pytest.mark.parametrize(
    "text",
    [
        "a: &x [1, *x]",
        "a: &x {b: *x}",
        "a: &a [x, x, x, x, x, x, x, x, x]\n"
        + "\n".join(f"{k}: &{k} [{', '.join([f'*{p}'] * 9)}]" for p, k in zip("abcdefgh", "bcdefghi", strict=True)),
        "a: " + "[" * 500 + "]" * 500,
        "a: " + "[" * 100_000,
        "a: 2024-01-01",
        "a: .nan",
        "a: !!binary eA==",
        "a: !!set {x}",
        "1: x",
        "a: 1" + "0" * 5000,
    ],
)
def test_yaml_that_is_no_plain_data(tmp_path, text):
    path = tmp_path / "augmentations.yaml"
    path.write_text(text)
    with pytest.raises(LongtailError, match=r"augmentations\.yaml"):
        documents.validate(documents.read_yaml(path), "augmentations", path)


def test_published_numbers_that_are_none(small, tmp_path):
    shutil.copytree(small, tmp_path / "catalog")
    root = tmp_path / "catalog"
    paper = documents.read_yaml(root / "papers/digits.yaml")
    paper["tables"]["table1"]["published"] = "table1.csv"
    (root / "papers/digits.yaml").write_text(yaml.safe_dump(paper))
    (root / "papers/digits").mkdir(exist_ok=True)
    header = b"paper,table,row,group,dataset,imbalance_ratio,backbone,metric,unit,value,std,note\n"
    for content in (
        b"", b"\xff\xfe", b"a,b\n1,2\n", header, header + b"digits\n",
        header + b"d,1,SimCLR,,digits,5,,ACC,percent,x,,\n",
        header + b'"', header + b"\x00\n", header + b"a" * 200_000,
    ):  # fmt: skip
        (root / "papers/digits/table1.csv").write_bytes(content)
        catalogue.load.cache_clear()
        catalogue._published.cache_clear()
        with pytest.raises(LongtailError, match=r"published"):
            everything_of(load_study({"targets": ["digits"]}, root))


def test_a_row_without_a_name_is_named_by_its_place(small):
    document = copy.deepcopy(read(small / "papers/digits.yaml"))
    del document["tables"]["table1"]["rows"][2]["row"]
    with instead_of(small / "papers/digits.yaml", document), pytest.raises(LongtailError) as error:
        load_study({"targets": ["digits"]}, small)
    assert "digits.yaml: tables.table1.rows[2]: 'row' is a required property." in str(error.value)
