"""The jobs behind the cells, which of them are left to do, and what they share."""

from __future__ import annotations

from collections import Counter

import pytest

from longtail.study import layout
from longtail.study.counting import Work, works
from longtail.study.jobs import RULES, Job, Jobs, behind, first_missing, missing, to_run
from longtail.study.study import load_study

PAPERS = ("digits", "conmix", "miniclustering", "rescom")


def jobs(*targets: str, **config):
    return Jobs(load_study({"targets": list(targets), **config}))


def nothing(path: str) -> bool:
    return False


def chain(length: int) -> list[Job]:
    """Jobs each of which needs the one before."""
    made: list[Job] = []
    for index in range(length):
        made.append(Job("split", (f"file{index}",), f"results/logs/split/{index}.log", tuple(made[-1:])))
    return made


def rules(found) -> Counter[str]:
    return Counter(job.rule for job in found)


def single(work: list[Work], target: str) -> Work:
    (found,) = [each for each in work if each.target == target]
    return found


# --- What has to run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "left"),
    [
        ([], [0, 1, 2, 3]),
        ([0, 1, 2, 3], []),
        ([3], []),  # what lies before a finished goal may have been deleted
        ([0, 1], [2, 3]),
        ([1], [2, 3]),
        ([0, 2], [3]),
    ],
)
def test_a_job_runs_when_its_file_is_missing_and_somebody_waits_for_it(there, left):
    line = chain(4)
    files = {f"file{index}" for index in there}
    wanted = [line[index] for index in left]
    assert missing([line[3]], files.__contains__) == to_run([line[3]], files.__contains__) == wanted


def test_what_was_made_from_a_missing_file_is_made_again():
    first, second, third = chain(3)
    other = Job("cluster", ("other",), "results/logs/cluster/other.log", (first,))
    goals, files = [third, other], {"file1", "file2"}
    assert missing(goals, files.__contains__) == [first, other]
    assert to_run(goals, files.__contains__) == [first, second, third, other]


def test_what_is_made_again_needs_its_files():
    first, second, third = chain(3)
    beside = Job("store", ("beside",), "results/logs/store/beside.log")
    last = Job("embed", ("last",), "results/logs/embed/last.log", (first, beside))
    other = Job("cluster", ("other",), "results/logs/cluster/other.log", (first,))
    goals, files = [third, last, other], {"file1", "file2", "last"}
    assert missing(goals, files.__contains__) == [first, other]
    assert set(to_run(goals, files.__contains__)) == {first, second, third, beside, last, other}


def test_a_job_is_as_far_as_all_its_files():
    job = Job("train", ("checkpoint", "spec"), "results/logs/train/a.log")
    assert missing([job], {"checkpoint"}.__contains__) == [job]
    assert missing([job], {"checkpoint", "spec"}.__contains__) == []


def test_the_first_missing_job_has_all_that_it_needs():
    line = chain(4)
    assert first_missing(line[3], line[2:]) is line[2]
    assert first_missing(line[3], line[3:]) is line[3]


def test_nothing_comes_before_what_it_needs():
    of = jobs(*PAPERS)
    order = behind(of.artefact(*artefact) for target in PAPERS for artefact in of.study.artefacts(target))
    assert len(order) == len(set(order)) == len({job.outputs for job in order}) == len({job.log for job in order})
    place = {job: index for index, job in enumerate(order)}
    assert all(place[need] < place[job] for job in order for need in job.needs)
    assert set(rules(order)) == set(RULES)


# --- The chain of stages ----------------------------------------------------------------------------------------------


def test_a_cell_goes_through_every_stage():
    of = jobs("conmix_table2")
    (measurement,) = of.study.cell_measurements("conmix", "cifar10-ir10", 0)
    order = behind([of.cell(measurement)])
    assert rules(order) == {"store": 1, "split": 1, "train": 2, "embed": 1, "cluster": 1, "score": 1}
    assert order[-1].outputs == (measurement.path,)
    warm_up, conmix = [job for job in order if job.rule == "train"]
    assert warm_up in conmix.needs
    assert [job.phase.epochs for job in (warm_up, conmix)] == [200, 800]
    assert list(of.lineage(measurement.run)) == [warm_up, conmix]
    assert conmix.name == f"train cifar10-ir10/{measurement.run.name}-seed0"
    assert conmix.log == f"results/logs/train/cifar10-ir10/{measurement.run.name}-seed0.log"


def test_a_control_is_embedded_without_training():
    of = jobs("digits")
    (measurement,) = of.study.cell_measurements("pixels", "digits-ir10", 0)
    order = behind([of.cell(measurement)])
    assert rules(order) == {"store": 1, "split": 1, "embed_control": 1, "cluster": 1, "score": 1}
    assert list(of.lineage(measurement.run)) == []


def test_embeddings_are_scored_and_projected_without_clusters():
    of = jobs("digits")
    assert "cluster" not in rules(behind([of.artefact("digits", "figures", "figure1")]))
    order = behind([of.artefact("digits", "figures", "figure3")])
    assert {"project", "merge", "figure"} <= set(rules(order))
    assert "score" not in rules(order)


def test_a_test_split_needs_the_labels_of_both_parts():
    of = jobs("conmix_table6")
    stores = {job.images for job in of.split("cifar10-ir10", "test").needs}
    assert stores == {("cifar10", "train"), ("cifar10", "test")}
    assert {job.images for job in of.split("cifar10-ir10", "train").needs} == {("cifar10", "train")}


def test_tables_lie_in_their_view():
    job = jobs("digits", budget="smoke").artefact("digits", "tables", "table1")
    assert job.outputs == tuple(layout.table("smoke", "digits", "table1"))
    assert job.log == "results/smoke/logs/table/digits-table1.log"


# --- Counts -----------------------------------------------------------------------------------------------------------


def test_the_counts_of_a_table():
    work = single(works(jobs("conmix_table2"), nothing), "conmix_table2")
    # ten methods on three datasets, four metrics each
    assert len(work.cells) == len(work.cells_missing) == 30
    assert work.coverage == {"missing": 120}
    # per dataset SimCLR, SDCLR and BYOL in two parts each, ConMix and CoNR after the first part of one, five others
    assert len(work.trainings) == len(work.trainings_left) == 3 * 13
    assert len(work.apart) == 3 * 15
    assert set(work.missing) == set(work.left) == set(work.jobs)
    assert work.by_rule["score"] == 30
    assert work.by_rule["merge"] == work.by_rule["table"] == 1


def test_all_together_share_more_than_each_alone():
    *single, total = works(jobs("conmix", "miniclustering"), nothing)
    assert total.target == "all"
    assert len(total.trainings) == len({job for work in single for job in work.trainings})
    assert len(total.trainings) < sum(len(work.trainings) for work in single)
    assert len(total.trainings) < 0.87 * len(total.apart)
    assert len(total.artefacts) == len(single)
    assert len(total.values) == sum(len(work.values) for work in single)


def test_a_target_named_twice_counts_once():
    assert [work.target for work in works(jobs("digits_table1", "digits_figure1", "digits"), nothing)] == [
        "digits_table1",
        "digits_figure1",
        "digits_table2",
        "digits_figure2",
        "digits_figure3",
        "digits_figure4",
        "all",
    ]


def test_what_is_there_is_not_left():
    of = jobs("conmix_table2", seeds=[0, 1])
    done = [m.path for m in of.study.measurements("conmix", "table2") if m.keys["method"] == "conmix"]
    some = {path for path in done if "seed0" in path} | {done[-1]}
    assert "seed1" in done[-1]
    work = single(works(of, some.__contains__), "conmix_table2")
    assert len(work.cells) - len(work.cells_missing) == len(some) == 4
    # four metrics: of ConMix on the last dataset with both seeds, on the two others with one
    assert work.coverage == {"whole": 4, "some": 8, "missing": 108}
    trained = {job for cell in work.cells_missing for job in behind([cell]) if job.rule == "train"}
    assert trained == {job for job in work.missing if job.rule == "train"}
    # Splits are missing, too: whatever was made from them is made again.
    assert trained < set(work.trainings_left) == set(work.trainings)


def test_a_finished_table_leaves_nothing():
    of = jobs("digits_table1")
    work = single(works(of, lambda path: True), "digits_table1")
    assert work.missing == work.left == ()
    assert work.coverage == {"whole": 36}


def test_the_values_of_a_figure_rest_on_all_its_scorers():
    work = single(works(jobs("digits_figure1", seeds=[0, 1]), nothing), "digits_figure1")
    assert [len(cells) for cells in work.values] == [2, 2, 2]
    assert set(work.cells) == {cell for cells in work.values for cell in cells}
