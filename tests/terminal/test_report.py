"""Lines that people are told, from records as Snakemake makes them."""

from __future__ import annotations

import logging
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakemake_logger_plugin_longtail.report import ROUTINE

from .events import HASH, Screen, failed, finished, record, run_info, say, started, told, training

BOTH = run_info(train=2, table=1)


def test_a_finished_training_has_a_line_with_what_it_was_how_long_it_took_and_what_remains():
    said = say(BOTH, training(1), finished(1, 4.0), training(2, 4.0, seed=1), finished(2, 8.0))
    assert said.splitlines()[:3] == [
        "3 jobs: 2 train, 1 table",
        f"1/3  {'train simclr to epoch 40, digits ratio 10, seed 0':<66}   4.0 s  8.0 s left, until "
        + re.findall(r"until (\d\d:\d\d)", said)[0],
        f"2/3  {'train simclr to epoch 40, digits ratio 10, seed 1':<66}   4.0 s  4.0 s left, until "
        + re.findall(r"until (\d\d:\d\d)", said)[1],
    ]


def test_nothing_is_foretold_before_a_training_has_ended():
    said = say(run_info(split=1, train=3), started(1, "store"), finished(1, 1.0))
    assert "left" not in said


def test_trainings_that_run_side_by_side_take_half_the_time():
    records = [run_info(train=4), training(1), training(2), finished(1, 10.0), training(3, 10.0), finished(2, 10.0)]
    assert "10 s left" in say(*records)


def test_short_jobs_share_a_line():
    wildcards = {"cut": "digits-ir10", "run": f"moco-50-{HASH}", "seed": "0", "features": "projection"}
    many = [
        one
        for number in range(20)
        for one in (started(number, "score", number / 10, wildcards), finished(number, number / 10 + 0.05))
    ]
    said = say(run_info(score=20, train=1), *many, training(30, 2.0), finished(30, 20.0))
    assert [line.strip() for line in said.splitlines()[1:3]] == [
        "20/21  20 score: moco, digits ratio 10",
        f"21/21  {'train simclr to epoch 40, digits ratio 10, seed 0':<66}    18 s",
    ]


def test_a_long_job_of_a_short_rule_has_its_line():
    said = say(run_info(score=1), started(1, "score"), finished(1, 3000.0))
    assert f"1/1  {'score digits ratio 10, seed 0':<66}  50 min\n" in said


def test_a_target_that_makes_nothing_has_no_line():
    said = say(run_info(all=1), started(1, "all", wildcards={}, output=[]), finished(1, 0.1))
    assert said == "1 job: 1 all\n1 job done in 0.1 s.\n"


@pytest.mark.parametrize("begins", ROUTINE)
def test_routine_is_not_repeated(begins):
    assert say(record(None, message=f"{begins} and so on")) == ""


def test_what_is_not_known_to_be_routine_is_passed_on():
    said = say(
        record(None, message="Nothing to be done (all requested files are present and up to date)."),
        record(None, message="No GPU: none.", levelno=logging.WARNING),
        record(None, message="error: 2 things\n  * one", levelno=logging.ERROR),
        told("WorkflowError:\nConfig file is no YAML.", 0.0),
    )
    assert said.splitlines() == [
        "Nothing to be done (all requested files are present and up to date).",
        "No GPU: none.",
        "error: 2 things",
        "  * one",
        "WorkflowError:",
        "Config file is no YAML.",
    ]


def command_failed(at, status="returned non-zero exit status 1.", thread=1):
    return told(f"RuleException:\nCalledProcessError in file Snakefile:\nCommand 'python' {status}", at, thread)


def test_failures_stand_at_the_end_once_by_cause(tmp_path):
    logs = [tmp_path / f"{number}.log" for number in range(8)]
    for number, log in enumerate(logs):
        log.write_text(f"epoch 1\nerror: results/seed{number} is truncated. Delete it.\n")
    records = [run_info(train=8, table=2)]
    for number, log in enumerate(logs):
        records += [training(number, number, log=[log]), command_failed(number), failed(number, number, log=[log])]
    records += [
        record(None, 9.0, "Exiting because a job execution failed. Look above.", levelno=logging.ERROR),
        record(None, 9.0, f"Complete log(s): {tmp_path}/all.log"),
        told("WorkflowError:\nAt least one job did not complete successfully.", 9.0),
    ]
    said = say(*records)
    assert said.count("is truncated") == 1
    assert "RuleException" not in said
    assert "did not complete" not in said
    assert "epoch 1" not in said
    assert [line for line in said.splitlines() if "failed:" not in line][1:] == [
        "",
        "8 jobs failed, and 2 others could not run:",
        "",
        "  train simclr to epoch 40, digits ratio 10, seed 0",
        f"    log: {logs[0]}",
        "    | error: results/seed0 is truncated. Delete it.",
        *[
            line
            for log in logs[1:5]
            for line in ("  likewise train simclr to epoch 40, digits ratio 10, seed 0", f"    log: {log}")
        ],
        "  likewise 3 more",
        "",
        "Ended after 9.0 s. Finished, and kept: 0 of 10 jobs.",
        said.splitlines()[-2],
        "To go on once the cause is mended: make study",
    ]
    assert said.splitlines()[-2].startswith("Snakemake's log: ")


def test_a_job_without_a_log_says_what_snakemake_told_of_it():
    said = say(run_info(plan=1), started(1, "plan", wildcards={}), command_failed(1.0), failed(1, 1.0))
    assert "    | Command 'python' returned non-zero exit status 1." in said


def test_an_error_that_no_job_follows_is_told_at_the_end():
    said = say(run_info(plan=1), started(1, "plan", wildcards={}), told("MissingOutputException: out/1", 1.0))
    assert "MissingOutputException: out/1\n" in said
    assert "To go on: make study" in said


def test_a_job_that_is_tried_again_has_not_failed(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("Stopped by SIGTERM.\n")
    said = say(
        run_info(train=1),
        training(1, log=[log]),
        failed(1, 1.0, log=[log]),
        record(None, 1.0, "Trying to restart job 1."),
        training(1, 2.0, log=[log]),
        finished(1, 5.0),
    )
    assert said.splitlines()[1:4] == [
        "0/1  failed: train simclr to epoch 40, digits ratio 10, seed 0",
        "0/1  tried again: train simclr to epoch 40, digits ratio 10, seed 0",
        "    | Stopped by SIGTERM.",
    ]
    assert said.endswith("1 job done in 5.0 s.\n")


def group_failed(at, jobs):
    return record("group_error", at, groupid="evaluate", job_error_info=[{"jobid": number} for number in jobs])


def test_of_a_group_the_job_that_began_has_failed(tmp_path):
    log = tmp_path / "embed.log"
    log.write_text("error: No room.\n")
    jobs = {1: ("embed", [log]), 2: ("cluster", [tmp_path / "cluster.log"]), 3: ("score", [tmp_path / "score.log"])}
    records = [started(number, rule, log=logs, indent=True) for number, (rule, logs) in jobs.items()]
    group = group_failed(1.0, jobs)
    errors = [failed(number, 1.0, rule, log=logs, indent=True) for number, (rule, logs) in jobs.items()]
    said = say(run_info(embed=1, cluster=1, score=1), *records, group, *errors)
    assert said.count("failed") == 2
    assert "failed: one job of the cluster, 1 embed, 1 cluster, 1 score" in said
    assert "1 job failed, and 2 others could not run:\n\n  embed digits ratio 10, seed 0\n" in said


CTRL_C = "Terminating processes on user request, this might take some time."


@pytest.mark.parametrize("late", [False, True])
def test_jobs_that_are_interrupted_have_not_failed(tmp_path, late):
    log = tmp_path / "train.log"
    log.write_text("Stopped by SIGINT: saved in results/state/1.pt. The next run goes on from epoch 3, step 0.\n")
    killed = [command_failed(5.0, "returned non-zero exit status 75."), failed(1, 5.0, log=[log])]
    stop = record(None, 5.0, CTRL_C)
    said = say(
        run_info(train=2),
        training(1, log=[log]),
        training(2, seed=1),
        *([stop, *killed] if late else [*killed, stop]),
        told("WorkflowError:\nAt least one job did not complete successfully.", 5.0),
    )
    assert "could not run" not in said
    assert "jobs failed" not in said
    assert "Interrupted after 5.0 s. Finished, and kept: 0 of 2 jobs.\n" in said
    for seed, last in ((0, "    | Stopped by SIGINT: saved in "), (1, "")):
        assert f"  interrupted: train simclr to epoch 40, digits ratio 10, seed {seed}\n{last}" in said
    assert said.endswith("To go on: make study\n")


def test_what_failed_before_an_interruption_is_told_beside_it():
    records = [run_info(train=2), training(1), training(2, seed=1), command_failed(2.0), failed(1, 2.0)]
    said = say(*records, record(None, 5.0, CTRL_C))
    assert "\n1 job failed:\n\n  train simclr to epoch 40, digits ratio 10, seed 0\n" in said
    assert "interrupted: train simclr to epoch 40, digits ratio 10, seed 1\n" in said
    assert said.endswith("To go on once the cause is mended: make study\n")


def test_who_is_asked_to_stop_says_once_what_it_waits_for():
    asked = record(None, 1.0, "Will exit after finishing currently running jobs (scheduler).")
    said = say(run_info(train=2), training(1), asked, asked, finished(1, 3.0))
    assert said.count("1 running job will be finished") == 1
    assert "Stopped as asked after 3.0 s. Finished, and kept: 1 of 2 jobs.\n" in said


def test_a_dry_run_counts_what_would_be_trained():
    jobs = [training(1), training(2, seed=1), training(3, objective="moco"), started(4, "table", wildcards={})]
    stats = run_info(train=3, table=1)
    said = say(stats, *jobs, stats, record(None, message="This was a dry-run (flag -n)."), dryrun=True)
    assert said.splitlines()[:5] == [
        "It would run 4 jobs: 3 train, 1 table",
        "It would train 3 networks:",
        "  by objective: 2 simclr, 1 moco",
        "  by dataset: 3 digits ratio 10",
        "  by seed: 2 of seed 0, 1 of seed 1",
    ]
    assert "plan" in said


def test_a_dry_run_with_nothing_to_do_says_only_that():
    assert say(record(None, message="Nothing to be done"), dryrun=True) == "Nothing to be done\n"


def test_a_terminal_has_a_line_that_is_drawn_anew():
    screen = Screen()
    say(run_info(train=2), training(1), finished(1, 4.0), training(2, 4.0, seed=1), finished(2, 8.0), stream=screen)
    drawn = re.findall(r"\r\x1b\[K(1/2   .*?)(?=\r)", screen.getvalue())
    assert drawn[0].startswith("1/2   4.0 s left, until ")
    assert "   1 running, train simclr to epoch 40, digits" in drawn[-1]
    assert screen.getvalue().rpartition("\r\x1b[K")[2] == "\x1b[32m2 jobs done in 8.0 s.\x1b[0m\n"


ids = st.integers(0, 4)
texts = st.one_of(st.none(), st.text(max_size=20), st.sampled_from([CTRL_C, "\x1b[31mred\x1b[0m\r\a"]))
times = st.floats(0, 30)
events = st.one_of(
    st.builds(run_info, times, train=st.integers(0, 5), score=st.integers(0, 5)),
    st.builds(training, ids, times, objective=st.text(max_size=10)),
    st.builds(started, ids, st.sampled_from(["score", "all", "new"]), times, st.dictionaries(st.text(), st.text())),
    st.builds(finished, ids, times),
    st.builds(failed, ids, times, log=st.lists(st.just("/dev/null"), max_size=1)),
    st.builds(told, st.text(), times),
    st.builds(lambda text, at, level: record(None, at, text, levelno=level), texts, times, st.sampled_from([20, 40])),
    st.builds(group_failed, times, st.sets(ids)),
    st.builds(lambda at, done: record("progress", at, done=done, total=9), times, st.integers(0, 9)),
    st.builds(lambda name, at: record(name, at), st.sampled_from(["shellcmd", "rulegraph", "unheard_of"]), times),
)


@given(st.lists(events, min_size=1, max_size=12), st.booleans())
def test_whatever_comes_in_whatever_order_is_taken_and_a_file_gets_no_control_characters(records, dryrun):
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", say(*records, dryrun=dryrun))
