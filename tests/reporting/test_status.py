"""The status as it is printed and written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from longtail.__main__ import main
from longtail.files import read_table
from longtail.reporting.status import Status, page, status
from longtail.study.jobs import Job, Jobs
from longtail.study.study import load_study

CONFIG = {"targets": ["digits_figure2"], "seeds": [0, 1]}  # BYOL, SimCLR and MoCo, scored by their confusion matrices


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def now(**config: object) -> Status:
    return status(load_study({**CONFIG, **config}))


def job(name: str, seed: int | None = None) -> Job:
    """The job of the study whose name begins so, with that seed."""
    ours = "" if seed is None else f"-seed{seed}"
    (found,) = [each for each in now().works[-1].jobs if each.name.startswith(name) and ours in each.name]
    return found


def make(*jobs: Job) -> None:
    """Let the files of jobs be there."""
    for each in jobs:
        for path in each.outputs:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).touch()


def log(of: Job, text: str) -> None:
    Path(of.log).parent.mkdir(parents=True, exist_ok=True)
    Path(of.log).write_text(text)


def row(text: str, target: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {target} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def section(text: str, title: str) -> str:
    """What stands below a heading."""
    return text.split(f"## {title}")[1].split("\n## ")[0]


def start() -> None:
    """Let images and split be there."""
    make(job("store"), job("split"))


def test_an_empty_folder_waits_for_its_images() -> None:
    found = now()
    text, missing = page(found)
    assert "- Cells: 6, of which 0 are there and 6 are missing." in text
    assert "- Phases: 8, of which 8 are missing." in text
    assert row(text, "digits_figure2")[1:] == ["3", "0", "0", "3", "0", "0", "6", "0", "6", "no"]
    assert row(text, "store digits-train")[1:] == ["not begun", "", "6"]
    assert {line["job"] for line in found.lines} == {"store digits-train"}
    assert missing.count("| simclr ") == missing.count("| moco ") == missing.count("| byol-encoder ") == 2
    assert "Failed" not in text


def test_the_first_missing_stage_of_every_cell() -> None:
    start()
    simclr = [each for each in now().works[-1].trainings if "simclr" in each.name and each.name.endswith("seed0")]
    make(*simclr)
    moco = job("score digits-ir10/phases-moco-50", 1)
    make(moco)
    found = now()
    stages = {(line["method"], line["seed"]): (line["status"], line["stage"]) for line in found.lines}
    assert stages == {
        ("simclr", 0): ("missing", "embed"),
        ("simclr", 1): ("missing", "train"),
        ("moco", 0): ("missing", "train"),
        ("moco", 1): ("there", None),
        ("byol-encoder", 0): ("missing", "train"),
        ("byol-encoder", 1): ("missing", "train"),
    }
    text, missing = page(found)
    assert row(text, "digits_figure2")[1:] == ["3", "0", "1", "2", "0", "0", "6", "1", "5", "no"]
    assert missing.count("| moco ") == 1
    # SimCLR's first part comes before the whole
    (line,) = [each for each in found.lines if (each["method"], each["seed"]) == ("simclr", 1)]
    assert line["job"].startswith("train digits-ir10/simclr-10-")
    assert line["epochs"] == 10


def test_a_failure_is_told_with_its_reason_and_its_log() -> None:
    start()
    byol = job("train digits-ir10/byol-40", 0)
    log(byol, "Training byol up to epoch 40 on AMD EPYC.\nerror: Training byol has diverged: 'loss' is nan.\n")
    found = now()
    text, _ = page(found)
    assert "- Missing jobs that failed: 1, were stopped: 0, have begun: 0." in text
    assert "- Trainings, by what their logs say: 1 on AMD EPYC." in text
    failed = section(text, "Failed")
    assert byol.name in failed
    assert "to epoch 40, none saved, on AMD EPYC; cells waiting for it: 1; log: " + byol.log in failed
    assert "      error: Training byol has diverged: 'loss' is nan.\n" in failed
    assert row(text, byol.name)[1] == "failed"
    (line,) = [each for each in found.lines if (each["method"], each["seed"]) == ("byol-encoder", 0)]
    assert (line["outcome"], line["said"]) == ("failed", "error: Training byol has diverged: 'loss' is nan.")
    assert line["log"] == byol.log


def test_an_error_is_forgotten_when_the_file_is_there() -> None:
    start()
    byol = job("train digits-ir10/byol-40", 0)
    log(byol, "error: Training byol has diverged.\n")
    make(byol)
    text, _ = page(now())
    assert "Failed" not in text


def test_what_was_stopped_or_runs_says_how_far_it_is() -> None:
    start()
    byol, moco = job("train digits-ir10/byol-40", 0), job("train digits-ir10/moco-50", 1)
    log(byol, "Training byol up to epoch 40 on NVIDIA H200.\nStopped by SIGTERM: saved in results/state/x.\n")
    log(moco, "Training moco up to epoch 50 on NVIDIA H200.\nmoco: epoch 7/50, 900 images/s\n")
    assert byol.run is not None
    assert byol.phase is not None
    state = Path(byol.run.state) / f"{byol.phase.identity}-seed0-epoch000033-step000001.pt"
    state.parent.mkdir(parents=True)
    state.touch()
    text, _ = page(now())
    assert "epoch 33 of 40 saved, on NVIDIA H200" in section(text, "Stopped")
    assert "moco: epoch 7/50, 900 images/s" in section(text, "Begun")
    assert "2 on NVIDIA H200" in text
    assert row(text, byol.name)[1:3] == ["stopped", "epoch 33 of 40 saved, on NVIDIA H200"]


def test_a_table_whose_rendering_failed() -> None:
    everything = now().works[-1]
    make(*(each for each in everything.jobs if each.rule != "figure"))
    (figure,) = everything.artefacts
    log(figure, "error: The metric parameter 'k' is not of the form 'name=number'.\n")
    text, missing = page(now())
    assert row(text, "digits_figure2")[1:] == ["3", "3", "0", "0", "0", "0", "6", "6", "0", "no"]
    assert "figure digits-figure2: cells waiting for it: 0" in section(text, "Failed")
    assert missing == ""
    make(figure)
    text, _ = page(now())
    assert row(text, "digits_figure2")[-1] == "yes"
    assert "Failed" not in text
    (first, *_) = everything.cells
    Path(first.outputs[0]).unlink()
    text, _ = page(now())
    assert row(text, "digits_figure2")[-1] == "outdated"


def test_what_is_only_published_is_counted_apart() -> None:
    found = now(targets=["conmix_table4"], seeds=None, methods=["simclr", "sdclr", "byol", "dmicc"])
    text, _ = page(found)
    assert row(text, "conmix_table4")[1:6] == ["28", "0", "0", "16", "12"]
    barred = [line for line in found.lines if line["status"] == "not available"]
    assert len(barred) == 3
    assert {line["method"] for line in barred} == {"conr", "propos", "conmix"}
    assert {line["reason"] for line in barred} == {"method not selected (config: methods)"}


def test_the_command_prints_what_fits_and_writes_every_cell(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {**CONFIG, "targets": ["digits", "conmix_table3"], "budget": "smoke"}
    assert main(["status", "--config", json.dumps(config), "--out", "results/smoke/status"]) == 0
    printed = capsys.readouterr().out
    written = (folder / "results/smoke/status.md").read_text()
    assert written.startswith(printed.split("Every missing cell")[0].rstrip())
    assert "results/smoke/status.md" in printed
    assert "### conmix_table3" in written
    assert "### conmix_table3" not in printed
    lines = read_table(folder / "results/smoke/status.parquet").to_pylist()
    study = load_study(config)
    jobs = Jobs(study)
    wanted = [
        (f"{paper}_{name}", jobs.cell(measurement).outputs[0])
        for target in config["targets"]
        for paper, _, name in study.artefacts(target)
        for measurement in study.measurements(paper, name)
    ]
    assert [(line["target"], line["file"]) for line in lines] == wanted
    assert {line["by"] for line in lines if line["target"] == "digits_figure3"} == {"umap"}


PAPERS = ("conmix", "miniclustering", "iccl", "rescom", "gloco")


def test_the_status_of_all_papers_has_every_table_and_figure() -> None:
    study = load_study({"targets": list(PAPERS)})
    found = status(study)
    text, missing = page(found)
    wanted = [f"{paper}_{name}" for target in PAPERS for paper, _, name in study.artefacts(target)]
    assert [work.target for work in found.works] == [*wanted, "all"]
    for target in wanted:
        values = list(map(int, row(text, target)[1:6]))
        assert values[0] == sum(values[1:])
    assert len(text.splitlines()) < len(wanted) + 60
    assert missing.count("### ") == sum(bool(work.cells_missing) for work in found.works[:-1])


def test_a_training_on_several_gpus_says_so() -> None:
    study = load_study({"targets": ["conmix_table9"], "methods": ["simclr"], "seeds": [0]})
    training = status(study).works[-1].trainings[0]
    log(training, "Training simclr up to epoch 200 on 4 × NVIDIA H200.\n")
    text, _ = page(status(study))
    assert "- Trainings, by what their logs say: 1 on 4 × NVIDIA H200." in text
