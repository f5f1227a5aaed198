"""The plan as it is printed and written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from longtail.__main__ import main
from longtail.data.longtail import class_sizes
from longtail.files import read_provenance, read_table
from longtail.reporting.estimate import DECODED_PER_CORE, INDEX_LINE, Estimate
from longtail.reporting.finished import Finished, Pace
from longtail.reporting.forecast import cost, page, table
from longtail.study.counting import works
from longtail.study.jobs import DECODING_THREADS, RULES, Jobs
from longtail.study.study import load_study


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plan(*targets: str, finished: Finished | None = None, **config: object) -> tuple[str, list[dict[str, Any]]]:
    """The page and the lines of the table."""
    study = load_study({"targets": list(targets), **config})
    estimate = Estimate(study, finished or Finished())
    costs = [cost(work, estimate) for work in works(Jobs(study))]
    return page(costs, estimate), table(costs).to_pylist()


def row(text: str, target: str, *, of: int = 0) -> list[str]:
    """The cells of a target in the first or another table of the page."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {target} ")]
    return [cell.strip() for cell in lines[of].strip("|").split("|")]


OBJECTIVES = ("simclr", "moco", "byol", "sdclr", "conmix", "miniclustering")


def paces(images_per_second: float, *objectives: str) -> Finished:
    """As if trainings of these objectives on the digits had finished."""
    pace = Pace(images_per_second, "a CPU", 3)
    return Finished({(objective, "resnet_small/cifar", 8, "float32"): pace for objective in objectives or OBJECTIVES})


def test_what_a_table_takes() -> None:
    text, (alone, together) = plan("conmix_table2")
    assert "# Plan: conmix_table2" in text
    assert "the papers' own budget, official protocol; the seeds of each table" in text
    assert "- Cells: 30, of which 0 are there and 30 are missing." in text
    assert "- Phases: 39 distinct ones, of which 39 have to be trained." in text
    assert "- Sharing: 45 trainings if every method trained all of its own; 6 are saved" in text
    assert {
        key: alone[key] for key in ("values", "cells", "cells_missing", "phases", "phases_left", "phases_apart")
    } == {
        "values": 120,
        "cells": 30,
        "cells_missing": 30,
        "phases": 39,
        "phases_left": 39,
        "phases_apart": 45,
    }
    assert row(text, "conmix_table2")[1:7] == ["120", "30", "30", "39", "39", "45"]
    assert {**alone, "target": "all"} == together
    assert alone["jobs_left"] == sum(alone[f"{rule}_left"] for rule in RULES) == int(row(text, "all")[-1])


def test_hours_of_recorded_paces() -> None:
    rows = int(class_sizes(174, 10, 10).sum())
    text, (alone, _) = plan("digits_figure2", finished=paces(2.0), seeds=[0])
    hours = (40 + 50 + 50) * rows / 2.0 / 3600  # BYOL, SimCLR, MoCo
    assert alone["cpu_hours"] == alone["cpu_hours_left"] == alone["cpu_hours_apart"] == pytest.approx(hours)
    assert alone["gpu_hours"] == alone["phases_left_of_unknown_pace"] == 0
    assert f"- Time, estimated: {hours:,.1f} CPU-hours, one training after the other." in text
    assert row(text, "digits_figure2")[7:10] == ["0", "0.0", f"{hours:,.1f}"]
    assert row(text, "digits (resnet_small)")[1:] == [
        "byol, moco, simclr", "2 images/s, measured over 3 trainings on a CPU", "0", "4", "140",
    ]  # fmt: skip


def test_hours_that_sharing_saves() -> None:
    rows = int(class_sizes(174, 10, 10).sum())
    text, (alone, _) = plan("digits_figure3", finished=paces(2.0), seeds=[0])
    once, shared = (
        (40 + 10) * rows / 2.0 / 3600,
        40 * rows / 2.0 / 3600,
    )  # BYOL is its own row, and MiniClustering's start
    assert alone["cpu_hours"] == pytest.approx(once)
    assert alone["cpu_hours_apart"] == pytest.approx(once + shared)
    assert f"1 are saved, an estimated {shared:,.1f} of {once + shared:,.1f} CPU-hours." in text


def test_what_is_not_known_is_not_guessed() -> None:
    text, (alone, _) = plan("digits_figure2", seeds=[0], finished=paces(2.0, "byol"))
    assert alone["phases_left_of_unknown_pace"] == 3
    assert "CPU-hours and 3 trainings of unknown pace" in text
    assert row(text, "digits_figure2")[9].endswith("+")
    assert "an estimated" not in text.split("Sharing")[1].split("\n")[0]
    text, _ = plan("digits_figure2", seeds=[0])
    assert row(text, "digits_figure2")[7:10] == ["0", "0.0", "?"]
    text, (alone, _) = plan("miniclustering_table10", seeds=[0])
    # Sentence encoders are as large as whoever made them wants, and so are six checkpoints and what they embed.
    assert alone["files_missing_of_unknown_size"] == 6 + 6
    assert row(text, "miniclustering_table10")[10].endswith("+")


def test_gpu_hours_are_hours_times_gpus() -> None:
    text, (alone, _) = plan("conmix_table9", methods=["simclr"], seeds=[0])
    minutes, epochs = 5, 200  # per epoch of ImageNet-LT, on four GPUs
    assert alone["clock_hours_left"] == pytest.approx(minutes * epochs / 60)
    assert alone["gpu_hours"] == alone["gpu_hours_left"] == pytest.approx(4 * minutes * epochs / 60)
    assert alone["gpus"] == 4
    assert row(text, "conmix_table9")[7:9] == ["4", f"{4 * minutes * epochs / 60:,.1f}"]
    clock = f"({minutes * epochs / 60:,.1f} hours by the clock, on up to 4 GPUs each)."
    assert f"GPU-hours, one training after the other {clock}" in text
    assert "5 minutes per epoch on 4 GPUs, the catalogue's for time limits" in text
    # on one GPU nothing is multiplied, and the clock says nothing else
    text, (alone, _) = plan("conmix_table2", methods=["simclr"], seeds=[0])
    assert alone["gpu_hours_left"] == alone["clock_hours_left"]
    assert "by the clock" not in text


def test_measured_paces_are_those_of_the_gpus_that_they_were_measured_on() -> None:
    rows = 115846
    for device, gpus in (("4 × NVIDIA H200", 4), ("NVIDIA H200", 1), ("8 × NVIDIA H200", 8)):
        pace = Finished({("simclr", "resnet50/imagenet", 224, "mixed"): Pace(1000.0, device, 1)})
        _, (alone, _) = plan("conmix_table9", methods=["simclr"], seeds=[0], finished=pace)
        assert alone["clock_hours_left"] == pytest.approx(200 * rows / 1000 / 3600)
        assert alone["gpu_hours_left"] == pytest.approx(gpus * alone["clock_hours_left"])


def test_a_plan_of_files_counts_an_index_and_the_slower_of_computing_and_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text, (alone, _) = plan("conmix_table9", methods=["simclr"], seeds=[0])
    epoch = 115846 / (12 * DECODED_PER_CORE) / 60
    assert f"; less for decoding, {epoch:.1f} on 12 cores" in text
    assert (alone["store_left"], alone["index_left"]) == (0, 1)
    assert alone["decoding_hours_left"] == pytest.approx(115846 / (DECODED_PER_CORE * DECODING_THREADS) / 3600)
    monkeypatch.setattr("longtail.reporting.estimate.DECODED_PER_CORE", 10)
    text, (slower, _) = plan("conmix_table9", methods=["simclr"], seeds=[0])
    assert "; more for decoding, 16.1 on 12 cores" in text
    assert slower["clock_hours_left"] == pytest.approx(200 * 115846 / 120 / 3600)
    assert slower["bytes_missing"] == alone["bytes_missing"]


def test_photographs_that_are_stored_as_pixels_are_decoded_once(folder: Path) -> None:
    source = {"kind": "imagefolder", "name": "squares", "storage": "pixels", "resize": 256, "crop": 256}
    source |= {"lists": {"train": "train.txt", "test": "test.txt"}}
    data = {"imagenet_lt": source}
    text, (alone, _) = plan("conmix_table9", methods=["simclr"], seeds=[0], data=data)
    _, (streamed, _) = plan("conmix_table9", methods=["simclr"], seeds=[0])
    assert alone["decoding_hours_left"] == pytest.approx(115846 / (DECODED_PER_CORE * DECODING_THREADS) / 3600)
    assert "- Decoding, estimated: 0.5 minutes on 4 cores, once, for 115,846 photographs." in text
    assert alone["bytes_missing"] - streamed["bytes_missing"] == 115846 * (256 * 256 * 3 - INDEX_LINE)
    assert "decoding, " not in text.split("## What the estimates rest on")[1].split("Hours are")[0]


def test_many_objectives_are_not_listed_one_by_one() -> None:
    text, _ = plan("iccl_table1", seeds=[0])
    objectives = row(text, "CIFAR-10 (resnet32)")[1]
    assert re.fullmatch(r"bbn(, [a-z-]+){3} and \d+ more", objectives)


PAPERS = ("conmix", "miniclustering", "iccl", "rescom", "gloco")


def test_the_plan_of_all_papers_is_of_every_table_and_figure() -> None:
    study = load_study({"targets": list(PAPERS)})
    text, lines = plan(*PAPERS)
    wanted = [f"{paper}_{name}" for target in PAPERS for paper, _, name in study.artefacts(target)]
    assert [line["target"] for line in lines] == [*wanted, "all"]
    assert lines[-1]["gpu_hours"] > lines[-1]["clock_hours_left"] > 0
    assert lines[-1]["phases_left_of_unknown_pace"] == 0
    assert max(map(len, text.split("## What the estimates rest on")[1].splitlines()[:12])) < 300


def test_finished_work_and_saved_states_are_subtracted(folder: Path) -> None:
    study = load_study({"targets": ["digits_figure2"], "seeds": [0]})
    total = works(Jobs(study))[-1]
    byol, *_, moco = total.trainings
    for job in total.jobs:
        if job.rule in ("store", "split") or job is byol:
            for path in job.outputs:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).touch()
    assert moco.run is not None
    assert moco.phase is not None
    state = folder / moco.run.state / f"{moco.phase.identity}-seed0-epoch000049-step000002.pt"
    state.parent.mkdir(parents=True)
    state.touch()

    text, (alone, _) = plan("digits_figure2", finished=paces(2.0), seeds=[0])
    rows = int(class_sizes(174, 10, 10).sum())
    assert alone["cpu_hours_left"] == pytest.approx((50 + 1) * rows / 2.0 / 3600)
    assert alone["cpu_hours"] == pytest.approx(140 * rows / 2.0 / 3600)
    assert "4 distinct ones, of which 3 have to be trained, 1 of them from a saved state on." in text


def test_what_would_be_trained_again_is_said(folder: Path) -> None:
    total = works(Jobs(load_study({"targets": ["digits_figure2"], "seeds": [0]})))[-1]
    for path in total.trainings[0].outputs:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()
    text, (alone, _) = plan("digits_figure2", seeds=[0])
    assert alone["phases_left"] == 4
    assert "4 have to be trained, 1 of them again, since what they were made from is missing." in text


def test_the_selections_of_the_configuration_hold() -> None:
    text, (alone, _) = plan("conmix_table2", methods=["simclr"], datasets=["cifar10"], seeds=[3, 4], budget="smoke")
    assert alone["cells"] == 2
    assert alone["values"] == 4
    for word in ("budget smoke", "seeds 3, 4", "methods simclr", "datasets cifar10"):
        assert word in text


def test_a_table_of_which_nothing_can_be_reproduced() -> None:
    text, (alone, _) = plan("conmix_table2", methods=["byol-encoder"])
    assert alone["values"] == alone["cells"] == alone["phases"] == 0
    assert "- Time, estimated: none" in text


def test_the_command_prints_and_writes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"targets": ["digits"], "budget": "smoke", "partial": True}
    assert main(["plan", "--config", json.dumps(config), "--out", "results/smoke/plan"]) == 0
    printed = capsys.readouterr().out
    assert printed == (folder / "results/smoke/plan.md").read_text() + "\n"
    written = read_table(folder / "results/smoke/plan.parquet").to_pylist()
    assert [line["target"] for line in written] == [
        "digits_table1", "digits_table2", "digits_figure1", "digits_figure2", "digits_figure3", "digits_figure4", "all",
    ]  # fmt: skip
    # A partial table trains nothing; the plan is that of the whole one.
    assert written[-1]["phases_left"] > 0
    assert read_provenance(folder / "results/smoke/plan.parquet")["targets"] == ["digits"]


def test_the_plan_of_all_papers_loads_neither_torch_nor_pandas(folder: Path) -> None:
    code = (
        "import sys; from longtail.__main__ import main\n"
        f"assert main(['plan', '--config', {json.dumps(json.dumps({'targets': ['conmix', 'miniclustering']}))},"
        " '--out', 'plan']) == 0\n"
        "sys.exit(bool({'torch', 'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    package = Path(__file__).parents[2] / "workflow"
    ended = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(package)}, cwd=folder, capture_output=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert len(read_table(folder / "plan.parquet")) > 25
