"""Synonyms out of WordNet's dictionaries (Miller 1995), for the augmentation of texts (MiniClustering App. J).

The rule is TextAttack's (QData/TextAttack, ``WordSwapWordNet``), which the paper cites: every single word in any synset
of the word, whatever its part of speech. NLTK reads the dictionaries and finds base forms ("loaded" to "load").
"""

from __future__ import annotations

import functools
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nltk
from nltk.corpus.reader.wordnet import WordNetCorpusReader, WordNetError
from nltk.data import FileSystemPathPointer
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from longtail.data.places import expanded
from longtail.errors import LongtailError

VARIABLE = "WNSEARCHDIR"
"""The variable that tells WordNet's own programs where the dictionaries are."""

DEBIAN = Path("/usr/share/wordnet")
WAY_OUT = (
    "Install them (Debian and Ubuntu: apt install wordnet-base; anywhere: python -m nltk.downloader wordnet), or name "
    f"the folder that holds data.noun and the others as `wordnet` in the configuration, or in {VARIABLE}."
)
LEXICOGRAPHER_FILES = 45


class Dictionaries(WordNetCorpusReader):
    """NLTK's reader, which also does with what Debian's package has: no ``lexnames`` and no ``index.sense``."""

    def map_wn(self, version: str = "wordnet") -> None:
        """The numbers of other versions' synsets, which only other languages need."""

    def open(self, file: str) -> Any:
        """A dictionary; in place of a missing ``lexnames`` one that numbers the topics without naming them."""
        root = self.root
        if file == "lexnames" and isinstance(root, FileSystemPathPointer) and not (Path(root.path) / file).exists():
            return io.StringIO("".join(f"{number} topic.{number} 1\n" for number in range(LEXICOGRAPHER_FILES)))
        return super().open(file)


class Synonyms:
    """A thesaurus: called with a word, it gives the words that may stand in its place.

    Attributes:
        place: where the dictionaries are.

    Args:
        folder: of the dictionaries; None takes ``WNSEARCHDIR``, then where Debian installs them, then NLTK's data.

    Raises:
        LongtailError: if there are none, or they cannot be read.
    """

    def __init__(self, folder: str | None = None) -> None:
        root = dictionaries(folder)
        self.place = str(root)
        if isinstance(root, str) and root not in nltk.data.path:
            nltk.data.path.append(root)  # NLTK opens nothing outside of the folders in this list
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that there are no other languages
                self._reader = Dictionaries(root, None)
        except (OSError, ValueError, AssertionError, LookupError, WordNetError) as error:
            raise LongtailError(f"{root} does not hold WordNet's dictionaries whole ({error}). {WAY_OUT}") from error

    @functools.cache  # noqa: B019 - lives as long as its job
    def __call__(self, word: str) -> tuple[str, ...]:
        """Single words that share a synset with ``word``, sorted; none for stop words and what is in no dictionary.

        As in TextAttack's augmentation, stop words stay ("in" is no inch). Its list comes with NLTK's data; this is
        scikit-learn's. A synonym that is the word in other capitals would change nothing for an uncased encoder.

        Raises:
            LongtailError: if the dictionaries are damaged.
        """
        if word.lower() in ENGLISH_STOP_WORDS:
            return ()
        try:
            found = {name for synset in self._reader.synsets(word) for name in synset.lemma_names()}
        except (OSError, ValueError, LookupError, WordNetError, StopIteration) as error:
            raise LongtailError(f"{self.place} does not hold WordNet's dictionaries whole ({error}).") from error
        return tuple(sorted(name for name in found if _is_one_word(name) and name.lower() != word.lower()))


def _is_one_word(name: str) -> bool:
    """Phrases are joined by underscores."""
    return "_" not in name and re.fullmatch(r"\w[\w'-]*", name) is not None


def dictionaries(folder: str | None) -> Any:
    """The folder of WordNet's dictionaries, as a path or as what NLTK has for a folder in an archive.

    Raises:
        LongtailError: if there are none where they should be.
    """
    named = folder or os.environ.get(VARIABLE)
    if named:
        place = expanded(named, "The folder of WordNet's dictionaries,")
        if not (place / "data.noun").is_file():
            raise LongtailError(f"There are no dictionaries of WordNet in {place.absolute()}. {WAY_OUT}")
        return str(place.resolve())
    for place in _usual_places():
        return place
    raise LongtailError(f"There are no dictionaries of WordNet, whose synonyms augment texts. {WAY_OUT}")


def _usual_places() -> Iterator[Any]:
    if (DEBIAN / "data.noun").is_file():
        yield str(DEBIAN)
    for place in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            yield nltk.data.find(place)
        except LookupError:
            continue
