"""How an unfinished training has gone until now, as a file beside its states."""

from __future__ import annotations

import math

import pytest

from longtail.files import read_table
from longtail.study.layout import Run
from longtail.training import so_far
from longtail.training.so_far import HistorySoFar

PACE = {"learning_rate": 0.1, "images_per_second": 100.0, "seconds": 2.0}
EPOCHS = [{"epoch": epoch, "loss": 1 / epoch, **PACE} for epoch in range(1, 5)]


def test_the_first_epoch_is_told_at_once_and_others_not_too_often(tmp_path):
    often, seldom = HistorySoFar(tmp_path / "often", every=0.0), HistorySoFar(tmp_path / "seldom", every=math.inf)
    for history in (often, seldom):
        for done in range(1, len(EPOCHS) + 1):
            history.tell(EPOCHS[:done])
    assert read_table(often.path).to_pylist() == EPOCHS
    assert read_table(seldom.path).to_pylist() == EPOCHS[:1]


def test_it_is_taken_away_with_what_a_killed_writer_left(tmp_path):
    history = HistorySoFar(tmp_path)
    history.tell(EPOCHS)
    (tmp_path / ".history-0123abcd.tmp.parquet").touch()
    (tmp_path / "another.pt").touch()
    history.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["another.pt"]
    history.remove()


def test_a_folder_that_cannot_be_written_stops_no_training(tmp_path):
    (tmp_path / "state").touch()
    HistorySoFar(tmp_path / "state").tell(EPOCHS)


def test_it_lies_where_the_layout_has_it():
    run = Run("phases", "digits-ir10", "ce-10-0123456789", 0)
    assert run.history_so_far == f"{run.state}/{so_far.NAME}"


@pytest.mark.parametrize("stopped", [False, True])
def test_a_training_tells_its_epochs_until_it_is_finished(desk, tools, monkeypatch, stopped):
    told = []
    tell = HistorySoFar.tell

    def watched(self, history):
        self.every = 0.0
        tell(self, history)
        told.append(read_table(self.path)["epoch"].to_pylist())
        if stopped and len(told) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(HistorySoFar, "tell", watched)
    if stopped:
        with pytest.raises(KeyboardInterrupt):
            desk.train(tools.spec())
        assert told == [[1], [1, 2]]
        monkeypatch.undo()
    assert desk.train(tools.spec()) == 0
    assert stopped or told == [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]
    assert desk.history()["epoch"].to_pylist() == [1, 2, 3, 4]
    assert not (desk.folder / "run-state").exists()
