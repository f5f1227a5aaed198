"""What the catalogue says of a set of texts, and how its raw data are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from longtail.data.keys import check_keys, is_count
from longtail.data.parquet import ParquetTexts, Text
from longtail.data.rows import Expected
from longtail.data.sources import chosen, option_names, require_part, require_source
from longtail.errors import LongtailError, unknown
from longtail.files import read_json

MOST_TOKENS = 512


@dataclass(frozen=True)
class TextSet:
    """What the catalogue says about one set of texts.

    Attributes:
        texts: its name.
        source: ``kind`` (``parquet``), what tables call it (``name``), and the options of :class:`ParquetTexts`.
        classes: number of classes K; labels are 0..K-1.
        max_tokens: the longest text the encoder reads, with the tokens that open and close it.
        parts: number of texts in each part.
    """

    texts: str
    source: Mapping[str, Any]
    classes: int
    max_tokens: int
    parts: Mapping[str, int]

    @classmethod
    def from_json(cls, text: str) -> TextSet:
        """Parse the ``--spec`` of the command.

        Raises:
            LongtailError: if the text is no JSON object, or a key is missing, unknown or of the wrong type.
        """
        spec = read_json(text, "--spec")
        known = [field.name for field in fields(cls)]
        check_keys("the specification of a text set", spec, known, required=known)
        if not is_count(spec["classes"]) or not is_count(spec["max_tokens"], MOST_TOKENS):
            raise LongtailError(
                f"classes and max_tokens of {spec['texts']} are {spec['classes']!r} and {spec['max_tokens']!r}; both "
                f"must be positive integers, the latter up to {MOST_TOKENS}."
            )
        if not isinstance(spec["parts"], dict) or not all(map(is_count, spec["parts"].values())):
            raise LongtailError(f"parts of {spec['texts']} must give a number of texts per part: {spec['parts']!r}.")
        require_source(spec["texts"], spec["source"], lambda kind: option_names(ParquetTexts))
        if spec["source"].get("kind") != "parquet":
            raise unknown(f"kind of source (texts of {spec['texts']})", str(spec["source"].get("kind")), ["parquet"])
        return cls(**spec)

    def samples(self, part: str) -> Iterator[Text]:
        """The texts of ``part`` in source order, labels checked.

        Raises:
            LongtailError: if the part does not exist, its number of texts is not the catalogue's, a file is missing or
                broken, or a label is not in 0..classes-1.
        """
        return self._expected().with_labels_checked(self._opened(part).samples(part))

    def inputs(self, part: str) -> list[Path]:
        """The files that the texts of ``part`` are read from; none is opened, and they need not exist.

        Raises:
            LongtailError: if the part does not exist, or an option of the source is wrong.
        """
        return self._opened(part).inputs(part)

    def check(self, part: str) -> None:
        """Raise what :meth:`samples` would, as far as it can be known without reading the texts.

        Raises:
            LongtailError: if the part does not exist, or a file is missing, broken or without the right columns.
        """
        self._opened(part).check(part)

    def _opened(self, part: str) -> ParquetTexts:
        require_part(self.texts, part, self.parts)
        options = chosen(f"the source of {self.texts}", self.source, ParquetTexts, ("kind", "name"))
        return ParquetTexts(**options, expected=self._expected())

    def _expected(self) -> Expected:
        return Expected(self.texts, self.classes, self.parts)
