"""Lines for people: below them, on a terminal, one that is drawn anew."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import textwrap
from typing import TextIO

SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)]) | {ord("\n"): "\n", ord("\t"): "    "}
COLOURS = {"red": "\x1b[31m", "yellow": "\x1b[33m", "green": "\x1b[32m", None: ""}
ERASED = "\r\x1b[K"


class Terminal:
    """A stream that people read, now or later.

    Args:
        stream: where to. Unless it is a terminal it gets plain lines: no control characters, whatever they are made of.
        colour: whether a terminal gets colours.
    """

    def __init__(self, stream: TextIO, colour: bool = True) -> None:
        self.stream = stream
        self.live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self.colour = colour and self.live
        self._status = ""

    @property
    def width(self) -> int:
        """Columns of the terminal, or 100 of a file."""
        return shutil.get_terminal_size((100, 24)).columns if self.live else 100

    def line(self, text: str = "", colour: str | None = None) -> None:
        """Write text of one or more lines, to stay."""
        text = self._plain(text)
        if self.colour and colour:
            text = f"{COLOURS[colour]}{text}\x1b[0m"
        self._write(f"{ERASED if self._status else ''}{text}\n{self._status}")

    def wrapped(self, text: str) -> None:
        """Write a list, or a sentence, over as many lines as it takes; numbers stay with what they count."""
        bound = re.sub(r"(?<=\d) (?=\S)", "\xa0", text)
        lines = textwrap.wrap(bound, self.width - 1, subsequent_indent="    ", break_on_hyphens=False)
        self.line("\n".join(lines).replace("\xa0", " "))

    def status(self, text: str) -> None:
        """Draw the line that does not stay, in place of the last; nothing where this is no terminal."""
        if self.live:
            text = self._plain(text).replace("\n", " ")[: self.width - 1]
            if text != self._status:
                self._write(f"{ERASED}{text}")
                self._status = text

    def _plain(self, text: str) -> str:
        text = SEQUENCES.sub("", text).translate(CONTROLS)
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        return text.encode(encoding, "replace").decode(encoding)

    def _write(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody reads any more
            self.stream.write(text)
            self.stream.flush()
