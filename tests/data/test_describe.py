"""What is written of a person's own images, from what lies in folders or stands in columns of labels."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from longtail.data.describe import describe
from longtail.data.sources import ImageSet, open_source
from longtail.errors import LongtailError
from longtail.study import documents


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folders(place: Path, **sizes: int) -> None:
    """Class folders of files that are called as images."""
    for name, size in sizes.items():
        (place / name).mkdir(parents=True)
        for number in range(size):
            (place / name / f"{number:03}.jpg").touch()


def test_what_is_written_is_a_file_of_the_catalogue_that_reads_the_images(here: Path) -> None:
    folders(here / "data/My Birds (2024)", robin=9, wren=30)
    (here / "data/My Birds (2024)/wren/notes.txt").touch()
    written = yaml.safe_load(describe("data/My Birds (2024)", "data"))
    documents.validate(written, "dataset", "birds")
    images = written["images"]
    assert (images["name"], images["title"]) == ("my-birds-2024", "My birds 2024")
    assert (images["parts"], images["classes"]) == ({"train": 39}, 2)
    assert written["datasets"]["my-birds-2024"]["held_out"] == 4
    image_set = ImageSet("mine", {**images["source"], "root": "data"}, 2, 64, 3, images["parts"])
    assert [sample.label for sample in open_source(image_set).samples("train")] == [0] * 9 + [1] * 30


@pytest.mark.parametrize("name", ["2024", "no", "Vögel: *", "1e5", "-"])
def test_any_name_of_a_folder_will_do(here: Path, name: str) -> None:
    folders(here / "data" / name, robin=9, wren=30)
    written = yaml.safe_load(describe(f"data/{name}", "data", held_out=2, cut=1))
    documents.validate(written, "dataset", name)
    assert written["images"]["source"]["folders"] == {"train": name}
    assert list(written["datasets"]) == [written["images"]["name"], f"{written['images']['name']}-lt"]


def test_images_elsewhere_are_named_from_the_root_of_the_disk(here: Path) -> None:
    folders(here / "elsewhere/birds", robin=5, wren=5)
    source = yaml.safe_load(describe("elsewhere/birds", "data"))["images"]["source"]
    assert source["folders"] == {"train": str(here / "elsewhere/birds")}
    assert yaml.safe_load(describe("elsewhere/birds", "elsewhere"))["images"]["source"]["folders"] == {"train": "birds"}


def test_several_parquet_files_are_one_set(here: Path) -> None:
    for number, labels in enumerate(([0] * 20 + [1] * 4, [1] * 4 + [2] * 12)):
        table = pa.table({"image": [b"no image"] * len(labels), "label": labels})
        (here / "data").mkdir(exist_ok=True)
        pq.write_table(table, here / f"data/birds-{number}.parquet")
    written = yaml.safe_load(describe("data/birds-*.parquet", "data", held_out=2, cut=3))
    assert written["images"]["source"]["files"] == {"train": "birds-*.parquet"}
    assert written["images"]["parts"] == {"train": 40}
    assert [cut["held_out"] for cut in written["datasets"].values()] == [2, 2]
    assert written["datasets"]["birds-lt"]["head_class_rows"] == 12  # 12, 6, 4 of 18, 6, 10


def test_the_long_tail_is_the_largest_that_can_be_cut(here: Path) -> None:
    folders(here / "data/birds", a=40, b=40, c=40)
    assert "any ratio from 10 to 39" in describe("data/birds", "data", held_out=1, cut=10)
    assert "birds-lt" not in describe("data/birds", "data", held_out=1)


@pytest.mark.parametrize(
    ("sizes", "options", "message"),
    [
        ({"a": 3, "b": 1}, {}, "smallest class .* has 1 images"),
        ({"a": 3, "b": 9}, {"held_out": 3}, "has 3 images, so 3 of each class .* Say --held-out 1"),
        ({"a": 3}, {}, "1 classes; two at least"),
        ({"a": 3, "b": 0}, {}, "no image in the class folders b of"),
        ({}, {}, "no folder of images of"),
        ({"a": 9, "b": 90}, {"held_out": 1, "cut": 20}, "No long tail of ratio 20 .* first has 8 images, the last 89"),
    ],
)
def test_what_cannot_be_described_is_told(
    here: Path, sizes: dict[str, int], options: dict[str, int], message: str
) -> None:
    (here / "data/birds").mkdir(parents=True)
    folders(here / "data/birds", **sizes)
    with pytest.raises(LongtailError, match=message):
        describe("data/birds", "data", **options)


def test_what_is_neither_folder_nor_parquet_is_told(here: Path) -> None:
    (here / "birds.txt").write_text("no images")
    for place in ("birds.txt", "birds"):
        with pytest.raises(LongtailError, match="neither a folder of class folders nor a Parquet file"):
            describe(place, "data")
