"""``python -m longtail job tokenize``: cut a dataset's texts into words and look up their synonyms, once.

A text is kept as the numbers of its words, and a vocabulary says of each word which tokens it becomes and which words
may stand in its place. So an augmented view is a matter of a few table look-ups on the device that trains
(:mod:`longtail.data.resident_texts`). ``tokens.npz`` holds, with -1 where a row is shorter than the longest:

* ``words`` int32 (N, W): for each text the positions of its words in the vocabulary, no more than could be read;
* ``pieces`` int32 (V, P): the tokens of each word;
* ``synonyms`` int32 (V, S): the positions of the words that may stand in its place;
* ``lexical`` bool (V,): whether it is a word at all, and no punctuation;
* ``prefix``, ``suffix`` int32: the tokens that open and close every text; ``padding``, the one that fills it up;
  ``length``, the tokens of a text with all of these.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from longtail.data.encoder import load_tokenizer
from longtail.data.rows import note
from longtail.data.text_sets import TextSet
from longtail.data.watch import noting
from longtail.data.wordnet import Synonyms
from longtail.files import replacing, write_table

Word = tuple[str, tuple[int, ...]]
"""A word as it stands in a text, and its tokens."""


def words_of(texts: Sequence[str], tokenizer: Any) -> list[list[Word]]:
    """The words of each text, as the encoder's tokenizer divides it: at white space and around punctuation.

    The tokens of a text are those of its words one after the other, without what opens and closes it.
    """
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    found = []
    for number, text in enumerate(texts):
        spans: dict[int, list[int]] = {}
        pieces: dict[int, list[int]] = {}
        rows = zip(
            encoded.word_ids(number), encoded["offset_mapping"][number], encoded["input_ids"][number], strict=True
        )
        for word, (start, end), piece in rows:
            first, _ = spans.get(word, (start, end))
            spans[word] = [first, end]
            pieces.setdefault(word, []).append(piece)
        found.append([(text[slice(*spans[word])], tuple(pieces[word])) for word in pieces])
    return found


def frame(tokenizer: Any) -> tuple[list[int], list[int]]:
    """The tokens that open and close every text."""
    encoded = tokenizer("a")
    inside = [position for position, word in enumerate(encoded.word_ids()) if word is not None]
    tokens = list(encoded["input_ids"])
    return tokens[: inside[0]], tokens[inside[-1] + 1 :]


def tokens_of(
    texts: Sequence[str], tokenizer: Any, synonyms: Callable[[str], Sequence[str]], length: int
) -> dict[str, np.ndarray]:
    """The arrays of ``tokens.npz``.

    Args:
        texts: N texts.
        tokenizer: of the encoder.
        synonyms: the words that may stand in place of a word.
        length: tokens that the encoder reads.
    """
    read = [words[:length] for words in words_of(texts, tokenizer)]
    vocabulary: dict[Word, int] = {}
    positions = [[vocabulary.setdefault(word, len(vocabulary)) for word in words] for words in read]
    of_texts = list(vocabulary)
    alternatives = {surface: list(synonyms(surface)) for surface, _ in of_texts}
    candidates = list(dict.fromkeys(name for names in alternatives.values() for name in names))
    pieces = tokenizer(candidates, add_special_tokens=False)["input_ids"] if candidates else []
    place = {
        name: vocabulary.setdefault((name, tuple(tokens)), len(vocabulary))
        for name, tokens in zip(candidates, pieces, strict=True)
        if tokens
    }
    places = [[place[name] for name in alternatives[surface] if name in place] for surface, _ in of_texts]
    prefix, suffix = frame(tokenizer)
    return {
        "words": padded(positions),
        "pieces": padded([tokens for _, tokens in vocabulary]),
        "synonyms": padded([*places, *([] for _ in range(len(vocabulary) - len(places)))]),
        "lexical": np.array([any(letter.isalnum() for letter in surface) for surface, _ in vocabulary]),
        "prefix": np.array(prefix, dtype=np.int32),
        "suffix": np.array(suffix, dtype=np.int32),
        "padding": np.array(tokenizer.pad_token_id, dtype=np.int32),
        "length": np.array(length, dtype=np.int32),
    }


def padded(rows: Sequence[Sequence[int]]) -> np.ndarray:
    """int32 (rows, the longest, 1 at least), filled up with -1."""
    filled = np.full((len(rows), max([1, *map(len, rows)])), -1, dtype=np.int32)
    for row, values in enumerate(rows):
        filled[row, : len(values)] = values
    return filled


def write_tokens(
    text_set: TextSet,
    part: str,
    encoder: Path,
    wordnet: str | None,
    tokens_path: str | PathLike[str],
    labels_path: str | PathLike[str],
) -> None:
    """Write the words and labels of ``part``.

    Args:
        text_set: what the catalogue says about the texts.
        part: ``train`` or ``test``.
        encoder: folder of the sentence encoder, for its tokenizer.
        wordnet: folder of WordNet's dictionaries; None looks in the usual places.
        tokens_path: the ``.npz`` file to write.
        labels_path: the Parquet file to write.

    Raises:
        LongtailError: if a text or label is wrong, or encoder or dictionaries cannot be read.
    """
    synonyms, tokenizer = Synonyms(wordnet), load_tokenizer(encoder)
    samples = list(text_set.samples(part))
    arrays = tokens_of([sample.text for sample in samples], tokenizer, synonyms, text_set.max_tokens)
    if without := int((arrays["words"][:, 0] < 0).sum()):
        note(f"{without:,} of {len(samples):,} texts of {text_set.texts}, part {part!r}, are empty or have no word.")
    with replacing(tokens_path) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **arrays)
    labels = pa.table({"label": pa.array([sample.label for sample in samples], pa.int64())})
    facts = {"texts": text_set.texts, "part": part, "source": dict(text_set.source)}
    write_table(labels_path, labels, encoder=str(encoder), wordnet=synonyms.place, **facts)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``python -m longtail job tokenize``."""
    parser.add_argument("--spec", required=True, metavar="JSON", help="texts, source, classes, max_tokens and parts")
    parser.add_argument("--part", required=True, help="train or test")
    parser.add_argument("--encoder", required=True, type=Path, metavar="DIR", help="folder of the sentence encoder")
    parser.add_argument("--wordnet", metavar="DIR", help="folder of WordNet's dictionaries, if in no usual place")
    parser.add_argument("--tokens", required=True, metavar="NPZ", help="the words to write")
    parser.add_argument("--labels", required=True, metavar="PARQUET", help="the labels to write")


def run(arguments: argparse.Namespace) -> None:
    """Write one part's words."""
    text_set = TextSet.from_json(arguments.spec)
    with noting(Path(arguments.labels).parent, lambda: text_set.inputs(arguments.part)):
        write_tokens(text_set, arguments.part, arguments.encoder, arguments.wordnet, arguments.tokens, arguments.labels)
