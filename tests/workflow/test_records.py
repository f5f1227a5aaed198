"""Records out of real results: what is refused and why, and the tables and the page that a fresh clone makes of it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from longtail.__main__ import main
from longtail.files import PROVENANCE_KEY, read_table, write_described
from longtail.records.record import read, read_all

from .conftest import ROOT, Workflow

CELL = "results/smoke/cells/conmix/digits-h100-ir10/seed0.parquet"
Recording = namedtuple("Recording", "returncode stdout stderr")
LOOKED_OVER = ("--overlook", "budget", "dirty")


@pytest.fixture
def results(trained, tmp_path):
    """A copy of a finished cell at toy length, as if a commit had made it."""
    workflow = trained.copy(tmp_path)
    for path in workflow.files("phases/**/*.parquet"):
        table, facts = read_table(path), json.loads(pq.read_metadata(path).metadata[PROVENANCE_KEY])
        said = json.dumps(facts)
        commit = json.loads(re.sub(r'"revision": "[^"]*"', '"revision": "0123456789ab"', said))
        write_described(path, table, commit)
    return workflow


def recording(workflow: Workflow, *arguments: str) -> Recording:
    """The command, in this process and from the folder of the results."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.chdir(workflow.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["record", *arguments])
    return Recording(status, out.getvalue(), err.getvalue())


def phase(workflow: Workflow, objective: str) -> Path:
    (folder,) = (workflow.folder / "results/phases/digits-h100-ir10").glob(f"{objective}-*/seed0")
    return folder


def refusal(workflow: Workflow, *arguments: str) -> str:
    done = recording(workflow, *arguments)
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    assert not workflow.files("records/**/*")
    return done.stderr


def test_a_cell_of_a_smaller_budget_is_refused_unless_told(results):
    assert "it is of budget smoke" in refusal(results)
    done = recording(results, "--overlook", "budget")
    assert done.returncode == 0, done.stderr
    (record,) = read_all(str(results.folder / "results/records"))
    assert record.overlooked == ("budget",)
    assert record.label.startswith("budget smoke")


def test_a_record_holds_what_the_files_of_the_cell_hold(results):
    assert recording(results, "--overlook", "budget").returncode == 0
    (path,) = results.files("records/cells/*/*.parquet")
    record = read(str(path))
    folder = phase(results, "conmix")
    assert record.spec == json.loads((folder / "spec.json").read_text())
    assert [method["method"] for method in record.methods] == ["conmix"]
    metrics = pd.concat(
        pd.read_parquet(file).assign(scorer=file.stem, readout=file.parent.name)
        for file in sorted(folder.glob("*/*/metrics/*/*.parquet"))
    )
    values = record.values().to_pandas()
    order = ["scorer", "trial", "metric", "class", "cluster", "parameter"]
    columns = [*order, "value", "unit", "readout"]
    pd.testing.assert_frame_equal(
        values.sort_values(order)[columns].reset_index(drop=True),
        metrics.sort_values(order)[columns].reset_index(drop=True),
        check_dtype=False,
    )
    histories = [phase(results, "sdclr") / "history.parquet", folder / "history.parquet"]
    assert [training["training"].split("-")[0] for training in record.trainings] == ["sdclr", "conmix"]
    for training, history in zip(record.trainings, histories, strict=True):
        facts = json.loads(pq.read_metadata(history).metadata[PROVENANCE_KEY])
        for name in ("device", "precision", "threads", "seconds", "versions", "revision", "created"):
            assert training[name] == facts[name]
        lines = pd.read_parquet(history)
        for of, metric, epochs, points in record.curves():
            if of == training:
                assert epochs.tolist() == lines["epoch"].tolist()
                assert points.tolist() == pytest.approx(lines[metric].tolist(), rel=1e-5)
    assert path.stat().st_size < 12_000


def test_recording_again_changes_nothing(results):
    """Nor does what a killed job or another program has left beside the files."""
    assert recording(results, "--overlook", "budget").returncode == 0
    for name in (".clustering-0123abcd.tmp.parquet", "._clustering.parquet"):
        (phase(results, "conmix") / "projection/train/metrics/kmeans" / name).write_bytes(b"\0")
    before = {path: path.read_bytes() for path in results.files("records/**/*")}
    assert recording(results, "--overlook", "budget").returncode == 0
    assert {path: path.read_bytes() for path in results.files("records/**/*")} == before


def changed_provenance(path: Path, old: str, new: str) -> None:
    facts = pq.read_metadata(path).metadata[PROVENANCE_KEY].decode()
    assert old in facts
    write_described(path, read_table(path), json.loads(facts.replace(old, new)))


@pytest.mark.parametrize("revision", ["0123456789ab-dirty", "unknown"])
@pytest.mark.parametrize("file", ["history.parquet", "projection/train/metrics/kmeans/clustering.parquet"])
def test_code_that_no_commit_has_is_refused_unless_told(results, file, revision):
    changed_provenance(phase(results, "conmix") / file, '"revision": "0123456789ab"', f'"revision": "{revision}"')
    said = refusal(results, "--overlook", "budget")
    assert f"the code that made it ({revision}) is no commit" in said
    assert "--overlook dirty" in said
    assert recording(results, *LOOKED_OVER).returncode == 0
    (record,) = read_all(str(results.folder / "results/records"))
    assert record.overlooked == ("budget", "dirty")


def test_an_unfinished_cell_is_no_record(results):
    for name in ("checkpoint.pt", "history.parquet", "spec.json"):  # which Snakemake deletes before an attempt
        (phase(results, "conmix") / name).unlink()
    state = results.folder / "results/state/digits-h100-ir10/conmix-5-0123456789/seed0"
    state.mkdir(parents=True)
    (state / "saved.pt").touch()
    done = recording(results, *LOOKED_OVER)
    assert done.returncode == 1
    assert "0 recorded, 0 refused, 1 trainings not finished" in done.stdout


def test_a_cell_whose_earlier_training_is_gone_is_refused(results):
    (phase(results, "sdclr") / "history.parquet").unlink()
    assert "has no history.parquet" in refusal(results, *LOOKED_OVER)


def test_weights_are_not_needed(results):
    """Results of another machine may come without them, which are large."""
    for path in results.files("phases/**/checkpoint.pt"):
        path.unlink()
    for path in results.files("phases/**/embeddings.parquet"):
        path.unlink()
    assert recording(results, *LOOKED_OVER).returncode == 0


def test_a_cell_without_its_own_readout_is_partial(results):
    (file,) = phase(results, "conmix").glob("*/*/metrics/kmeans/clustering.parquet")
    other = file.parents[1] / "agglomerative"
    file.parent.rename(other)
    assert "it is not measured by kmeans" in refusal(results, *LOOKED_OVER)
    assert recording(results, *LOOKED_OVER, "partial").returncode == 0


def test_a_specification_that_was_changed_is_refused(results):
    spec = phase(results, "conmix") / "spec.json"
    spec.write_text(spec.read_text().replace('"precision": "float32"', '"precision": "mixed"'))
    assert "does not describe what its folder is called after" in refusal(results, *LOOKED_OVER)


@pytest.mark.parametrize("content", ["{", "[]", '{"seed": 0}', '{"identity": 1, "seed": 0, "data": 3}'])
def test_what_is_no_specification_is_refused(results, content):
    spec = phase(results, "conmix") / "spec.json"
    spec.write_text(content)
    assert "spec.json" in refusal(results, *LOOKED_OVER)


def test_metrics_of_another_training_are_refused(results):
    file = phase(results, "conmix") / "projection/train/metrics/kmeans/clustering.parquet"
    identity = json.loads((phase(results, "conmix") / "spec.json").read_text())["identity"]
    changed_provenance(file, f'"identity": "{identity}"', '"identity": "fedcba9876"')
    assert "was not measured of this training, but of fedcba9876" in refusal(results, *LOOKED_OVER)


def test_errors_on_other_corrupted_images_than_the_published_ones_are_refused(results):
    file = phase(results, "conmix") / "projection/train/metrics/kmeans/clustering.parquet"
    facts = json.loads(pq.read_metadata(file).metadata[PROVENANCE_KEY])
    of = {name: facts["scored"]["embeddings"][name] for name in ("identity", "seed", "revision")}
    other = file.parents[1] / "corruptions/corruptions.parquet"
    for source in ("mine", "corruptions"):
        told = {**facts, "scored": {**of, "corrupted": {"name": "imagenet_c", "source": source}}}
        write_described(other, read_table(file).slice(0, 1), told)
        if source == "mine":
            assert "on other imagenet_c images than the published ones: mine" in refusal(results, *LOOKED_OVER)
    assert recording(results, *LOOKED_OVER).returncode == 0
    (record,) = read_all(str(results.folder / "results/records"))
    assert {each.readout for each in record.measured} == {"kmeans", "corruptions"}


def test_what_the_catalogue_does_not_train_is_refused_unless_told(results):
    from longtail.study.phases import identity_of

    folder = phase(results, "conmix")
    spec = json.loads((folder / "spec.json").read_text())
    old = spec["identity"]
    spec["lineage"][-1]["settings"]["temperature"] = 0.123
    spec["identity"] = identity_of(spec)
    (folder / "spec.json").write_text(json.dumps(spec))
    for path in folder.rglob("*.parquet"):
        facts = pq.read_metadata(path).metadata[PROVENANCE_KEY].decode()
        write_described(path, read_table(path), json.loads(facts.replace(old, spec["identity"])))
    folder.parent.rename(folder.parents[1] / folder.parent.name.replace(old, spec["identity"]))
    assert "the catalogue trains nothing like it" in refusal(results)
    assert recording(results, "--overlook", "unknown").returncode == 0
    (record,) = read_all(str(results.folder / "results/records"))
    assert record.methods == ()


def test_a_damaged_file_of_a_cell_is_named(results):
    file = phase(results, "conmix") / "projection/train/metrics/kmeans/clustering.parquet"
    file.write_bytes(file.read_bytes()[:50])
    assert str(file.relative_to(results.folder)) in refusal(results, *LOOKED_OVER)


def test_cells_may_be_asked_for_by_name(results):
    smoke = ("--config", '{"budget": "smoke", "targets": ["digits"]}')
    done = recording(results, CELL, "digits_table2", *smoke, *LOOKED_OVER)
    assert "1 recorded, 0 refused" in done.stdout
    assert re.search(r"\d+ of the cells asked for are not finished", done.stdout)
    done = recording(results, "digits_tabel2")
    assert done.returncode == 1
    assert "There is no target 'digits_tabel2'. Did you mean 'digits_table2'?" in done.stderr


def test_the_target_records_what_is_finished_and_makes_nothing(results):
    before = set(results.files())
    output = results.fail("record", cores=1)
    assert "it is of budget smoke" in output
    made = set(results.files()) - before
    assert {path.name for path in made} == {"record.log"}


def test_a_fresh_clone_shows_its_records_and_trains_nothing(workflow):
    """All tables of all papers in seconds, of the records that the checkout carries, without torch."""
    shutil.copytree(ROOT / "results/records", workflow.folder / "results/records")
    (workflow.folder / "config.yaml").write_text("targets: [digits]\n")
    output = workflow.succeed("recorded", "--dry-run", "--printshellcmds", cores=1)
    assert re.findall(r"^(?:local)?rule (.+):$", output, re.M) == ["recorded"]
    script = "import sys; from longtail.__main__ import main; sys.exit(main(['recorded']) or 'torch' in sys.modules)"
    done = workflow.by_hand([sys.executable, "-c", script])
    assert done.returncode == 0, done.stderr
    view = workflow.folder / "results/recorded"
    table = pd.read_parquet(view / "tables/digits/table2.parquet")
    assert (table["recorded_seeds"] == 3).all()
    assert (table["status"] == "missing").all()
    for record in table["recorded_in"].str.split().explode():
        assert (workflow.folder / record).exists()
    page = (view / "reproduction.html").read_text()
    for record in workflow.files("records/cells/*/*.parquet"):
        assert f"../records/cells/{record.parent.name}/{record.name}" in page
    assert "<svg" in page


def test_a_broken_record_stops_the_tables_that_would_show_it(workflow):
    records = workflow.folder / "results/records/cells/digits-lt-ir10"
    shutil.copytree(ROOT / "results/records/cells/digits-lt-ir10", records)
    broken = min(records.iterdir())
    broken.write_bytes(broken.read_bytes()[:-20])
    output = workflow.fail("recorded", cores=1)
    assert f"results/records/cells/digits-lt-ir10/{broken.name}" in output
    assert "git checkout" in output
    assert not (workflow.folder / "results/recorded").exists()
