"""A table of errors on corrupted images on the real workflow: a tiny ImageNet-LT with a tiny ImageNet-C beside it."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from tests.corrupted import CORRUPTIONS, NUMBERS, write_corrupted, write_training_list

SIZES, PER_CLASS = (6, 4, 3), 2
TABLE = "results/custom/tables/weather/table1.parquet"


def describe(catalog) -> None:
    """A dataset and a table of one row in a catalogue."""
    images = {
        "name": "tiny",
        "title": "Tiny",
        "source": {"kind": "imagefolder", "lists": {part: f"tiny/list_{part}.txt" for part in ("train", "test")}},
        "parts": {"train": sum(SIZES), "test": 6},
        "classes": len(NUMBERS),
        "image_size": 8,
        "channels": 3,
        "normalization": {"mean": [0.5] * 3, "std": [0.5] * 3},
        "test_transform": {"resize": None, "crop": None},
        "backbone": {"name": "resnet_small", "stem": "cifar"},
        "precision": "float32",
        "resources": {"threads": 1, "mem_mb": 2000},
        "corruptions": {
            "name": "tiny_c",
            "title": "Tiny-C",
            "source": {"kind": "corruptions", "folder": "tiny-c", "obtain": "Ask."},
            "corruptions": CORRUPTIONS,
            "severities": 5,
            "rows": PER_CLASS * len(NUMBERS),
        },
    }
    cut = {"construction": "list", "pool": ["train"], "test": ["test"], "shots": [1, 1, 1]}
    (catalog / "datasets/tiny.yaml").write_text(yaml.safe_dump({"images": images, "datasets": {"tiny": cut}}))
    table = {
        "title": "Table 1",
        "caption": "Mine.",
        "seeds": 1,
        "metrics": ["accuracy", "mean_corruption_error", "normalized_corruption_error"],
        "layout": {"columns": ["dataset"]},
        "rows": [{"row": "CE", "method": "ce"}],
        "columns": [{"dataset": "tiny", "ratio": 2}],
    }
    (catalog / "papers/weather.yaml").write_text(
        yaml.safe_dump({"paper": "weather", "title": "Weather", "tables": {"table1": table}})
    )


@pytest.fixture
def weather(checkout):
    """A checkout with the dataset in its catalogue, its images, and the corrupted ones in the archives' folders."""
    describe(checkout.folder / "workflow/catalog")
    config = {"targets": ["weather"], "budget": {"epochs": 0.01}, "data_root": "raw"}
    (checkout.folder / "config.yaml").write_text(yaml.safe_dump(config))
    raw = checkout.folder / "raw"
    write_training_list(raw / "tiny", SIZES)
    write_training_list(raw / "tiny", (2, 2, 2), kind="test")
    write_corrupted(raw / "tiny-c", CORRUPTIONS, 5, PER_CLASS, grouped=True)
    return checkout


def values(workflow) -> dict[str, float]:
    table = pq.read_table(workflow.folder / TABLE).to_pylist()
    return {line["metric"]: line["computed"] for line in table}


def test_a_table_of_errors_on_corrupted_images(weather):
    weather.succeed("weather_table1")
    (counts,) = weather.files("phases/*/*/*/backbone/corruptions.parquet")
    table = pq.read_table(counts).to_pandas()
    assert len(table) == 15 * 5 * len(NUMBERS)
    assert (table["images"] == PER_CLASS).all()
    errors = 1 - table.groupby(["corruption", "severity"])["right"].sum() / (PER_CLASS * len(NUMBERS))
    found = values(weather)
    assert np.isclose(found["mean_corruption_error"], 100 * errors.mean())
    scorers = yaml.safe_load((weather.checkout / "workflow/catalog/readouts.yaml").read_text())["scorers"]
    alexnet = scorers["corruptions"]["alexnet_errors"]
    by_corruption = errors.groupby("corruption").mean()
    expected = 100 * np.mean([by_corruption[name] / alexnet[name] for name in CORRUPTIONS])
    assert np.isclose(found["normalized_corruption_error"], expected)
    page = (weather.folder / TABLE).with_suffix(".md").read_text()
    assert "Tiny-C images: corruptions." in page
    assert "| Method | Top-1 | mCE | NmCE |" in page

    # nothing is left to do, and nothing of it rests on a store of corrupted images
    assert "Nothing to be done" in weather.succeed("weather_table1")
    assert not [path for path in weather.files("datasets/**/*") if "tiny_c" in str(path)]
    shutil.rmtree(weather.folder / "raw/tiny-c")
    assert "Nothing to be done" in weather.succeed("weather_table1")


def test_what_is_missing_is_told_before_the_first_job(weather):
    shutil.rmtree(weather.folder / "raw/tiny-c/weather")
    message = weather.refusal("weather_table1")
    assert re.search(r"tiny_c lacks 4 of its 15 corruptions: snow, frost, fog, brightness .*Ask\.$", message)
    assert not weather.files("phases/**/*")
    config = yaml.safe_load((weather.folder / "config.yaml").read_text())
    write_corrupted(weather.folder / "elsewhere", CORRUPTIONS, 5, PER_CLASS)
    shutil.rmtree(weather.folder / "elsewhere/fog/3")
    own = {"kind": "corruptions", "name": "mine", "folder": str(weather.folder / "elsewhere")}
    (weather.folder / "config.yaml").write_text(yaml.safe_dump({**config, "data": {"tiny_c": own}}))
    assert "tiny_c lacks fog at severity 3" in weather.refusal("weather_table1")
    assert "tiny_c lacks fog at severity 3" in weather.succeed("weather_table1", "--dry-run")
