"""What of a finished cell is kept."""

from __future__ import annotations

from longtail.embedding import infer_time
from longtail.files import write_table
from longtail.records.collect import finished_cells
from longtail.study.layout import Run


def test_the_time_that_a_network_takes_is_no_cell_to_be_recorded(tmp_path, monkeypatch):
    """It is the machine's that timed it, which need not be the one that trained."""
    monkeypatch.chdir(tmp_path)
    timed, scored = Run("phases", "a-ir10", "ce-200-0123456789", 0), Run("phases", "a-ir10", "ce-200-0123456789", 1)
    for run in (timed, scored):
        write_table(run.metrics("backbone", "test", "network", "inference"), infer_time.metrics(1.0))
        (tmp_path / run.spec).write_text("{}")
    write_table(scored.metrics("backbone", "test", "classifier", "classification"), infer_time.metrics(1.0))
    assert list(finished_cells()) == [scored]
