"""What is known before the first job: raw data, sites, batches, room, GPUs."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail import preflight
from longtail.data import downloads, raw
from longtail.data.longtail import class_sizes
from longtail.data.watch import noting
from longtail.devices import driver, gpus
from longtail.devices.gpus import Gpu, Pool
from longtail.errors import LongtailError
from longtail.study import jobs as chain
from longtail.study.jobs import Jobs
from longtail.study.layout import Run
from longtail.study.study import load_study


def study(**config: Any):
    return load_study({"targets": ["digits"], "budget": "smoke", **config})


def jobs_of(of: Any, *cells: tuple[str, str]) -> list[chain.Job]:
    """All jobs behind cells of a method on a cut, and their rows."""
    known = Jobs(of)
    found = [known.cell(of.cell_measurements(method, cut, 0)[0]) for method, cut in cells]
    return chain.behind(found)


def parquet(path: Path, rows: int, **columns: Any) -> None:
    table = {"img": [b"bytes"] * rows, "label": [row % 10 for row in range(rows)], **columns}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: values for name, values in table.items() if values is not None}), path)


@pytest.fixture
def offline(monkeypatch):
    """No site answers, and which were asked."""
    asked: list[str] = []

    def unreachable(sites, patience=0.0):
        asked.extend(sites)
        return dict.fromkeys(sites, "no route")

    monkeypatch.setattr(downloads, "unreachable", unreachable)
    return asked


def looked(of: Any, jobs: list[chain.Job], folder: Path, free: int = 10**15) -> preflight.Findings:
    return preflight.look_ahead(of, jobs, str(folder / "results"), free)


def test_all_that_is_wrong_is_told_together(tmp_path, offline, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parquet(tmp_path / "train.parquet", 50_000, label=None)
    files = {"train": "train.parquet", "test": "missing.parquet"}
    mine = {"cifar10": {"kind": "parquet", "name": "mine", "root": str(tmp_path), "files": files}}
    of = study(data=mine)
    cells = [("simclr", "cifar10-h100-ir10"), ("simclr", "cifar20-h100-ir10"), ("pixels", "cifar10-full-h100-ir10")]
    found = looked(of, jobs_of(of, *cells), tmp_path)
    message = found.message()
    assert message.startswith("3 things stand in the way of the first job:")
    assert len(message.splitlines()) == 4
    for text in ("no label column", "missing.parquet does not exist", "cifar20 must be downloaded from https://www.cs"):
        assert text in message
    assert offline == ["https://www.cs.toronto.edu"]


def test_one_thing_is_told_alone():
    found = preflight.Findings()
    for _ in range(2):
        with found.noting():
            raise LongtailError("it is missing")
    assert found.message() == "it is missing"


def test_of_what_is_not_run_nothing_has_to_be_there(tmp_path, offline, monkeypatch):
    monkeypatch.chdir(tmp_path)
    of = study()
    jobs = [job for job in jobs_of(of, ("simclr", "cifar10-h100-ir10")) if job.rule != "store"]
    assert looked(of, jobs, tmp_path) == preflight.Findings()
    assert offline == []


def test_the_default_study_needs_nothing(tmp_path, offline):
    of = study(budget="paper")
    assert (
        looked(of, jobs_of(of, ("conmix", "digits-ir10"), ("pixels", "digits-ir5")), tmp_path) == preflight.Findings()
    )
    assert offline == []


def test_a_ratio_that_no_long_tail_can_have_is_told(tmp_path):
    of = study(budget={"epochs": 0.01, "head_class_rows": 8})
    found = looked(of, jobs_of(of, ("pixels", "digits-h8-ir8"), ("pixels", "digits-h8-ir9")), tmp_path)
    assert len(found.errors) == 1
    assert "the ratio can be at most 8" in found.errors[0]


def test_a_split_that_cannot_be_cut_into_batches_is_told(tmp_path):
    of = study(budget={"epochs": 0.01, "head_class_rows": 2, "batch_size": 64})
    found = looked(of, jobs_of(of, ("miniclustering", "digits-h2-ir1")), tmp_path)
    assert len(found.errors) == 1
    assert "20 images do not fill one of 64" in found.errors[0]
    assert "drop_last" in found.errors[0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampler": {"pwer": 0}}, ("'ce'", "Did you mean 'power'")),
        ({"schedule": {"decay": {"stpes": {}}}}, ("'ce'", "stpes")),
        ({"learning_rate": "1e-3"}, ("'ce'", "1.0e-3")),
        ({"betas": [0.9, 0.999]}, ("'ce'", "'betas'")),
    ],
)
def test_settings_that_a_training_would_not_understand_are_told(tmp_path, settings, words):
    of = study(budget="paper")
    jobs = []
    for job in jobs_of(of, ("ce", "digits-lt-ir10")):
        if job.phase is not None:
            last = job.phase.lineage[-1]
            wrong = dataclasses.replace(last, settings=json.dumps({**json.loads(last.settings), **settings}))
            job = dataclasses.replace(job, phase=dataclasses.replace(job.phase, lineage=(wrong,)))
        jobs.append(job)
    found = looked(of, jobs, tmp_path)
    assert found.errors
    for word in words:
        assert word in found.errors[0]


def test_room_on_the_disk_is_compared_with_what_is_known(tmp_path):
    of = study(data={"cifar10": {"kind": "torchvision", "name": "mine", "dataset": "CIFAR10"}}, budget="paper")
    store = Jobs(of).store("digits", "train")
    size = of.store_spec("digits")["parts"]["train"] * 64
    assert looked(of, [store], tmp_path, size).errors == []
    (error,) = looked(of, [store], tmp_path, size - 1).errors
    assert "The decoded images take" in error
    assert str(tmp_path / "results") in error
    run = Run("phases", "digits-ir10", next(iter(of.phases_of("digits-ir10"))), 0)
    found = looked(of, [Jobs(of).train(run)], tmp_path, 1000)
    assert found.errors == []
    assert len(found.words) == 1
    assert "free for" in found.words[0]


CUTS = [
    (name, ratio)
    for name, dataset in study(budget="paper").catalog.datasets.items()
    if dataset.construction != "list"
    for ratio in (1, 2, 5, 10, 20, 50, 100)
    if dataset.head_class_rows and ratio <= dataset.head_class_rows
]


@pytest.mark.parametrize(("name", "ratio"), CUTS)
def test_the_rows_that_are_foretold_are_those_that_are_cut(name, ratio):
    of = study(budget="paper")
    dataset = of.catalog.dataset(name)
    sizes = class_sizes(dataset.head_class_rows, dataset.images["classes"], ratio, dataset.construction)
    assert of.rows(f"{name}-ir{ratio}", "train") == sizes.sum()


# --- raw data ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def noted(tmp_path):
    """A file of raw data, and the folder of what was made from it."""
    raw, made = tmp_path / "raw.bin", tmp_path / "made"
    raw.write_bytes(b"one")
    made.mkdir()
    with noting(made, lambda: [raw]):
        pass
    return raw, made


def looked_back(made, inputs):
    return preflight.raw_data(str(made / "images.npy"), inputs, "mine", str(made.with_name("store.jsonl")))


def test_raw_data_that_are_the_same_are_passed_over(noted):
    raw, made = noted
    assert looked_back(made, lambda: [raw]) == (False, "")
    os.utime(raw, (1, 1))  # touched, and nothing else
    assert looked_back(made, lambda: [raw]) == (False, "")


def test_raw_data_that_were_exchanged_are_read_again(noted):
    raw, made = noted
    raw.write_bytes(b"two")
    again, word = looked_back(made, lambda: [raw])
    assert again
    assert "mine" in word


def test_raw_data_that_are_gone_are_spoken_of(noted):
    raw, made = noted
    raw.unlink()
    again, word = looked_back(made, lambda: [raw])
    assert not again
    assert str(raw) in word


def test_raw_data_that_nothing_is_known_of_are_left_alone(tmp_path):
    def inputs():
        raise AssertionError("nobody asks")

    assert looked_back(tmp_path, inputs) == (False, "")


def test_a_source_that_cannot_be_named_is_spoken_of(noted):
    def inputs():
        raise LongtailError("an address")

    again, word = looked_back(noted[1], inputs)
    assert not again
    assert "an address" in word


@pytest.mark.parametrize("text", [None, "broken"])
def test_what_rests_on_raw_data_that_nothing_is_known_of_is_spoken_of(noted, text):
    raw, made = noted
    (made / "raw.json").unlink()
    if text:
        (made / "raw.json").write_text(text)
    made.with_name("store.jsonl").touch()
    again, word = looked_back(made, lambda: [raw])
    assert not again
    assert word.endswith(f"--forcerun {made / 'images.npy'}")
    assert looked_back(made, list) == (False, "")  # nothing is read from files


# --- sites ------------------------------------------------------------------------------------------------------------


def test_published_sets_are_downloaded_unless_they_or_their_archive_are_here(tmp_path):
    of = study(data_root=str(tmp_path))
    assert raw.site(of.store_spec("cifar10"), "train") == "https://www.cs.toronto.edu"
    assert raw.site(of.store_spec("stl10"), "test") == "http://ai.stanford.edu"
    assert raw.site(of.store_spec("digits"), "train") is None
    assert raw.site(of.store_spec("agnews"), "train") is None
    (tmp_path / "stl10_binary.tar.gz").touch()
    assert raw.site(of.store_spec("stl10"), "test") is None
    batches = tmp_path / "cifar-10-batches-py"
    batches.mkdir()
    for number in range(1, 6):
        (batches / f"data_batch_{number}").touch()
    assert raw.site(of.store_spec("cifar10"), "train") is None
    assert raw.site(of.store_spec("cifar10"), "test") is not None


def test_an_encoder_is_downloaded_unless_it_is_in_the_cache(tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example")
    assert downloads.site_of_encoder("group/encoder") == "https://mirror.example"
    folder = tmp_path / "hub" / "models--group--encoder" / "snapshots" / "1"
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    assert downloads.site_of_encoder("group/encoder") is None


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_error(403)

    def log_message(self, *_):
        pass


def test_a_site_that_answers_anything_is_reached_and_one_that_is_not_there_is_not(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server, socket.socket() as closed:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        closed.bind(("127.0.0.1", 0))  # and never listens
        there, gone = (f"http://127.0.0.1:{port}" for port in (server.server_port, closed.getsockname()[1]))
        found = downloads.unreachable([there, gone, "no address"], patience=30.0)
        server.shutdown()
    assert set(found) == {gone, "no address"}
    assert "refused" in found[gone]


def test_sites_that_take_a_call_and_say_nothing_are_waited_for_together(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        sites = [f"http://127.0.0.1:{silent.getsockname()[1]}" for silent in (one, other)]
        assert set(downloads.unreachable(sites, patience=0.2)) == set(sites)


# --- GPUs -------------------------------------------------------------------------------------------------------------

PAIR = (Gpu("GPU-a", "Model A"), Gpu("GPU-b", "Model B"))


@pytest.fixture
def shown(monkeypatch):
    """Set what CUDA shows, with a driver or without, to a PyTorch that is built for it."""
    for name in ("SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def show(*found: Gpu, problem: str = "", library: object = None) -> None:
        monkeypatch.setattr(gpus, "pool", lambda: Pool(found, problem))
        monkeypatch.setattr(driver, "library", lambda: library)
        monkeypatch.setattr(preflight, "_torch_without_cuda", lambda: False)

    return show


def test_gpus_that_are_there_are_taken_without_a_word(shown):
    shown(*PAIR, library="there")
    assert preflight.gpus_for(1, asked=False) == preflight.gpus_for(2, asked=True) == (True, "")


def test_without_a_driver_the_cpu_is_taken_and_said(shown):
    shown(problem="No NVIDIA driver is installed.")
    there, word = preflight.gpus_for(1, asked=False)
    assert not there
    assert word.startswith("No GPU: No NVIDIA driver is installed. Trainings are computed on the CPU")


@pytest.mark.parametrize(
    ("found", "arguments", "words"),
    [
        ({"problem": "No driver."}, (1, True), "Jobs ask for a GPU, and there is none. No driver."),
        ({"problem": "It does not answer.", "library": "there"}, (1, False), "It does not answer."),
    ],
)
def test_who_would_be_surprised_by_a_cpu_is_refused(shown, found, arguments, words):
    shown(**found)
    with pytest.raises(LongtailError, match=words) as error:
        preflight.gpus_for(*arguments)
    assert "--resources gpu=0" in str(error.value)


def test_fewer_gpus_than_a_job_asks_for_are_refused_with_their_number(shown):
    shown(*PAIR, library="there")
    with pytest.raises(LongtailError, match=r"asks for 4 GPUs, and CUDA shows 2.*train:gpu=2"):
        preflight.gpus_for(4, asked=True)


def test_a_pytorch_without_cuda_is_told(shown, monkeypatch):
    shown(*PAIR, library="there")
    monkeypatch.setattr(preflight, "_torch_without_cuda", lambda: True)
    with pytest.raises(LongtailError, match="built without CUDA and cannot use the Model A"):
        preflight.gpus_for(1, asked=False)


def test_a_job_of_slurm_without_a_gpu_is_refused(shown, monkeypatch):
    shown(problem="No driver.")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(LongtailError, match="Choose a partition with GPUs"):
        preflight.gpus_for(1, asked=False)


def test_whether_pytorch_has_cuda_is_read_from_its_version():
    import torch

    assert preflight._torch_without_cuda() == (torch.version.cuda is None)


def test_no_array_library_is_needed_to_look(tmp_path):
    """The Snakefile asks: seconds of imports would be noticed at every start."""
    import subprocess
    import sys

    code = "import sys; from longtail import preflight; sys.exit('torch' in sys.modules or 'pandas' in sys.modules)"
    workflow = Path(preflight.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(workflow)}).returncode == 0
