"""What the workflow says on the terminal: a logger plugin of Snakemake, named ``longtail``.

Snakemake finds it by the name of this package and imports it before it reads any Snakefile. It knows the workflow by
the events of its logger alone, and imports nothing of it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
import sys
import threading
import time

from snakemake.logging import ColorizingTextHandler
from snakemake_interface_logger_plugins.base import LogHandlerBase

from .report import Report
from .terminal import Terminal

COMMAND = "LONGTAIL_COMMAND"
"""Environment variable with what was typed, where it was not Snakemake itself."""


class LogHandler(LogHandlerBase):
    """Takes the place of Snakemake's own output.

    Whoever asks for more (``--printshellcmds``, ``--verbose``, ``--debug-dag``) or less (``--quiet``) is given what
    Snakemake itself prints.
    """

    writes_to_stream = True
    writes_to_file = False
    has_filter = False
    has_formatter = False
    needs_rulegraph = False

    def __post_init__(self) -> None:
        """Decide who writes."""
        how = self.common_settings
        stream = sys.stdout if how.stdout else sys.stderr
        self.report: Report | None = None
        self.default: ColorizingTextHandler | None = None
        self.closed = threading.Event()
        self.clock = threading.Thread(target=self._tick, daemon=True)
        if how.quiet or how.printshellcmds or how.verbose or how.debug_dag:
            self.default = ColorizingTextHandler(nocolor=how.nocolor, stream=stream)
            return
        again = os.environ.get(COMMAND) or shlex.join(["snakemake", *sys.argv[1:]])
        self.report = Report(Terminal(stream, colour=not how.nocolor), dryrun=how.dryrun, again=again)

    def setFormatter(self, fmt: logging.Formatter | None) -> None:
        """Take Snakemake's formatter, for its own output."""
        super().setFormatter(fmt)
        if self.default:
            self.default.setFormatter(fmt)

    def emit(self, record: logging.LogRecord) -> None:
        """Say what there is to say of one record, and fail at none."""
        try:
            if self.report:
                self.report.take(record)
                if self.report.pace and not self.clock.is_alive() and not self.closed.is_set():
                    self.clock.start()
            elif self.default:
                self.default.emit(record)
        except BrokenPipeError:
            pass  # nobody reads any more
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Say how it ended, once."""
        with self.lock or contextlib.nullcontext():
            if self.report and not self.closed.is_set():
                self.closed.set()
                self.report.close()
        super().close()

    def _tick(self) -> None:
        while not self.closed.wait(1.0):
            with self.lock or contextlib.nullcontext():
                if self.report and not self.closed.is_set():
                    self.report.tick(time.time())
