"""Records as Snakemake's logger makes them."""

from __future__ import annotations

import io
import itertools
import logging
from typing import Any

from snakemake_logger_plugin_longtail.report import Report
from snakemake_logger_plugin_longtail.terminal import Terminal

START = 1_800_000_000.0
HASH = "0123456789"
CUT = {"cut": "digits-ir10", "seed": "0"}


def record(event: str | None, at: float = 0.0, message: str | None = None, **fields: Any) -> logging.LogRecord:
    """A record of an event, so many seconds after the start."""
    made = {"levelno": logging.INFO, "thread": 1, "created": START + at, "msg": message, "args": (), **fields}
    return logging.makeLogRecord(made | ({"event": event} if event else {}))


def training(jobid: int, at: float = 0.0, objective: str = "simclr", seed: int = 0, **fields: Any) -> logging.LogRecord:
    """The start of a training."""
    wildcards = {**CUT, "phase": f"{objective}-40-{HASH}", "seed": str(seed)}
    return started(jobid, "train", at, wildcards, **fields)


def started(jobid: int, rule: str, at: float = 0.0, wildcards: Any = CUT, **fields: Any) -> logging.LogRecord:
    """The start of a job."""
    made = {"log": [], "output": ["made"], "indent": False, **fields}
    return record("job_info", at, jobid=jobid, rule_name=rule, wildcards=dict(wildcards), **made)


def finished(jobid: int, at: float) -> logging.LogRecord:
    return record("job_finished", at, job_id=jobid)


def failed(jobid: int, at: float, rule: str = "train", **fields: Any) -> logging.LogRecord:
    made = {"log": [], "output": ["made"], "indent": False, **fields}
    return record("job_error", at, jobid=jobid, rule_name=rule, levelno=logging.ERROR, **made)


def told(text: str, at: float, thread: int = 1) -> logging.LogRecord:
    return record("error", at, text, levelno=logging.ERROR, exception="RuleException", thread=thread)


def run_info(at: float = 0.0, **stats: int) -> logging.LogRecord:
    return record("run_info", at, "Job stats:", stats={**stats, "total": sum(stats.values())})


class Screen(io.StringIO):
    """What a terminal was sent."""

    def isatty(self) -> bool:
        return True


def say(*records: logging.LogRecord, stream: io.StringIO | None = None, colour: bool = True, **settings: Any) -> str:
    """All that a report says of these records, time passing between them, until it is closed."""
    stream = io.StringIO() if stream is None else stream
    report = Report(Terminal(stream, colour), again="make study", **settings)
    for before, after in itertools.pairwise([*records, None]):
        assert before is not None
        report.take(before)
        until = after.created if after else before.created
        while report.now + 1 < until:
            report.tick(report.now + 1)
    report.close()
    return stream.getvalue()
