"""What Snakemake asks of any logger plugin, by the tests that come with its interface."""

from __future__ import annotations

import pytest
from snakemake_interface_logger_plugins.tests import MockOutputSettings, TestLogHandlerBase

from snakemake_logger_plugin_longtail import LogHandler


class TestSnakemakesOwnOutput(TestLogHandlerBase):
    __test__ = True

    def get_log_handler_cls(self):
        return LogHandler

    def get_log_handler_settings(self):
        return None


class TestOurOutput(TestSnakemakesOwnOutput):
    @pytest.fixture(autouse=True)
    def handlers(self):
        self.made = []
        yield
        for handler in self.made:
            handler.close()

    def _create_handler(self):
        settings = MockOutputSettings()
        settings.printshellcmds = False
        handler = LogHandler(common_settings=settings, settings=None)
        self.made.append(handler)
        assert handler.report
        return handler
