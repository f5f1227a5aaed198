"""However a training is cut, interrupted or killed, its weights are those of an uninterrupted one."""

from __future__ import annotations

import json
import signal

import pytest
import torch
import toys

from longtail.__main__ import main
from longtail.files import read_provenance
from longtail.training import loop, train
from longtail.training.arguments import thread_count
from longtail.training.build import build
from longtail.training.optimizer import Optimizer

PACE = ["images_per_second", "seconds"]


def assert_same_history(first, second):
    assert first.drop_columns(PACE).equals(second.drop_columns(PACE))


@pytest.fixture
def straight(desk, tools):
    """Four epochs in one go: three updates each."""
    assert desk.train(tools.spec(), "straight") == 0
    return desk.checkpoint("straight")


def stop_after(monkeypatch, updates, number=signal.SIGTERM):
    """Stop the next training with a signal to itself after so many updates."""
    after_step, count = loop.Progress.advance, 0

    def advance(self, *arguments):
        nonlocal count
        count += 1
        if count == updates:
            signal.raise_signal(number)
        after_step(self, *arguments)

    monkeypatch.setattr(loop.Progress, "advance", advance)


def test_training_is_deterministic_and_depends_on_the_seed(desk, tools, straight):
    assert desk.train(tools.spec(), "again") == 0
    tools.assert_same_training(straight, desk.checkpoint("again"))
    assert_same_history(desk.history("straight"), desk.history("again"))
    assert desk.train(tools.spec(seed=1), "other") == 0
    assert not torch.equal(straight["objective"]["head.weight"], desk.checkpoint("other")["objective"]["head.weight"])


def test_training_changes_the_weights_and_lowers_the_loss(desk, straight):
    losses = desk.history("straight")["loss"].to_pylist()
    assert losses[-1] < losses[0]
    assert straight["epoch"] == 4
    assert straight["step"] == 0


def test_a_training_with_samplers_that_is_stopped_goes_on_as_if_it_were_not(desk, tools, monkeypatch):
    spec = tools.spec(tools.stretch("sampled", "Sampled", last=2, clock=2, sampler=[{"class_aware": 4}, {"power": 1}]))
    assert desk.train(spec, "whole") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        assert desk.train(spec, "parts") == 75
    assert desk.train(spec, "parts") == 0
    tools.assert_same_training(desk.checkpoint("whole"), desk.checkpoint("parts"))


@pytest.mark.parametrize("updates", [1, 2, 3, 4, 6, 8, 11])
def test_interrupted_and_resumed(desk, tools, straight, monkeypatch, capsys, updates):
    with monkeypatch.context() as patch:
        stop_after(patch, updates)
        assert desk.train(tools.spec()) == 75
    epoch, step = divmod(updates, 3)
    assert f"goes on from epoch {epoch}, step {step}" in capsys.readouterr().err
    assert not (desk.folder / "run").exists()
    assert desk.train(tools.spec()) == 0
    assert f"Going on from epoch {epoch}, step {step}" in capsys.readouterr().err
    tools.assert_same_training(straight, desk.checkpoint())
    assert_same_history(desk.history("straight"), desk.history())
    assert not (desk.folder / "run-state").exists()


def test_interrupted_again_and_again(desk, tools, straight, monkeypatch):
    for _ in range(5):
        with monkeypatch.context() as patch:
            stop_after(patch, 2)
            assert desk.train(tools.spec()) == 75
    assert desk.train(tools.spec()) == 0
    tools.assert_same_training(straight, desk.checkpoint())
    assert_same_history(desk.history("straight"), desk.history())


def test_a_signal_with_the_last_update_is_too_late_to_matter(desk, tools, straight, monkeypatch):
    with monkeypatch.context() as patch:
        stop_after(patch, 12)
        assert desk.train(tools.spec()) == 0
    tools.assert_same_training(straight, desk.checkpoint())


def test_adam_resumes_too(desk, tools, monkeypatch):
    spec = tools.spec(tools.stretch(optimizer="adam", momentum=None, learning_rate=1e-3))
    assert desk.train(spec, "straight") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 5)
        assert desk.train(spec) == 75
    assert desk.train(spec) == 0
    tools.assert_same_training(desk.checkpoint("straight"), desk.checkpoint())


def test_periodic_saves_keep_the_two_newest(desk, tools, straight, monkeypatch):
    seen = []
    real = loop.Progress.advance

    def advance(self, *arguments):
        seen.append(sorted(path.name for path in (desk.folder / "run-state").glob("*.pt")))
        real(self, *arguments)

    monkeypatch.setattr(loop.Progress, "advance", advance)
    assert desk.train(tools.spec(), checkpoint_seconds=0) == 0
    assert seen[0] == []
    assert seen[1] == ["toy4-seed0-epoch000000-step000001.pt"]
    assert seen[-1] == ["toy4-seed0-epoch000003-step000001.pt", "toy4-seed0-epoch000003-step000002.pt"]
    assert all(len(names) <= 2 for names in seen)
    tools.assert_same_training(straight, desk.checkpoint())


def test_a_cut_into_two_jobs_is_no_part_of_the_result(desk, tools, straight):
    assert desk.train(tools.spec(tools.stretch(last=2)), "half") == 0
    assert desk.train(tools.spec(), "rest", parent="half") == 0
    tools.assert_same_training(straight, desk.checkpoint("rest"))
    assert desk.history("rest")["epoch"].to_pylist() == [3, 4]
    rows = desk.history("straight").slice(2)
    assert_same_history(rows, desk.history("rest"))


def test_prepare_runs_once_and_start_epoch_every_epoch(desk, tools, monkeypatch):
    calls = []
    monkeypatch.setattr(toys.Toy, "prepare", lambda self, images: calls.append("prepare"))
    monkeypatch.setattr(toys.Toy, "start_epoch", lambda self, epoch, images: calls.append(epoch))
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        assert desk.train(tools.spec(tools.stretch(last=2, clock=5)), "half") == 75
    assert desk.train(tools.spec(tools.stretch(last=2, clock=5)), "half") == 0
    assert calls == ["prepare", 0, 1]
    assert desk.train(tools.spec(tools.stretch(last=3, clock=5)), "more", parent="half") == 0
    assert calls == ["prepare", 0, 1, 2]
    lineage = (
        tools.stretch(last=3, clock=5),
        tools.stretch("next", "Successor", start="continue", first=3, last=5, clock=5),
    )
    assert desk.train(tools.spec(*lineage), "next", parent="more") == 0
    assert calls == ["prepare", 0, 1, 2, "prepare", 3, 4]


def test_a_continuation_keeps_networks_optimiser_and_clock(desk, tools):
    assert desk.train(tools.spec(tools.stretch(last=2)), "first") == 0
    spec = tools.spec(
        tools.stretch(last=2), tools.stretch("next", "Successor", start="continue", first=2, head_scale=3.0)
    )
    before = desk.checkpoint("first")
    run = train.start(desk.read(spec), desk.folder / "first" / "checkpoint.pt", torch.device("cpu"))
    assert run.epoch == 2
    for name in ("body.0.weight", "body.1.running_mean", "head.weight", "drifting.weight", "centre"):
        assert torch.equal(run.objective.state_dict()[name], before["objective"][name])
    assert run.objective.memory.shape == (41,)
    assert not run.objective.extra.any()
    assert before["moments"]
    assert tools.same(run.optimizer.moments, before["moments"])
    assert [group.learning_rate_scale for group in run.optimizer.groups] == [1.0, 3.0]

    assert desk.train(spec, "next", parent="first") == 0
    assert desk.history("next")["epoch"].to_pylist() == [3, 4]
    assert desk.history("next")["learning_rate"].to_pylist()[-1] == pytest.approx(1e-6)


@pytest.mark.parametrize(("kind", "kept"), [("Successor", {"centre"}), ("Forgetful", set()), ("Toy", set())])
def test_buffers_are_continued_by_name_whatever_their_shape(desk, tools, kind, kept):
    assert desk.train(tools.spec(tools.stretch(last=2)), "first") == 0
    spec = tools.spec(tools.stretch(last=2), tools.stretch("next", kind, start="continue", first=2))
    spec = desk.read(spec)
    before = desk.checkpoint("first")["objective"]
    new = build(spec).state_dict()
    found = train.start(spec, desk.folder / "first" / "checkpoint.pt", torch.device("cpu")).objective.state_dict()
    for name in ("centre", "mask", "memory"):
        assert not torch.equal(before[name], new[name])
        assert torch.equal(found[name], (before if name in kept else new)[name]), name
    assert torch.equal(found["body.1.num_batches_tracked"], before["body.1.num_batches_tracked"])


@pytest.mark.parametrize(("kind", "words"), [("Remembering", ["memory"]), ("Mistaken", ["'center'", "centre"])])
def test_buffers_that_cannot_be_continued_are_named(desk, tools, capsys, kind, words):
    assert desk.train(tools.spec(tools.stretch(last=2)), "first") == 0
    spec = tools.spec(tools.stretch(last=2), tools.stretch("next", kind, start="continue", first=2))
    assert desk.train(spec, "next", parent="first") == 1
    error = capsys.readouterr().err
    for word in [kind, *words]:
        assert word in error


def test_a_transfer_takes_the_trained_encoder_and_starts_anew(desk, tools):
    assert desk.train(tools.spec(tools.stretch(last=2, clock=2)), "first") == 0
    lineage = (tools.stretch(last=2, clock=2), tools.stretch("moved", start="transfer", last=4))
    spec = tools.spec(*lineage)
    parent = desk.folder / "first" / "checkpoint.pt"
    run = train.start(desk.read(spec), parent, torch.device("cpu"))
    before = desk.checkpoint("first")["objective"]
    assert run.epoch == 0
    assert torch.equal(run.objective.body[0].weight, before["body.0.weight"])
    assert not torch.equal(run.objective.head.weight, before["head.weight"])
    assert run.optimizer.moments == {}

    assert desk.train(spec, "moved", parent="first") == 0
    half = tools.spec(lineage[0], tools.stretch("moved", start="transfer", last=2))
    # The clocks of parent and child are at the same epoch here: which is which is told by the lineage, not the number.
    assert desk.train(half, "half", parent="first") == 0
    assert desk.train(spec, "rest", parent="half") == 0
    tools.assert_same_training(desk.checkpoint("moved"), desk.checkpoint("rest"))


def test_a_transfer_resumes(desk, tools, monkeypatch):
    assert desk.train(tools.spec(tools.stretch(last=2, clock=2)), "first") == 0
    spec = tools.spec(tools.stretch(last=2, clock=2), tools.stretch("moved", start="transfer"))
    assert desk.train(spec, "straight", parent="first") == 0
    with monkeypatch.context() as patch:
        stop_after(patch, 7)
        assert desk.train(spec, parent="first") == 75
    assert desk.train(spec, parent="first") == 0
    tools.assert_same_training(desk.checkpoint("straight"), desk.checkpoint())


def test_outputs(desk, tools, straight):
    history = desk.history("straight")
    assert history.schema.names == ["epoch", "loss", "fit", "size", "learning_rate", "images_per_second", "seconds"]
    assert [str(kind) for kind in history.schema.types] == ["int64"] + ["double"] * 6
    assert history["epoch"].to_pylist() == [1, 2, 3, 4]
    assert history["learning_rate"].to_pylist()[0] == pytest.approx(0.1)
    facts = read_provenance(desk.folder / "straight" / "history.parquet")
    assert facts["identity"] == "toy4"
    assert facts["seed"] == 0
    assert facts["precision"] == "float32"
    assert facts["device"].endswith(f"({torch.backends.cpu.get_cpu_capability()})")
    assert facts["seconds"] > 0
    assert facts["images_per_second"] > 0
    assert facts["peak_memory_bytes"] > 1e6
    assert torch.__version__.startswith(facts["versions"]["torch"].split("+")[0])
    spec = json.loads((desk.folder / "straight" / "spec.json").read_text())
    assert spec["data"].pop("rows") == 40
    assert spec["data"].pop("class_sizes") == torch.from_numpy(desk.labels).bincount().tolist()
    assert spec == tools.spec()


def test_the_rate_is_the_schedules_and_its_groups_are_the_objectives(desk, tools, monkeypatch):
    rates, real = [], Optimizer.step

    def step(self, learning_rate, skipped=None):
        rates.append([(learning_rate * group.learning_rate_scale, *group.parameters) for group in self.groups][1])
        real(self, learning_rate, skipped)

    monkeypatch.setattr(Optimizer, "step", step)
    spec = tools.spec(tools.stretch(last=1, schedule="constant", warmup_epochs=None, final_learning_rate=None))
    assert desk.train(spec) == 0
    assert rates == [(0.2, "head.weight", "head.bias")] * 3


def test_drop_last(desk, tools, capsys):
    assert desk.train(tools.spec(tools.stretch(drop_last=True, batch_size=32)), "whole") == 0
    assert desk.checkpoint("whole")["moments"]
    assert desk.train(tools.spec(tools.stretch(drop_last=True, batch_size=41))) == 1
    message = capsys.readouterr().err
    for word in ("toy", "40 images", "41", "drop_last to false"):
        assert word in message
    assert not (desk.folder / "run").exists()


def test_divergence_stops_the_training(desk, tools, capsys):
    assert desk.train(tools.spec(tools.stretch("wild", "Diverging"))) == 1
    message = capsys.readouterr().err
    for word in ("wild", "'size' is inf", "epoch 1 of 4", "learning_rate"):
        assert word in message
    assert not (desk.folder / "run").exists()


def test_what_has_diverged_is_not_saved(desk, tools):
    assert desk.train(tools.spec(tools.stretch("wild", "Diverging")), checkpoint_seconds=0) == 1
    assert not (desk.folder / "run-state").exists()


def test_a_divergence_in_the_very_last_update_is_noticed(desk, tools, capsys):
    # The rate of the only update: its loss is still finite, the weights after it are not.
    spec = tools.spec(tools.stretch(last=1, clock=1, batch_size=40, learning_rate=1e39, warmup_epochs=0))
    spec["lineage"][0]["settings"] |= {"schedule": "constant"}
    for name in ("warmup_epochs", "final_learning_rate"):
        del spec["lineage"][0]["settings"][name]
    assert desk.train(spec) == 1
    assert "not finite after epoch 1" in capsys.readouterr().err
    assert not (desk.folder / "run").exists()


def test_out_of_memory_says_what_to_do(desk, tools, capsys):
    assert desk.train(tools.spec(tools.stretch("hungry", "Hungry"))) == 1
    message = capsys.readouterr().err
    for word in ("out of memory", "hungry", "batch size 16", "smaller batch_size"):
        assert word in message


@pytest.mark.parametrize(
    ("lineage", "parent", "word"),
    [
        (
            lambda s: [s(last=2, learning_rate=0.2), s("next", "Successor", start="continue", first=2)],
            "half",
            "settings",
        ),
        (lambda s: [s(last=3), s("next", "Successor", start="continue", first=3)], "half", "epochs"),
        (lambda s: [s(clock=8, last=8)], "half", "differ"),
        (lambda s: [s(last=2), s("next", "Stranger", start="continue", first=2)], "half", "more.weight"),
        (lambda s: [s(last=2), s("next", "Successor", start="continue", first=2)], None, "--parent"),
        (
            lambda s: [
                s(last=2),
                s("next", "Successor", start="continue", first=2, optimizer="adam", momentum=None),
            ],
            "half",
            "continues a training with sgd",
        ),
    ],
)
def test_what_cannot_be_a_parent(desk, tools, capsys, lineage, parent, word):
    assert desk.train(tools.spec(tools.stretch(last=2)), "half") == 0
    assert desk.train(tools.spec(*lineage(tools.stretch)), parent=parent) == 1
    assert word in capsys.readouterr().err
    assert not (desk.folder / "run").exists()


def test_a_parent_of_another_seed(desk, tools, capsys):
    assert desk.train(tools.spec(tools.stretch(last=2), seed=1), "half") == 0
    assert desk.train(tools.spec(), parent="half") == 1
    assert "its seed is 1" in capsys.readouterr().err


def test_a_transfer_may_name_the_seed_of_what_it_starts_from(desk, tools, capsys):
    before = tools.stretch(last=2, clock=2)
    transfer = {**tools.stretch("moved", start="transfer", last=4), "parent_seed": 1}
    for seed in (0, 1):
        assert desk.train(tools.spec(before, seed=seed), f"first{seed}") == 0
    assert desk.train(tools.spec(before, transfer), "next", parent="first1") == 0
    assert desk.checkpoint("next")["seed"] == 0
    assert desk.train(tools.spec(before, transfer), "other", parent="first0") == 1
    assert "its seed is 0, this phase has 1" in capsys.readouterr().err
    later = {**transfer, "last_epoch": 3}
    assert desk.train(tools.spec(before, later), "half", parent="first1") == 0
    assert desk.train(tools.spec(before, transfer), "rest", parent="half") == 0
    tools.assert_same_training(desk.checkpoint("next"), desk.checkpoint("rest"))


def test_the_split_must_have_the_rows_of_the_specification(desk, tools, capsys):
    spec = tools.spec()
    spec["data"]["rows"] = 41
    assert desk.train(spec) == 1
    assert "40 rows, but the specification says 41" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["{", "[1]", "{}", "@/nowhere/spec.json"])
def test_broken_specifications(desk, tools, capsys, text):
    arguments = desk.arguments(tools.spec())
    arguments[arguments.index("--spec") + 1] = text
    assert main(arguments) == 1
    assert "specification" in capsys.readouterr().err


def test_slurm_decides_the_threads(monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert thread_count(3) == 3
    assert thread_count(None) is None
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 5, 7, 8}, raising=False)
    assert thread_count(3) == 5
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")  # where jobs are not bound to their cores
    assert thread_count(3) == 4
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    assert thread_count(3) == 5


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGINT])
def test_other_signals_do_the_same(desk, tools, straight, monkeypatch, capsys, number):
    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        stop_after(patch, 5, number)
        assert desk.train(tools.spec()) == 75
    assert f"Stopped by {number.name}" in capsys.readouterr().err
    assert signal.getsignal(number) is before
    assert desk.train(tools.spec()) == 0
    tools.assert_same_training(straight, desk.checkpoint())


def test_repeated_signals_do_not_prevent_the_save(desk, tools, straight, monkeypatch):
    """Ctrl-C reaches a job from the terminal and from Snakemake; Slurm warns before it ends one."""
    with monkeypatch.context() as patch:
        stop_after(patch, 5, signal.SIGUSR1)
        stop_after(patch, 5, signal.SIGTERM)
        stop_after(patch, 5, signal.SIGINT)
        assert desk.train(tools.spec()) == 75
    assert desk.train(tools.spec()) == 0
    tools.assert_same_training(straight, desk.checkpoint())


def test_a_signal_to_a_real_process(desk, tools):
    spec = tools.spec(tools.stretch("slow", "Slow", last=20, clock=20))
    process = desk.process(spec)
    for _ in range(5):
        assert process.stdout.readline() == "update\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "Stopped by SIGTERM" in errors
    assert not (desk.folder / "run").exists()
    assert len(list((desk.folder / "run-state").glob("*.pt"))) == 1
    assert desk.train(spec) == 0
    assert desk.train(spec, "straight") == 0
    tools.assert_same_training(desk.checkpoint("straight"), desk.checkpoint())
    assert_same_history(desk.history("straight"), desk.history())


def test_a_killed_process_falls_back_to_the_last_save(desk, tools):
    spec = tools.spec(tools.stretch("slow", "Slow", last=20, clock=20))
    process = desk.process(spec, checkpoint_seconds=0)
    for _ in range(8):
        assert process.stdout.readline() == "update\n"
    process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert not (desk.folder / "run").exists()
    assert list((desk.folder / "run-state").glob("*.pt"))
    assert desk.train(spec) == 0
    assert len(desk.history()) == 20
    assert desk.train(spec, "straight") == 0
    tools.assert_same_training(desk.checkpoint("straight"), desk.checkpoint())
    assert not (desk.folder / "run-state").exists()


def test_history_of_parts_that_come_and_go():
    pace = {"learning_rate": 0.1, "images_per_second": 1.0, "seconds": 2.0}
    table = train.history_table([{"epoch": 1, "loss": 0.5, **pace}, {"epoch": 2, "loss": 0.4, "late": 0.1, **pace}])
    assert table["late"].to_pylist() == [None, 0.1]
    assert table.column_names == ["epoch", "loss", "late", *pace]
