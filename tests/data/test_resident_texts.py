"""Texts on a device: what an encoder reads of them, and synonyms in place of words."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import torch

from longtail.data.encoder import load_tokenizer
from longtail.data.resident_texts import ResidentTexts, SynonymReplacement
from longtail.data.texts import padded, tokens_of
from longtail.errors import LongtailError
from longtail.files import write_table

TRAIN = ["the big dog runs", "a small cat", "bigger dogs? bigger dogs? bigger", ""]
TEST = ["little hound", "cats", "a cat and the large dog"]
THESAURUS = {"dog": ["hound", "cat"], "big": ["large"], "small": ["little", "big", "cats"], "hound": ["dog"]}
LENGTH = 8


def write_split(path, rows):
    parts, source_rows, labels = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {"part": pa.array(parts, pa.string()), "source_row": pa.array(source_rows, pa.int64())}
    write_table(path, pa.table({**columns, "label": pa.array(labels, pa.int64())}))
    return path


@pytest.fixture
def stores(tmp_path, tiny_encoder):
    tokenizer = load_tokenizer(tiny_encoder)
    paths = {}
    for part, texts in (("train", TRAIN), ("test", TEST)):
        paths[part] = tmp_path / f"{part}.npz"
        np.savez(paths[part], **tokens_of(texts, tokenizer, lambda word: THESAURUS.get(word, []), LENGTH))
    return paths


def test_an_encoder_reads_what_its_tokenizer_gives(tmp_path, stores, tiny_encoder):
    rows = [("test", 2, 0), ("train", 0, 0), ("train", 2, 1), ("test", 0, 1), ("train", 3, 1)]
    split = ResidentTexts(write_split(tmp_path / "split.parquet", rows), stores, "cpu")
    tokenizer = load_tokenizer(tiny_encoder)
    texts = [(TEST if part == "test" else TRAIN)[row] for part, row, _ in rows]
    wanted = tokenizer(texts, truncation=True, max_length=LENGTH, padding="max_length").input_ids
    assert split.tokens(split.batch(torch.arange(5))).tolist() == wanted
    assert split.tokens(split.batch(torch.tensor([3, 1]))).tolist() == [wanted[3], wanted[1]]
    assert split.labels.tolist() == [0, 0, 1, 1, 1]
    assert len(split) == 5


def test_synonyms_come_from_the_part_of_the_text(tmp_path, stores, tiny_encoder):
    rows = [("train", 1, 0), ("test", 0, 0)]
    split = ResidentTexts(write_split(tmp_path / "split.parquet", rows), stores, "cpu")
    replace, tokenizer = split.replacement({"replaced": 1.0}), load_tokenizer(tiny_encoder)
    seen = set()
    for seed in range(20):
        views = replace(split.batch(torch.arange(2)), torch.Generator().manual_seed(seed))
        seen |= set(tokenizer.batch_decode(split.tokens(views), skip_special_tokens=True))
    assert seen == {"a little cat", "a big cat", "a cats cat", "little dog"}


def slow_replacement(words, drawn, share, synonyms, lexical):
    """Word by word: the races, then as many of the first as are to be swapped."""
    views = []
    for text, numbers in zip(words.tolist(), drawn.tolist(), strict=True):
        there = [word for word in text if word >= 0]
        count = max(1, math.floor(share * sum(bool(lexical[word]) for word in there)))
        known = {word: [other for other in synonyms[word].tolist() if other >= 0] for word in there}
        arrivals = sorted(
            (-math.log(1 - numbers[place][0]) / len(known[word]), place)
            for place, word in enumerate(there)
            if known[word]
        )
        view = list(text)
        for _, place in arrivals[:count]:
            candidates = known[text[place]]
            view[place] = candidates[math.floor(numbers[place][1] * len(candidates))]
        views.append(view)
    return views


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 1.0])
def test_replacement_is_the_slow_one(share):
    draws = np.random.default_rng(0)
    synonyms = torch.from_numpy(padded([draws.integers(0, 12, draws.integers(0, 5)).tolist() for _ in range(12)]))
    lexical = torch.from_numpy(draws.random(12) < 0.8)
    words = torch.from_numpy(padded([draws.integers(0, 12, length).tolist() for length in (0, 1, 2, 7, 10, 15)]))
    drawn = torch.rand(*words.shape, 2, generator=torch.Generator().manual_seed(1))
    replace = SynonymReplacement({"replaced": share}, synonyms, lexical)
    assert replace.apply(words, drawn).tolist() == slow_replacement(words, drawn, share, synonyms, lexical)
    assert replace(words, torch.Generator().manual_seed(1)).tolist() == replace.apply(words, drawn).tolist()


def test_a_single_swap_is_drawn_from_all_pairs_of_word_and_synonym():
    """As TextAttack draws it: word 0 has three synonyms and word 1 one, so it goes three times as often."""
    synonyms = torch.tensor([[2, 3, 4], [5, -1, -1], *[[-1] * 3] * 4], dtype=torch.int32)
    replace = SynonymReplacement({"replaced": 0.5}, synonyms, torch.ones(6, dtype=torch.bool))
    words = torch.tensor([[0, 1]], dtype=torch.int32).expand(40_000, 2)
    views = replace(words, torch.Generator().manual_seed(0))
    changed = views != words
    assert (changed.sum(1) == 1).all()
    shares = torch.tensor([(views[:, 0] == 2).sum(), (views[:, 0] == 3).sum(), (views[:, 0] == 4).sum()]) / 40_000
    torch.testing.assert_close(shares, torch.full((3,), 0.25), atol=0.01, rtol=0)
    assert abs(float(changed[:, 1].float().mean()) - 0.25) < 0.01


@pytest.mark.parametrize("spec", [{}, {"replaced": 1.5}, {"replaced": True}, {"replaced": 0.1, "flip": 0.5}])
def test_a_wrong_augmentation_is_refused(spec):
    with pytest.raises(LongtailError, match="augmentation"):
        SynonymReplacement(spec, torch.zeros(1, 1, dtype=torch.int32), torch.ones(1, dtype=torch.bool))


def test_a_split_that_does_not_fit_its_stores(tmp_path, stores):
    path = tmp_path / "split.parquet"
    with pytest.raises(LongtailError, match="has no rows"):
        ResidentTexts(write_split(path, []), stores, "cpu")
    with pytest.raises(LongtailError, match="wants row 4 of part 'train'"):
        ResidentTexts(write_split(path, [("train", 4, 0)]), stores, "cpu")
    with pytest.raises(LongtailError, match="no store was given"):
        ResidentTexts(write_split(path, [("train", 0, 0)]), {"test": stores["test"]}, "cpu")
