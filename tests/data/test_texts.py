from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.__main__ import main
from longtail.data.encoder import fetch, load_tokenizer
from longtail.data.resident_texts import open_tokens
from longtail.data.texts import TextSet, frame, tokens_of, words_of
from longtail.errors import LongtailError
from longtail.files import read_provenance

TEXTS = ["The big dog runs", "a cat? small-ish cats", "bigger DOGS", "", "the the"]
LABELS = [0, 1, 0, 1, 0]


@pytest.fixture
def table(tmp_path):
    pq.write_table(pa.table({"text": TEXTS, "label": LABELS}), tmp_path / "texts.parquet")
    return tmp_path


def text_set(folder, **changes):
    source = {"kind": "parquet", "root": str(folder), "files": {"train": "texts.parquet"}, **changes.pop("source", {})}
    usual = {"texts": "toy", "source": source, "classes": 2, "max_tokens": 8, "parts": {"train": 5}}
    return TextSet.from_json(json.dumps({**usual, **changes}))


def test_the_tokens_of_the_words_are_those_of_the_text(tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    for text, words in zip(TEXTS, words_of(TEXTS, tokenizer), strict=True):
        assert [piece for _, pieces in words for piece in pieces] == tokenizer(text, add_special_tokens=False).input_ids
    assert [word for word, _ in words_of(TEXTS, tokenizer)[1]] == ["a", "cat", "?", "small", "-", "ish", "cats"]
    assert frame(tokenizer) == ([tokenizer.cls_token_id], [tokenizer.sep_token_id])


def test_the_vocabulary_knows_synonyms_and_what_is_a_word(tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    thesaurus = {"dog": ("hound", "cat"), "?": ()}
    arrays = tokens_of(["dog ? cat", "dog"], tokenizer, lambda word: thesaurus.get(word, ()), length=2)

    def text(position):
        return tokenizer.decode([piece for piece in arrays["pieces"][position] if piece >= 0])

    assert [[text(word) for word in row if word >= 0] for row in arrays["words"]] == [["dog", "?"], ["dog"]]
    dog = arrays["words"][0, 0]
    assert [text(word) for word in arrays["synonyms"][dog] if word >= 0] == ["hound", "cat"]
    assert arrays["lexical"].tolist() == [True, False, True, True]
    assert arrays["synonyms"].shape[0] == arrays["pieces"].shape[0] == 4
    assert (int(arrays["padding"]), int(arrays["length"])) == (tokenizer.pad_token_id, 2)


def test_the_command_writes_words_and_labels(table, tiny_encoder, tiny_wordnet, capsys):
    spec = json.dumps(
        {
            "texts": "toy",
            "source": {"kind": "parquet", "root": str(table), "files": {"train": ["texts.parquet"]}},
            "classes": 2,
            "max_tokens": 8,
            "parts": {"train": 5},
        }
    )
    options = ["--encoder", tiny_encoder, "--wordnet", tiny_wordnet, "--tokens", table / "tokens.npz"]
    arguments = ["job", "tokenize", "--spec", spec, "--part", "train", *options, "--labels", table / "labels.parquet"]
    assert main([str(part) for part in arguments]) == 0
    assert "note: 1 of 5 texts of toy, part 'train', are empty or have no word." in capsys.readouterr().err
    arrays = open_tokens(table / "tokens.npz")
    assert (arrays["words"] >= 0).sum(1).tolist() == [4, 7, 2, 0, 2]
    assert (arrays["synonyms"] >= 0).sum() > 0
    assert pq.read_table(table / "labels.parquet")["label"].to_pylist() == LABELS
    assert read_provenance(table / "labels.parquet")["wordnet"] == str(tiny_wordnet)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"classes": 1}, "has label 1; toy has 1 classes"),
        ({"parts": {"train": 6}}, "has only 5 texts in part 'train', the catalogue says 6"),
        ({"source": {"text": "body"}}, r"has no text column 'body'; it has text, label"),
        ({"source": {"text": "label"}}, r"Column 'label' of .* is int64; it must be text"),
        ({"source": {"label": "text"}}, "labels must be integers"),
        ({"source": {"files": {"train": "none.parquet"}, "obtain": "Ask a friend."}}, r"does not exist\. Ask a friend"),
        ({"source": {"files": {"test": "texts.parquet"}}}, "part in the files of this source"),
        ({"source": {"image": "text"}}, "key in the source of toy"),
        ({"source": {"kind": "imagefolder"}}, "kind of source"),
        ({"source": {"files": None}}, "source of toy lacks files"),
        ({"source": {"fils": {"train": "x"}}}, "Did you mean 'files'"),
        ({"source": {"files": 3}}, "'files' in the source of toy is 3"),
        ({"source": {"files": {"train": [3]}}}, "'files' in the source of toy is"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"parts": {"train": "all"}}, "parts of toy"),
    ],
)
def test_what_is_wrong_with_a_source_is_said(table, changes, message):
    with pytest.raises(LongtailError, match=message):
        list(text_set(table, **changes).samples("train"))


def test_what_is_no_text_names_its_row(table):
    texts = pa.array([b"caf\xc3\xa9", b"caf\xe9", b"", b"", b""])
    column = pa.Array.from_buffers(pa.string(), len(texts), texts.buffers())
    pq.write_table(pa.table({"text": column, "label": LABELS}), table / "texts.parquet")
    with pytest.raises(LongtailError, match=r"Row 1 of .*texts\.parquet has a 'text' that is not UTF-8"):
        list(text_set(table).samples("train"))


def test_a_file_that_is_no_parquet(table):
    (table / "texts.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(LongtailError, match="not a readable Parquet file"):
        list(text_set(table).samples("train"))


def test_an_encoder_is_brought_into_one_form(tiny_encoder, tmp_path):
    fetch("tiny", str(tiny_encoder), tmp_path / "encoder")
    assert sorted(path.name for path in (tmp_path / "encoder").iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"
    ]  # fmt: skip
    fetched, own = load_tokenizer(tmp_path / "encoder"), load_tokenizer(tiny_encoder)
    assert [fetched(text).input_ids for text in TEXTS] == [own(text).input_ids for text in TEXTS]


def test_an_encoder_that_cannot_be_had_names_the_way_out(tmp_path, monkeypatch):
    with pytest.raises(LongtailError, match=r"no config\.json"):
        fetch("tiny", str(tmp_path), tmp_path / "out")
    monkeypatch.setattr("transformers.utils.hub.is_offline_mode", lambda: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LongtailError, match=r"Cannot obtain the sentence encoder 'no/such'.*sentence_encoder: \{name"):
        fetch("no/such", None, tmp_path / "out")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LongtailError, match="Cannot obtain the sentence encoder 'tiny'"):
        fetch("tiny", str(tmp_path), tmp_path / "out")
    with pytest.raises(LongtailError, match="no readable tokenizer"):
        load_tokenizer(tmp_path)
    assert not (tmp_path / "out").exists()


def test_damaged_tokens_are_named(tmp_path):
    path = tmp_path / "tokens.npz"
    with pytest.raises(LongtailError, match="does not exist"):
        open_tokens(path)
    np.savez(path, words=np.zeros(3))
    with pytest.raises(LongtailError, match="does not hold texts"):
        open_tokens(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LongtailError, match="does not hold texts"):
        open_tokens(path)
