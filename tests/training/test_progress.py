from __future__ import annotations

import io

from longtail.training import progress
from longtail.training.progress import Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def report(stream, monkeypatch, seconds_per_update, updates, interval=None):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    line = Progress("sdclr", epochs=4, steps=10, remaining=40, stream=stream, interval=interval)
    for update in range(updates):
        clock[0] += seconds_per_update
        line.advance(update // 10, update % 10 + 1, 100, 1.25 if update >= 10 else None)
    line.close()
    return stream.getvalue()


def test_a_log_gets_a_line_every_thirty_seconds(monkeypatch):
    text = report(io.StringIO(), monkeypatch, 4.0, 20)
    lines = text.splitlines()
    assert lines == [
        "sdclr: epoch 1/4, step 8/10, 25 images/s, 2:08 left",
        "sdclr: epoch 2/4, step 6/10, 25 images/s, 1:36 left, loss 1.2500",
    ]


def test_a_terminal_keeps_one_line(monkeypatch):
    text = report(Terminal(), monkeypatch, 0.25, 20)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    assert text.count("\r\x1b[K") == 10


def test_short_trainings_say_nothing(monkeypatch):
    assert report(io.StringIO(), monkeypatch, 0.1, 20) == ""
    assert report(Terminal(), monkeypatch, 0.01, 20) == ""


def test_hours(monkeypatch):
    assert "35:00:00 left" in report(io.StringIO(), monkeypatch, 3600.0, 5)
