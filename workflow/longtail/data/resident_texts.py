"""A split of texts held on the device that trains on it, and their augmentation by synonyms (MiniClustering App. J).

Texts are rows of word numbers until a view is made: then words give way to synonyms, and all become tokens. Both are
look-ups in the tables of :mod:`longtail.data.texts`, for a whole batch at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from longtail.data.keys import check_keys
from longtail.data.resident import SplitRows
from longtail.errors import LongtailError

Item = TypeVar("Item")

ARRAYS = ("words", "pieces", "synonyms", "lexical", "prefix", "suffix", "padding", "length")


class ResidentTexts:
    """The words and labels of a split, in the order of its rows.

    Attributes:
        words: int32 (N, W), positions in the vocabulary, -1 after the end of a text.
        labels: int64 (N,).
        device: where all is.
        digest: hexadecimal digits that tell these texts, their tokens and synonyms from others.
        planned_on: the device on which it is cheapest to say which rows are wanted.
        at_once: rows that networks in eval mode are given at a time.

    Args:
        split_path: a table that ``python -m longtail job split`` wrote.
        stores: for each part, the ``tokens.npz`` that ``python -m longtail job tokenize`` wrote.
        device: where to hold the texts.

    Raises:
        LongtailError: if a store is missing, damaged or shorter than the split says.
    """

    at_once = 512

    def __init__(
        self, split_path: str | PathLike[str], stores: Mapping[str, str | PathLike[str]], device: torch.device | str
    ) -> None:
        rows = SplitRows.read(split_path, stores)
        opened = {part: open_tokens(stores[part]) for part in rows.names}
        width = max(arrays["words"].shape[1] for arrays in opened.values())
        words = np.full((len(rows), width), -1, dtype=np.int32)
        before = 0  # words in the vocabularies of the parts before this one
        for part, arrays in opened.items():
            rows.require(part, stores[part], len(arrays["words"]), "texts")
            here = rows.parts == part
            words[here, : arrays["words"].shape[1]] = _moved(arrays["words"][rows.source_rows[here]], before)
            before += len(arrays["pieces"])

        digest = hashlib.blake2b(digest_size=16)

        def on_device(array: np.ndarray) -> Tensor:
            whole = np.ascontiguousarray(array)
            digest.update(whole.data)
            return torch.from_numpy(whole).to(device)

        self.words = on_device(words)
        self.labels = on_device(rows.labels)
        self.device = self.planned_on = self.words.device
        self._pieces = on_device(_stacked([arrays["pieces"] for arrays in opened.values()]))
        self._synonyms = on_device(_stacked([arrays["synonyms"] for arrays in opened.values()], move=True))
        self._lexical = on_device(np.concatenate([arrays["lexical"] for arrays in opened.values()]))
        first = next(iter(opened.values()))
        self._prefix, self._suffix = on_device(first["prefix"]).long(), on_device(first["suffix"]).long()
        self._padding, self._length = int(first["padding"]), int(first["length"])
        self.digest = digest.hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor) -> Tensor:
        """Words of ``rows``, (B, W) int32."""
        return self.words.index_select(0, rows.to(self.device, non_blocking=True))

    def ahead(
        self, items: Iterable[Item], rows_of: Callable[[Item], Sequence[Tensor]]
    ) -> Iterator[tuple[Item, tuple[Tensor, ...]]]:
        """Each item with a batch of words for each of the rows that it asks for; nothing has to be done ahead."""
        for item in items:
            yield item, tuple(map(self.batch, rows_of(item)))

    def tokens(self, words: Tensor) -> Tensor:
        """What the encoder reads.

        Args:
            words: (B, W) positions in the vocabulary, -1 for none.

        Returns:
            (B, L) int64: the tokens of the words, opened and closed, cut off or filled up at L.
        """
        pieces = self._pieces[words.clamp(min=0)]
        there = ((pieces >= 0) & (words >= 0)[:, :, None]).flatten(1)
        room = self._length - len(self._prefix) - len(self._suffix)
        position = there.cumsum(1)  # counts from 1
        used = position[:, -1:].clamp(max=room)
        kept = there & (position <= room)
        tokens = torch.full((len(words), self._length + 1), self._padding, device=self.device)
        tokens[:, : len(self._prefix)] = self._prefix
        tokens.scatter_(1, torch.where(kept, position - 1 + len(self._prefix), self._length), pieces.flatten(1).long())
        end = len(self._prefix) + used + torch.arange(len(self._suffix), device=self.device)
        tokens.scatter_(1, end, self._suffix.expand(len(words), -1))
        return tokens[:, : self._length]  # beyond it lies what is not kept

    def replacement(self, spec: Mapping[str, Any]) -> SynonymReplacement:
        """The augmentation that an entry of the catalogue describes."""
        return SynonymReplacement(spec, self._synonyms, self._lexical)


class SynonymReplacement:
    """Some words of each text give way to synonyms, as by TextAttack's ``WordNetAugmenter`` (QData/TextAttack).

    It swaps max(1, floor(p n)) of the n words of a text, one after the other, each by a draw from all pairs of a word
    not yet swapped and a synonym of it; so a word with many synonyms is likelier to go. Fewer are swapped where fewer
    have synonyms. Here the order comes from exponential races, one per word at the rate of its synonyms, which give the
    same distribution without a loop.

    Args:
        spec: as in the catalogue: ``replaced``, the share p, in [0, 1].
        synonyms: (V, S) positions in the vocabulary, -1 after the last of a word.
        lexical: (V,) bool, which words count.

    Raises:
        LongtailError: for an unknown key, or a share out of its range.
    """

    def __init__(self, spec: Mapping[str, Any], synonyms: Tensor, lexical: Tensor) -> None:
        check_keys("an augmentation of texts", spec, ["replaced"], required=["replaced"])
        self.share = spec["replaced"]
        if not isinstance(self.share, int | float) or isinstance(self.share, bool) or not 0 <= self.share <= 1:
            raise LongtailError(f"replaced of an augmentation is {self.share!r}; it must be a number in [0, 1].")
        self.synonyms = synonyms
        self.lexical = lexical
        self.number = (synonyms >= 0).sum(1)

    def __call__(self, words: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and apply.

        Args:
            words: (B, W) int32 positions in the vocabulary, -1 for none.
            generator: source of the random numbers, on the device of ``words``.

        Returns:
            (B, W) int32.
        """
        return self.apply(words, torch.rand(*words.shape, 2, generator=generator, device=words.device))

    def apply(self, words: Tensor, drawn: Tensor) -> Tensor:
        """The view that uniform numbers give: (B, W, 2), for when a word is swapped and by which of its synonyms."""
        there, known = words >= 0, words.clamp(min=0)
        number = self.number[known] * there
        swaps = (self.share * (self.lexical[known] & there).sum(1).double()).floor().clamp(min=1)
        arrival = torch.where(number > 0, -torch.log1p(-drawn[..., 0]) / number, torch.inf)
        swapped = (arrival.argsort(1).argsort(1) < swaps[:, None]) & (number > 0)
        chosen = (drawn[..., 1] * number).long().minimum(number - 1).clamp(min=0)
        return torch.where(swapped, self.synonyms[known, chosen], words)


def open_tokens(path: str | PathLike[str]) -> dict[str, np.ndarray]:
    """The arrays of a ``tokens.npz``.

    Raises:
        LongtailError: if the file is missing, truncated or another.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in ARRAYS}
    except FileNotFoundError as error:
        raise LongtailError(
            f"{path} does not exist. Run the workflow, or `python -m longtail job tokenize`."
        ) from error
    except Exception as error:  # zipfile, zlib and numpy raise of their own for what is damaged
        raise LongtailError(
            f"{path} does not hold texts ({error}). Delete it and run the workflow again to rebuild it."
        ) from error


def _moved(positions: np.ndarray, by: int) -> np.ndarray:
    return np.where(positions >= 0, positions + by, positions)


def _stacked(arrays: list[np.ndarray], move: bool = False) -> np.ndarray:
    """Arrays of different widths one below the other; positions that ``move`` with the rows they point at."""
    width = max(array.shape[1] for array in arrays)
    rows, before = [], 0
    for array in arrays:
        filled = np.full((len(array), width), -1, dtype=np.int32)
        filled[:, : array.shape[1]] = _moved(array, before) if move else array
        rows.append(filled)
        before += len(array)
    return np.concatenate(rows)
