"""Folders of a person's own beside the catalogue, and what their datasets say of settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from longtail.errors import LongtailError
from longtail.records.collect import Catalogued
from longtail.study.catalog import load
from longtail.study.config import own_catalogs
from longtail.study.study import Study, load_study

IMAGES = {
    "name": "field",
    "title": "Field",
    "source": {"kind": "imagefolder", "folders": {"train": "field"}},
    "parts": {"train": 18},
    "classes": 4,
    "image_size": 32,
    "channels": 3,
    "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3},
    "backbone": {"name": "resnet32", "stem": "cifar"},
    "precision": "float32",
    "resources": {"threads": 1, "mem_mb": 2000},
}
TABLE = {
    "title": "Table 1",
    "caption": "Mine.",
    "seeds": 1,
    "metrics": ["accuracy"],
    "published": "table1.csv",
    "layout": {"columns": ["dataset"]},
    "rows": [{"row": "CE", "method": "ce"}],
    "columns": [{"dataset": "field", "ratio": 4}],
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    load.cache_clear()
    return tmp_path


def write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document))


def own(folder: Path, name: str = "field", images: dict[str, Any] | None = None, **dataset: Any) -> None:
    """A folder with one dataset and one table, which prints a number."""
    cut = {"construction": "list", "pool": ["train"], "held_out": 1, **dataset}
    write(folder / "datasets/field.yaml", {"images": {**IMAGES, **(images or {})}, "datasets": {name: cut}})
    write(folder / "papers/field.yaml", {"paper": "field", "title": "Field", "tables": {"table1": TABLE}})
    header = "paper,table,row,group,dataset,imbalance_ratio,backbone,metric,unit,value,std,note"
    write(folder / "papers/field/table1.csv", f"{header}\nfield,1,CE,,Field,4,,accuracy,percent,70.0,,\n")


def settings(study: Study, method: str, cut: str = "field-ir4") -> dict[str, Any]:
    """The settings of the last stretch of a method's training."""
    (measurement,) = study.cell_measurements(method, cut, 0)
    return json.loads(study.phase(cut, measurement.run.name).lineage[-1].settings)


def test_a_folder_adds_datasets_and_papers_with_their_numbers(here: Path) -> None:
    own(here / "mine")
    study = load_study({"targets": ["field"], "catalog": ["mine"]})
    (entry,) = study.table("field", "table1").entries
    assert (entry.published, entry.missing) == (70.0, None)
    assert "field" not in load_study({"targets": ["digits"]}).catalog.datasets
    others = study.cell_measurements("ce", "cifar10-lt-ir100", 0)
    assert others == load_study({"targets": ["digits"]}).cell_measurements("ce", "cifar10-lt-ir100", 0)


def test_a_folder_may_have_methods_only(here: Path) -> None:
    recipe = [{"objective": "ce", "epochs": {"value": 3, "origin": "chosen", "where": "mine"}}]
    method = {"title": "Short CE", "features": "backbone", "readout": "classifier", "recipe": recipe}
    write(here / "mine/methods/short.yaml", {"methods": {"short-ce": method}})
    study = load_study({"targets": ["digits"], "catalog": ["mine"]})
    (measurement,) = study.cell_measurements("short-ce", "digits-lt-ir10", 0)
    assert measurement.run.name.startswith("ce-3-")


def test_several_folders_may_not_name_one_thing(here: Path) -> None:
    own(here / "mine")
    own(here / "yours")
    with pytest.raises(LongtailError, match=r"yours.*the dataset 'field' stands in another file"):
        load_study({"targets": ["field"], "catalog": ["mine", "yours"]})


def test_images_of_one_name_are_one_set(here: Path) -> None:
    own(here / "mine", images={"name": "cifar10"})
    with pytest.raises(LongtailError, match=r"field and cifar10.* have image sets of one name, 'cifar10'"):
        load_study({"targets": ["field"], "catalog": ["mine"]})


@pytest.mark.parametrize(
    ("folder", "message"),
    [("mein", "mein is no folder, but the configuration has it"), ("empty", "nothing of a catalogue in .*empty")],
)
def test_a_folder_without_anything_is_an_error(here: Path, folder: str, message: str) -> None:
    (here / "empty/dataset").mkdir(parents=True)
    with pytest.raises(LongtailError, match=message):
        load_study({"targets": ["digits"], "catalog": [folder]})


def test_settings_of_another_dataset_are_taken_over(here: Path) -> None:
    own(here / "mine")
    own(here / "yours", name="fens", images={"name": "fens"}, trained_as="digits-lt")
    (here / "yours/papers/field.yaml").unlink()
    study = load_study({"targets": ["field"], "catalog": ["mine", "yours"]})
    plain, taken = settings(study, "rescom"), settings(study, "rescom", "fens-ir4")
    assert (plain["batch_size"], plain["keys_per_class"]) == (128, 100)
    assert (taken["batch_size"], taken["keys_per_class"]) == (64, 20)
    assert taken == settings(study, "rescom", "digits-lt-ir4") | {"normalization": taken["normalization"]}


def test_settings_of_the_dataset_come_first(here: Path) -> None:
    own(here / "mine", trained_as="digits-lt", settings={"batch_size": 8, "keys_per_class": 3})
    study = load_study({"targets": ["field"], "catalog": ["mine"]})
    assert (settings(study, "rescom")["batch_size"], settings(study, "rescom")["keys_per_class"]) == (8, 3)
    assert settings(study, "ce")["batch_size"] == 8
    assert "keys_per_class" not in settings(study, "ce")
    notes = study.table("field", "table1").footnotes
    assert "Field: trained with the settings that methods have for digits-LT." in notes
    assert "Field: batch_size = 8, keys_per_class = 3, in place of the methods' own." in notes


def test_records_are_of_own_datasets_as_well(here: Path) -> None:
    own(here / "mine")
    config = {"targets": ["field"], "catalog": ["mine"]}
    study = load_study(config)
    (measurement,) = study.cell_measurements("ce", "field-ir4", 0)
    spec = study.phase("field-ir4", measurement.run.name).spec(0)
    found = Catalogued(own=own_catalogs(config)).find("field-ir4", spec)
    assert found is not None
    assert ("ce", "{}", "resnet32") in found.methods
    assert Catalogued().find("field-ir4", spec) is None


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"trained_as": "imagenet-lt"}, "trained_as.*'imagenet-lt'.*Did you mean 'imagenet_lt'"),
        ({"settings": {"batchsize": 8}}, "setting .dataset 'field'.*'batchsize'.*Did you mean 'batch_size'"),
    ],
)
def test_what_does_not_exist_is_an_error(here: Path, dataset: dict[str, Any], message: str) -> None:
    own(here / "mine", **dataset)
    with pytest.raises(LongtailError, match=message):
        load_study({"targets": ["field"], "catalog": ["mine"]})
