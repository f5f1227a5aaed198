"""Paths as people write them lead to files, or are named with the way out."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.data import raw
from longtail.data.encoder import fetch
from longtail.data.places import below, expanded, files_below
from longtail.data.sources import ImageSet, samples
from longtail.data.wordnet import dictionaries
from longtail.errors import LongtailError


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.lists(st.integers(0, 300), min_size=1, max_size=12, unique=True), padded=st.booleans())
def test_patterns_take_files_in_the_order_of_their_numbers(tmp_path, numbers, padded):
    for path in tmp_path.iterdir():
        path.unlink()
    names = [f"train-{number:05d}-of-00300.parquet" if padded else f"train-{number}.parquet" for number in numbers]
    for name in (*names, "test-0.parquet", ".train-1.parquet"):
        (tmp_path / name).touch()
    found = files_below(str(tmp_path), "train-*.parquet", "")
    assert [path.name for path in found] == [name for _, name in sorted(zip(numbers, names, strict=True))]


def test_a_name_that_looks_like_a_pattern_and_is_there_is_taken(tmp_path):
    (tmp_path / "a[1].parquet").touch()
    (tmp_path / "a1.parquet").touch()
    assert files_below(str(tmp_path), "a[1].parquet", "") == [tmp_path / "a[1].parquet"]
    (tmp_path / "[x]").mkdir()
    (tmp_path / "[x]" / "b1.parquet").touch()
    assert files_below(str(tmp_path / "[x]"), "b?.parquet", "") == [tmp_path / "[x]" / "b1.parquet"]


def test_a_pattern_that_nothing_fits_says_what_is_there(tmp_path):
    (tmp_path / "data.csv").touch()
    with pytest.raises(LongtailError, match=r"No file fits .*train-\*\.parquet\. In .* there is data\.csv\. Ask\."):
        files_below(str(tmp_path), "train-*.parquet", "Ask.")
    with pytest.raises(LongtailError, match=r"nowhere is no folder"):
        files_below(str(tmp_path), "nowhere/*.parquet", "")
    with pytest.raises(LongtailError, match=r"Patterns are for the 'files' of Parquet"):
        below(str(tmp_path), "train*")


@pytest.mark.parametrize("written", ["~/raw", "$RAW", "${RAW}"])
def test_home_and_variables_are_filled_in_everywhere(tmp_path, monkeypatch, written):
    raw_data = tmp_path / "raw"
    raw_data.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAW", str(raw_data))
    assert expanded(written) == raw_data
    assert below(written, "x") == below("elsewhere", f"{written}/x") == raw_data / "x"
    (raw_data / "t-1.parquet").touch()
    assert files_below("elsewhere", f"{written}/t-*.parquet", "") == [raw_data / "t-1.parquet"]
    assert files_below(written, "t-?.parquet", "") == [raw_data / "t-1.parquet"]
    with pytest.raises(LongtailError, match=rf"{raw_data} holds no sentence encoder"):
        fetch("tiny", written, tmp_path / "out")
    with pytest.raises(LongtailError, match=rf"no dictionaries of WordNet in {raw_data}"):
        dictionaries(written)
    (raw_data / "data.noun").touch()
    assert dictionaries(written) == str(raw_data)


ADDRESSES = {
    "hf://datasets/uoft-cs/cifar10/plain_text/train-*.parquet": (
        r"`hf download uoft-cs/cifar10 --repo-type dataset --include 'plain_text/train-\*.parquet' --local-dir FOLDER`"
    ),
    "hf://datasets/uoft-cs/cifar10@main": "`hf download uoft-cs/cifar10 --repo-type dataset --revision main --local",
    "hf://owner/model": "`hf download owner/model --local-dir FOLDER`",
    "hf://x": "Copy it here",
    "https://host/a.parquet": "`curl -LO https://host/a.parquet`",
    "S3://bucket/a.parquet": "`aws s3 cp S3://bucket/a.parquet`",
    "gs://bucket/a": "gcloud storage cp",
    "file:///data/a.parquet": r"Write /data/a\.parquet",
    "abfs://x@y/z": "Copy it here",
}
OPTIONS = [
    ("parquet", lambda address: {"files": {"train": address}}),
    ("parquet", lambda address: {"files": {"train": ["a.parquet", address]}}),
    ("parquet", lambda address: {"files": {"train": "a.parquet"}, "root": address}),
    ("imagefolder", lambda address: {"folders": {"train": address}}),
    ("imagefolder", lambda address: {"lists": {"train": address}}),
    ("imagefolder", lambda address: {"folders": {"train": "train"}, "root": address}),
    ("torchvision", lambda address: {"dataset": "CIFAR10", "root": address}),
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize(("kind", "options"), OPTIONS)
def test_addresses_are_named_with_the_way_to_get_them(image_set, kind, options, address):
    source = {"kind": kind, **options(address)}
    for ask in (raw.inputs, raw.check, lambda spec, part: list(samples(ImageSet(**spec), part))):
        with pytest.raises(LongtailError, match=f"{ADDRESSES[address]}") as raised:
            ask(vars(image_set(source)), "train")
        assert address in str(raised.value)


def test_addresses_of_encoder_dictionaries_and_listed_images_are_named(tmp_path, image_set):
    with pytest.raises(LongtailError, match=r"The `folder` of `sentence_encoder` hf://a/b is an address"):
        fetch("a/b", "hf://a/b", tmp_path)
    with pytest.raises(LongtailError, match="WordNet's dictionaries, https://x/y is an address"):
        dictionaries("https://x/y")
    (tmp_path / "list.txt").write_text("http://host/a.png 0\n")
    source = {"kind": "imagefolder", "root": str(tmp_path), "lists": {"train": "list.txt"}}
    with pytest.raises(LongtailError, match=r"Line 1 of .*list\.txt: http://host/a\.png is an address"):
        list(samples(image_set(source), "train"))


def test_sharded_texts_are_read_by_a_pattern(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for number in range(12):
        pq.write_table(pa.table({"sentence": [str(number)], "label": [0]}), tmp_path / f"train-{number}.parquet")
    source = {"kind": "parquet", "root": "~", "files": {"train": "train-*.parquet"}}
    spec = {"texts": "toy", "source": source, "classes": 2, "max_tokens": 8, "parts": {"train": 12}}
    from longtail.data.text_sets import TextSet

    found = TextSet.from_json(json.dumps(spec)).samples("train")
    assert [sample.text for sample in found] == [str(number) for number in range(12)]
    raw.check(spec, "train")
    assert len(raw.inputs(spec, "train")) == 12
