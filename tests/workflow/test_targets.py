"""What the workflow would do, without doing it."""

from __future__ import annotations

import re

import pytest
import yaml

from longtail.study.counting import works
from longtail.study.jobs import Jobs
from longtail.study.study import load_study

from .said import would_run


def test_a_table_of_a_paper_trains_only_what_it_needs_and_nothing_twice(workflow):
    done = would_run(workflow.succeed("conmix_table2", "--dry-run", "--config", "budget=paper", "seeds=[0]"))
    # per dataset: SimCLR, SDCLR and BYOL in two parts each, MoCo, ProPos, CC, IDFD, DMICC, ConMix after SDCLR's first
    # part, CoNR after BYOL's
    assert done["train"] == 3 * (3 * 2 + 7)
    assert done["embed"] == done["cluster"] == done["score"] == 3 * 10
    assert done["table"] == done["merge"] == done["conmix_table2"] == 1


def test_merging_does_not_name_its_files_on_the_command_line(workflow):
    """A thousand would be longer than what Linux allows for a shell's command."""
    output = workflow.succeed("digits_table1", "--dry-run", "--printshellcmds", "--config", "seeds=[0]")
    (command,) = re.findall(r"(python -m longtail job merge .*)$", output, re.M)
    assert "--out results/smoke/metrics/digits/table1.parquet" in command
    assert "metrics/kmeans/clustering.parquet" not in command


def test_a_table_by_its_file(workflow):
    output = workflow.succeed("results/tables/conmix/table2.md", "--dry-run", "--config", "budget=paper", "seeds=[0]")
    assert would_run(output)["train"] == 3 * (3 * 2 + 7)


def test_all_tables_and_figures_of_the_clustering_papers_resolve(workflow):
    study = load_study({"targets": ["conmix", "miniclustering"]})
    kinds = [kind for paper in ("conmix", "miniclustering") for _, kind, _ in study.artefacts(paper)]
    ran = workflow.succeed("conmix", "miniclustering", "--dry-run", "--config", "budget=paper", "seeds=null")
    done = would_run(ran)
    assert done["table"] == kinds.count("tables") >= 10 + 11 + 2  # the printed ones and a check each
    assert done["figure"] == kinds.count("figures") >= 2 + 5 + 2
    assert done["merge"] == len(kinds)
    assert done["train"] == len(works(Jobs(study), exists=lambda path: False)[-1].trainings)


def test_all_tables_and_figures_of_iccl_resolve(workflow):
    """Also those on ImageNet-LT and iNaturalist, for which bundled images stand in, as no list is at hand."""
    parts = {"train": 2000, "val": 500, "test": 500}
    names = ("cifar10", "cifar100", "imagenet_lt", "inaturalist18")
    data = {name: {"kind": "sklearn", "name": "bundled", "parts": parts} for name in names}
    (workflow.folder / "large.yaml").write_text(yaml.safe_dump({"data": data, "budget": "paper", "seeds": None}))
    study = load_study({"targets": ["iccl"], "data": data})
    kinds = [kind for _, kind, _ in study.artefacts("iccl")]
    done = would_run(workflow.succeed("iccl", "--dry-run", "--configfile", "config.yaml", "large.yaml"))
    assert (done["table"], done["figure"]) == (kinds.count("tables"), kinds.count("figures")) == (10, 3)
    assert done["train"] == len(works(Jobs(study), exists=lambda path: False)[-1].trainings)
    output = workflow.succeed(
        "results/tables/iccl/table2.md", "--dry-run", "-p", "--configfile", "config.yaml", "large.yaml"
    )
    (command,) = [line for line in output.splitlines() if "classify" in line and "--validation" in line]
    assert "/backbone/val/embeddings.parquet" in command
    assert '"on_validation":{"tau":[0.0,0.1,' in command
    chosen = [line for line in output.splitlines() if "python -m longtail job classify" in line and "tau" in line]
    assert chosen == [command]


def test_all_tables_and_figures_of_rescom_resolve(workflow):
    """Whatever is missing of the images is told, and ends no dry run."""
    study = load_study({"targets": ["rescom"]})
    kinds = [kind for _, kind, _ in study.artefacts("rescom")]
    ran = workflow.run("rescom", "--dry-run", "--config", "budget=paper", "seeds=null")
    done = would_run(ran.stdout + ran.stderr)
    assert (done["table"], done["figure"]) == (kinds.count("tables"), kinds.count("figures")) == (13, 8)
    wanted = works(Jobs(study), exists=lambda path: False)[-1]
    assert {name: done[name] for name in ("train", "infer_time", "corruptions")} == {
        "train": len(wanted.trainings), "infer_time": 8, "corruptions": 3,
    }  # fmt: skip


def test_a_cell_is_two_jobs_of_a_cluster_and_asks_for_a_gpu(workflow):
    output = workflow.succeed(
        "conmix_table2", "--dry-run", "--printshellcmds", "--profile", "slurm", "--config", "budget=paper", "seeds=[0]"
    )
    groups = re.findall(r"Group job (\S+)", output)
    assert len(groups) == len(set(groups)) == 3 * 10
    assert "evaluate_cifar10-ir10_conmix-1000-" in "".join(groups)
    local = {"split", "merge", "table", "conmix_table2"}
    rest = re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)", output, re.M)
    submitted = [(name, resources) for name, resources in rest if name not in local]
    assert {name for name, _ in submitted} == {"store", "train"}
    assert len(submitted) == 3 * (3 * 2 + 7) + would_run(output)["store"]
    assert {"gpu=1" in resources for name, resources in submitted if name == "train"} == {True}
    assert {"gpu=1" in resources for name, resources in submitted if name == "store"} == {False}


def test_a_cell_whose_method_is_not_there_names_it_and_what_exists(own_checkout):
    planned = own_checkout.checkout / "workflow" / "catalog" / "planned.yaml"
    planned.write_text("methods: {futuremix: Future mix}\ndatasets: {}\n")
    output = own_checkout.fail("results/smoke/cells/futuremix/cifar10-h100-ir10/seed0.parquet", "--dry-run")
    assert "'futuremix'" in output
    assert "not implemented yet" in output
    assert "conmix" in output
    assert "Traceback" not in output


def test_numbers_within_lists_and_mappings_of_the_command_line(workflow):
    output = workflow.succeed("--dry-run", "-p", "--config", "seeds=[3]", "budget={epochs: 0.1, head_class_rows: 50}")
    assert "results/custom/tables/digits/table1.html" in output
    assert "conmix" in output
    assert "seed3/" in output
    assert "digits-h50-ir10" in output
    assert "seed0/" not in output


def test_a_dry_run_fits_on_a_screen_and_lists_every_job_on_demand(workflow):
    papers = workflow.run("conmix", "miniclustering", "--dry-run", "--config", "budget=paper", "seeds=null")
    assert len((papers.stdout + papers.stderr).splitlines()) < 40
    assert "-p lists every job" in papers.stdout
    short = workflow.succeed("digits_table1", "--dry-run")
    assert len(short.splitlines()) < 40
    assert "\nrule " not in short
    for switch in ("--printshellcmds", "--verbose"):
        output = workflow.succeed("digits_table1", "--dry-run", switch)
        assert len(re.findall(r"^rule train:", output, re.M)) == would_run(output)["train"] == would_run(short)["train"]
    assert would_run(output) == would_run(short)


@pytest.mark.parametrize("words", ["methods=simclr,conmix seeds=0,1", "methods=[simclr,conmix] seeds=[0,1]"])
def test_lists_of_the_command_line_may_do_without_brackets(workflow, words):
    done = would_run(workflow.succeed("digits_table1", "--dry-run", "--config", *words.split()))
    assert done["embed"] == 2 * 2  # methods, seeds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config", "methods=[simcl]"], "Did you mean 'simclr'"),
        (["--config", "budget=smok"], "Did you mean 'smoke'"),
        (["--config", "seeds=5"], "Did you mean 'seeds=[5]'"),
        (["--config", "seeds=0"], "Did you mean 'seeds=[0]'"),
        (["--config", "budget=0.1"], "Did you mean 'budget={epochs: 0.1}'"),
        (["--config", "protokol=paper"], "Did you mean 'protocol'"),
        (["results/smoke/cells/conmix/digits-h100-ir0/seed0.parquet"], "at least 1"),
        (["results/smoke/cells/ConMix/digits-h100-ir5/seed0.parquet"], "Did you mean 'results/smoke/cells/conmix/"),
        (["conmix_table22"], "Did you mean 'conmix_table2'"),
        (["digits_table1", "conmix_tabel2"], "Did you mean 'conmix_table2'"),
        (["results/smoke/tables/conmix/table22.md"], "there is no table of conmix 'table22'"),
        (["results/smoke/tables/digits/figure1.md"], "figure1 of digits is a figure"),
        (["digits_table1", "--until", "tarin"], "Did you mean 'train'"),
        (["--forcerun", "train", "digits_table1"], "Write targets first: snakemake digits_table1"),
        (["--config", "budget=../x"], "There is no budget '../x'"),
        (["--config", "targets=[../x]"], "There is no target '../x'"),
        (["--config", "data={../x: {kind: parquet, name: mine}}"], "'../x'"),
        (["--config", f"seeds=[{'9' * 5000}]"], "seeds"),
        (["results/../../x/cells/conmix/digits-h100-ir10/seed0.parquet"], "There is no target '../x/cells/"),
        (["results/smoke/cells/conmix/../digits-h100-ir10/seed0.parquet"], "There is no target"),
        (["results/datasets/../../x/train/images.npy"], "There is no target"),
    ],
)
def test_a_misspelling_or_a_way_out_of_the_results_ends_in_one_message(workflow, arguments, message):
    assert message in workflow.refusal(*arguments, "--dry-run")
    assert not workflow.files()
