"""Settings of all tests, and a sentence encoder and a WordNet small enough to be made for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run, and no deadline: how long an example takes says more about the machine than the code.
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("big", "large", "dog", "hound", "cat", "run", "runs", "the", "small", "##s", "##er", "?", "-", "a", "little")
SYNSETS = {"n": [["dog", "hound", "domestic_dog"]], "a": [["big", "large", "Big"], ["small", "little"]]}


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a DistilBERT of random weights with a handful of words, as the hub has one (``vocab.txt``)."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = (*SPECIAL, *WORDS)
    (folder / "vocab.txt").write_text("".join(f"{word}\n" for word in vocabulary), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True}), encoding="utf-8"
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        size = {"dim": 16, "hidden_dim": 32, "n_heads": 2, "n_layers": 1, "max_position_embeddings": 16}
        DistilBertModel(DistilBertConfig(vocab_size=len(vocabulary), **size)).save_pretrained(folder)
    return folder


def write_wordnet(folder: Path, synsets: Mapping[str, Sequence[Sequence[str]]]) -> Path:
    """WordNet's dictionaries in the format of wndb(5), with what Debian's package has: no lexnames, no index.sense.

    Args:
        folder: to write.
        synsets: by part of speech (n, v, a, r), the lemmas of each synset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for letter, name in (("n", "noun"), ("v", "verb"), ("a", "adj"), ("r", "adv")):
        data = "  1 This line is a licence, which begins with two blanks\n"
        offsets: dict[str, list[int]] = {}
        for lemmas in synsets.get(letter, ()):
            for lemma in lemmas:
                offsets.setdefault(lemma.lower(), []).append(len(data))
            listed = " ".join(f"{lemma} 0" for lemma in lemmas)
            data += f"{len(data):08} 00 {letter} {len(lemmas):02x} {listed} 000 | what it means  \n"
        index = "  1 This line is a licence\n" + "".join(
            f"{lemma} {letter} {len(places)} 0 {len(places)} 0 {' '.join(f'{place:08}' for place in places)}  \n"
            for lemma, places in sorted(offsets.items())
        )
        (folder / f"data.{name}").write_text(data, encoding="utf-8")
        (folder / f"index.{name}").write_text(index, encoding="utf-8")
        (folder / f"{name}.exc").write_text("", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_wordnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of dictionaries with three synsets."""
    return write_wordnet(tmp_path_factory.mktemp("wordnet"), SYNSETS)
