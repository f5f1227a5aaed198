from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.__main__ import main
from longtail.files import read_table

SCORER = '{"name":"pace","reads":"history"}'


def score(tmp_path, split, seconds):
    pq.write_table(pa.table({"epoch": range(len(seconds)), "seconds": pa.array(seconds, pa.float64())}), tmp_path / "h")
    out = str(tmp_path / "out.parquet")
    return main(
        ["job", "score", "--scored", str(tmp_path / "h"), "--split", str(split), "--scorer", SCORER, "--out", out]
    )


@pytest.fixture
def split(tmp_path):
    path = tmp_path / "train.parquet"
    columns = {"row": [0, 1], "part": ["train"] * 2, "source_row": [0, 1], "label": [0, 1]}
    pq.write_table(pa.table(columns | {"class_size": [1, 1], "shot": ["few"] * 2}), path)
    return path


def test_an_epoch_takes_what_half_of_them_take_at_most(tmp_path, split):
    """The first has the compiler to wait for, and one was interrupted."""
    assert score(tmp_path, split, [9.0, 2.0, 2.5, 300.0, 2.0]) == 0
    (line,) = read_table(tmp_path / "out.parquet").to_pylist()
    assert (line["metric"], line["value"], line["unit"]) == ("seconds_per_epoch", 2.5, "s")


@pytest.mark.parametrize("seconds", [[], [1.0, 0.0], [float("nan")]])
def test_a_history_without_time_is_refused(tmp_path, split, seconds, capsys):
    assert score(tmp_path, split, seconds) != 0
    assert "how long each epoch took" in capsys.readouterr().err
