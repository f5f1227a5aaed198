"""What a failed job has said last: the lines of its log that tell why."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

LINES = 8
LONGEST = 400
READ = 1 << 16
"""Bytes of a log that are read, from its end."""

TRACEBACK = "Traceback (most recent call last):"


def reason(logs: Iterable[str], otherwise: str = "") -> list[str]:
    """The lines that matter of the first log that holds any.

    Of a traceback they are the last call and the exception, of a message to the user all of it, else the last lines.

    Args:
        logs: paths, some of which may not be there.
        otherwise: what is said where all logs are empty.
    """
    for path in logs:
        lines = _lines(path)
        if lines:
            return [line[:LONGEST] for line in _essential(lines)]
    return [line[:LONGEST] for line in otherwise.splitlines() if line.strip()][-LINES:]


def _lines(path: str) -> list[str]:
    """Lines at the end of a file, each as it was overwritten last."""
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(file.tell() - READ, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip().rpartition("\r")[2] for line in text.split("\n")]
    return [line for line in lines if line.strip()]


def _essential(lines: list[str]) -> list[str]:
    if TRACEBACK in lines:
        calls = lines[len(lines) - lines[::-1].index(TRACEBACK) :]
        ends = next((at for at, line in enumerate(calls) if not line.startswith(" ")), len(calls))
        last = max((at for at in range(ends) if calls[at].startswith("  File ")), default=0)
        return [*calls[last:ends][:2], *calls[ends:][:LINES]]
    told = [at for at, line in enumerate(lines) if line.startswith("error: ")]
    return lines[told[-1] :][:LINES] if told else lines[-LINES:]


def alike(rule: str, lines: list[str]) -> tuple[str, str]:
    """What failures of the same cause share: numbers, and with them seeds, hashes and paths, may differ."""
    return rule, re.sub(r"[0-9a-f]*\d[0-9a-f]*", "#", lines[-1] if lines else "")
