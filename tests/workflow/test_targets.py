"""What the workflow would do, without doing it."""

from __future__ import annotations

import re

import pytest


def jobs(output: str) -> dict[str, int]:
    """Jobs per rule of a dry run."""
    table = output[output.index("Job stats:") :]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table.split("\n\n")[0], re.M)}


def test_a_table_of_a_paper_trains_only_what_it_needs_and_nothing_twice(workflow):
    done = jobs(workflow.succeed("conmix_table2", "--dry-run", "--config", "budget=paper", "seeds=[0]"))
    # per dataset: SimCLR, SDCLR and BYOL in two parts each, MoCo, ProPos, ConMix after SDCLR's first part, CoNR after
    # BYOL's
    assert done["train"] == 3 * 10
    assert done["embed"] == done["cluster"] == done["score_assignment"] == 3 * 7
    assert done["table"] == done["merge"] == done["conmix_table2"] == 1


def test_a_table_by_its_file(workflow):
    output = workflow.succeed("results/tables/conmix/table2.md", "--dry-run", "--config", "budget=paper", "seeds=[0]")
    assert jobs(output)["train"] == 3 * 10


def test_all_clustering_tables_resolve(workflow):
    done = jobs(workflow.succeed("conmix", "miniclustering", "--dry-run", "--config", "budget=paper"))
    assert done["table"] >= 18
    assert done["figure"] == 7


def test_the_slurm_profile_resolves_without_slurm(workflow):
    assert jobs(workflow.succeed("--dry-run", "--profile", "slurm"))["train"] > 0


def test_a_cell_whose_method_is_not_there_names_it_and_what_exists(workflow):
    output = workflow.fail("results/smoke/cells/scan/cifar10-h100-ir10/seed0.parquet", "--dry-run")
    assert "'scan'" in output
    assert "not implemented yet" in output
    assert "conmix" in output
    assert "Traceback" not in output


def test_numbers_within_lists_and_mappings_of_the_command_line(workflow):
    output = workflow.succeed("--dry-run", "--config", "seeds=[3]", "budget={epochs: 0.1, head_class_rows: 50}")
    assert "results/custom/tables/digits/table1.html" in output
    assert "conmix" in output
    assert "seed3/" in output
    assert "digits-h50-ir10" in output
    assert "seed0/" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "methods=[simcl]"], "Did you mean 'simclr'"),
        (["--config", "budget=smok"], "Did you mean 'smoke'"),
        (["--config", "seeds=5"], "seeds"),
        (["--config", "protokol=paper"], "Did you mean 'protocol'"),
        (["results/smoke/cells/conmix/digits-h100-ir0/seed0.parquet"], "at least 1"),
        (["conmix_table22"], "conmix_table22"),
    ],
)
def test_a_misspelling_ends_in_one_message(workflow, arguments, message):
    output = workflow.fail(*arguments, "--dry-run")
    assert message in output
    assert "Traceback" not in output
    assert not workflow.files()
