"""What is wrong ends in one message on the terminal that names it, and in no half-written file."""

from __future__ import annotations

import io
import os
import pickle
import resource
import shutil
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from PIL import Image
from sklearn.datasets import load_digits

CUT = "digits-h100-ir10"
CELL = f"results/smoke/cells/conmix/{CUT}/seed0.parquet"
SPLIT = f"results/datasets/{CUT}/train.parquet"
IMAGES = "results/datasets/digits/train/images.npy"
LABELS = "results/datasets/digits/train/labels.parquet"


def phase(workflow, objective):
    """The folder of a phase, of which there is one per objective: SDCLR, and ConMix after it."""
    (folder,) = (workflow.folder / "results/phases" / CUT).glob(f"{objective}-*/seed0")
    return folder


def relative(workflow, path):
    return str(path.relative_to(workflow.folder))


# --- Configuration and catalogue --------------------------------------------------------------------------------------


def assert_refused_at_once(workflow, arguments, words):
    message = workflow.refusal(*arguments)
    for word in words:
        assert word in message
    assert not (workflow.folder / "results").exists()


def test_a_misspelt_method_in_the_configuration(workflow):
    path = workflow.folder / "config.yaml"
    path.write_text(path.read_text() + "methods: [simclr, comnix]\n")
    assert_refused_at_once(workflow, [], ["no method 'comnix'", "Did you mean 'conmix'?"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("targets: {digits: 1}\n", ["targets", "array"]),
        ("targets: [digits]\nbudget: {epoch: 0.5}\n", ["epoch", "epochs"]),
        ("targets: [digits]\nseeds: [-1]\n", ["seeds", "-1", "minimum"]),
        ("targets: [digits]\ndata: {digits: {kind: parquet}}\n", ["data.digits", "name"]),
        ("targets: [digits]\ndata: {digit: {kind: parquet, name: mine}}\n", ["'digit'", "Did you mean 'digits'?"]),
    ],
)
def test_a_configuration_that_is_none(workflow, text, words):
    (workflow.folder / "config.yaml").write_text(text)
    assert_refused_at_once(workflow, [], words)


@pytest.mark.parametrize("text", ["targets: [digits\n", "- digits\n"])
def test_a_configuration_that_snakemake_cannot_read(workflow, text):
    (workflow.folder / "config.yaml").write_text(text)
    output = workflow.fail()
    assert "Config file" in output
    assert "YAML" in output
    assert "Traceback" not in output


@pytest.mark.parametrize("cut", ["digits-h100-ir0", "digits-ir0"])
def test_an_imbalance_ratio_below_one_in_a_target(workflow, cut):
    target = f"results/smoke/cells/simclr/{cut}/seed0.parquet"
    assert_refused_at_once(workflow, [target], [cut, "imbalance ratio", "at least 1"])


@pytest.mark.parametrize("ratio", [0, -10, 0.5])
def test_an_imbalance_ratio_below_one_in_the_catalogue(own_checkout, ratio):
    path = own_checkout.checkout / "workflow/catalog/papers/digits.yaml"
    paper = yaml.safe_load(path.read_text())
    paper["tables"]["table1"]["columns"][0]["ratio"] = ratio
    path.write_text(yaml.safe_dump(paper))
    assert_refused_at_once(own_checkout, [], ["digits.yaml", "tables.table1.columns[0].ratio", str(ratio)])


# --- Images -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def digits():
    """Every digit as the bytes of a PNG file, with its label, in scikit-learn's order."""
    found = load_digits()
    pictures = np.rint(found.images * (255 / 16)).astype(np.uint8)
    encoded = []
    for picture in pictures:
        with io.BytesIO() as file:
            Image.fromarray(picture).save(file, format="png")
            encoded.append(file.getvalue())
    return encoded, found.target.tolist()


def parquet_source(workflow, encoded, labels, label="label"):
    """Let the workflow read the digits from a Parquet file."""
    images = pa.array([{"bytes": data, "path": None} for data in encoded])
    pq.write_table(pa.table({"image": images, label: labels}), workflow.folder / "digits.parquet")
    source(workflow, {"kind": "parquet", "files": {"train": "digits.parquet"}})


def folder_source(workflow, encoded, labels):
    """Let the workflow read the digits from class folders."""
    for row, (data, label) in enumerate(zip(encoded, labels, strict=True)):
        path = workflow.folder / f"digits/{label}/{row:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    source(workflow, {"kind": "imagefolder", "folders": {"train": "digits"}})


def source(workflow, entry):
    path = workflow.folder / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config |= {"data_root": ".", "data": {"digits": {"name": "my own", **entry}}}
    path.write_text(yaml.safe_dump(config))


def assert_nothing_of(workflow, *paths):
    for path in paths:
        assert not (workflow.folder / path).exists(), path
    assert not workflow.leftovers()


@pytest.mark.parametrize("kind", [parquet_source, folder_source])
def test_own_copies_of_the_images_are_read(workflow, digits, kind):
    encoded, labels = digits
    kind(workflow, encoded, labels)
    workflow.succeed(LABELS)
    assert sorted(pq.read_table(workflow.folder / LABELS)["label"].to_pylist()) == sorted(labels)


def test_a_source_without_its_label_column(workflow, digits):
    encoded, labels = digits
    parquet_source(workflow, encoded, labels, label="klass")
    message = workflow.refusal(CELL)
    for word in ("digits.parquet", "no label column of a usual name", "image, klass", "'label' in the source"):
        assert word in message
    assert_nothing_of(workflow, IMAGES, LABELS)


def test_a_source_with_too_few_images(workflow, digits):
    encoded, labels = digits
    parquet_source(workflow, encoded[:-1], labels[:-1])
    message = workflow.refusal(CELL)
    for word in ("digits", "only 1,796", "'train'", "1,797", "Get the missing files"):
        assert word in message
    assert_nothing_of(workflow, IMAGES, LABELS)


def test_a_source_that_is_not_there(workflow):
    source(workflow, {"kind": "parquet", "files": {"train": "nowhere.parquet"}, "obtain": "Ask your neighbour."})
    message = workflow.refusal(CELL)
    assert "nowhere.parquet does not exist. Ask your neighbour." in message
    assert_nothing_of(workflow, IMAGES, LABELS)


def test_a_source_of_a_misspelt_kind(workflow):
    source(workflow, {"kind": "parqet", "files": {"train": "digits.parquet"}})
    assert "Did you mean 'parquet'?" in workflow.refusal(CELL)
    assert_nothing_of(workflow, IMAGES, LABELS)


def test_a_source_that_another_program_is_still_writing(workflow, digits):
    encoded, labels = digits
    parquet_source(workflow, encoded, labels)
    path = workflow.folder / "digits.parquet"
    whole = path.read_bytes()
    truncate(path)
    message = workflow.refusal(LABELS)
    for word in ("digits.parquet", "not a readable Parquet file"):
        assert word in message
    assert_nothing_of(workflow, IMAGES, LABELS)
    path.write_bytes(whole)
    workflow.succeed(LABELS)


def test_a_truncated_image_in_a_parquet_file(workflow, digits):
    encoded, labels = digits
    parquet_source(workflow, [*encoded[:1234], encoded[1234][:50], *encoded[1235:]], labels)
    message = workflow.refusal(CELL)
    for word in ("digits.parquet, row 1234", "truncated", "get it again"):
        assert word in message
    assert_nothing_of(workflow, IMAGES, LABELS)


def test_a_truncated_image_in_a_folder(workflow, digits):
    encoded, labels = digits
    folder_source(workflow, encoded, labels)
    (broken,) = (workflow.folder / "digits").glob("*/1234.png")
    broken.write_bytes(encoded[1234][:50])
    message = workflow.refusal(CELL)
    for word in (f"digits/{broken.parent.name}/1234.png", "truncated", "get it again"):
        assert word in message
    assert_nothing_of(workflow, IMAGES, LABELS)


# --- Checkpoints ------------------------------------------------------------------------------------------------------


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    weights = next(iter(torch.load(path, weights_only=True)["objective"].values())).numpy().tobytes()
    content = bytearray(path.read_bytes())
    content[content.find(weights) + 2] ^= 1
    path.write_bytes(content)


def set_a_trap(path):
    checkpoint = torch.load(path, weights_only=True)
    torch.save({**checkpoint, "objective": Trap(path.with_name("trapped"))}, path)


def set_a_plain_trap(path):
    path.write_bytes(pickle.dumps(Trap(path.with_name("trapped"))))


DAMAGE = [
    (truncate, "truncated", "Delete it and run the workflow again"),
    (flip_a_bit, "fails its checksum", "Delete it and run the workflow again"),
    (set_a_trap, "could run code", "does not come from this workflow"),
    (set_a_plain_trap, "no checkpoint at all", "Delete it and run the workflow again"),
]


EMBEDDINGS = "projection/train/embeddings.parquet"


@pytest.fixture(scope="module")
def jobs(trained):
    """The commands that train ConMix on top of SDCLR, and that embed with it."""
    final = relative(trained, phase(trained, "conmix"))
    return {
        "train": (f"{final}/checkpoint.pt", trained.job(f"{final}/checkpoint.pt")),
        "embed": (f"{final}/{EMBEDDINGS}", trained.job(f"{final}/{EMBEDDINGS}")),
    }


@pytest.mark.parametrize(("damage", "what", "way_out"), DAMAGE)
@pytest.mark.parametrize(("reader", "objective"), [("train", "sdclr"), ("embed", "conmix")])
def test_a_damaged_checkpoint(trained, tmp_path, jobs, reader, objective, damage, what, way_out):
    workflow = trained.copy(tmp_path)
    target, command = jobs[reader]
    (workflow.folder / target).unlink()
    broken = phase(workflow, objective) / "checkpoint.pt"
    damage(broken)
    done = workflow.by_hand(command)
    assert done.returncode == 1
    assert done.stdout == ""
    (message,) = done.stderr.splitlines()
    assert message.startswith("error: ")
    for word in (relative(workflow, broken), what, way_out):
        assert word in message
    assert not broken.with_name("trapped").exists()
    assert_nothing_of(workflow, target)


def test_the_traps_work(trained, tmp_path):
    for set_trap, load in (
        (set_a_trap, lambda path: torch.load(path, weights_only=False)),
        (set_a_plain_trap, lambda path: pickle.loads(path.read_bytes())),
    ):
        shutil.copy(phase(trained, "conmix") / "checkpoint.pt", tmp_path)
        set_trap(tmp_path / "checkpoint.pt")
        load(tmp_path / "checkpoint.pt")
        (tmp_path / "trapped").unlink()


def test_a_damaged_checkpoint_in_the_workflow_and_the_way_out(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    broken = phase(workflow, "sdclr") / "checkpoint.pt"
    final = phase(workflow, "conmix")
    before = torch.load(final / "checkpoint.pt", weights_only=True)
    truncate(broken)
    target = relative(workflow, final / "checkpoint.pt")
    message = workflow.refusal(target)
    assert relative(workflow, broken) in message
    assert_nothing_of(workflow, target, relative(workflow, final / "history.parquet"))
    broken.unlink()
    workflow.succeed(target)
    after = torch.load(final / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(after["objective"][name], weight) for name, weight in before["objective"].items())


# --- Folders and disks ------------------------------------------------------------------------------------------------


def mounted(request, folder, *options):
    """Mount at ``folder`` for the length of a test, or skip it."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        done = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no program `mount`")
    if done.returncode:
        pytest.skip(f"may not mount: {done.stderr.strip()}")
    request.addfinalizer(lambda: subprocess.run(["umount", str(folder)], check=True))


def limit_files_to(size):
    """No file may grow beyond ``size`` bytes: to a job this looks like a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_file_where_the_results_should_be(workflow):
    (workflow.folder / "results").write_text("my results\n")
    message = workflow.refusal(CELL)
    assert f"{workflow.folder / 'results'} is a file" in message
    assert "Move it away" in message
    assert (workflow.folder / "results").read_text() == "my results\n"


@pytest.mark.parametrize("name", ["phases", "datasets", "smoke"])
def test_a_file_where_a_folder_below_the_results_should_be(workflow, name):
    (workflow.folder / "results").mkdir()
    (workflow.folder / "results" / name).write_text("mine\n")
    message = workflow.refusal(CELL)
    assert f"{workflow.folder / 'results' / name} is a file" in message
    assert [path.name for path in workflow.files()] == [name]


def test_a_file_where_a_folder_of_results_should_be(trained, tmp_path, jobs):
    workflow = trained.copy(tmp_path)
    target, command = jobs["embed"]
    folder = (workflow.folder / target).parents[1]
    shutil.rmtree(folder)
    folder.write_text("")
    done = workflow.by_hand(command)
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith(f"error: Cannot write {target}: Not a directory.")


def test_a_read_only_folder_of_results(trained, tmp_path, jobs, request):
    workflow = trained.copy(tmp_path)
    target, command = jobs["embed"]
    folder = (workflow.folder / target).parent
    (folder / "embeddings.parquet").unlink()
    mounted(request, folder, "--bind", str(folder))
    subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
    done = workflow.by_hand(command)
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith(f"error: Cannot write {target}: Read-only file system.")
    assert "permissions" in message


def test_results_that_may_only_be_read_are_refused_before_any_job(workflow, request):
    mounted(request, workflow.folder / "results", "-t", "tmpfs", "-o", "ro", "tmpfs")
    message = workflow.refusal(CELL)
    assert message.startswith("error: Cannot write results: Read-only file system.")
    assert "permissions" in message


def test_a_disk_that_is_full_is_refused_before_any_job_and_goes_on_when_there_is_space(workflow, request):
    results = workflow.folder / "results"
    mounted(request, results, "-t", "tmpfs", "-o", "size=4m", "tmpfs")
    with pytest.raises(OSError, match="No space"), (results / "fill").open("wb", buffering=0) as file:  # noqa: PT012
        while True:
            file.write(bytes(4096))
    message = workflow.refusal(SPLIT)
    assert message.startswith("error: The decoded images take 0.1 MB, and only 0.0 MB are free for ")
    assert "free space" in message
    (results / "fill").unlink()
    workflow.succeed(SPLIT)


def test_a_disk_that_is_full_while_images_are_stored(workflow):
    message = workflow.refusal(CELL, before=limit_files_to(64 * 1024))
    for word in (IMAGES, "File too large", "free space"):
        assert word in message
    assert_nothing_of(workflow, IMAGES, LABELS)


def test_a_disk_that_is_full_when_a_training_ends(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    folder = phase(workflow, "sdclr")
    names = ("checkpoint.pt", "history.parquet", "spec.json")
    size = (folder / "checkpoint.pt").stat().st_size
    for name in names:
        (folder / name).unlink()
    message = workflow.refusal(relative(workflow, folder / "checkpoint.pt"), before=limit_files_to(size // 2))
    for word in (relative(workflow, folder / "checkpoint.pt"), "free space"):
        assert word in message
    assert_nothing_of(workflow, *(relative(workflow, folder / name) for name in names))


def test_a_disk_that_is_full_when_a_checkpoint_is_written(trained, tmp_path, request):
    workflow = trained.copy(tmp_path)
    folder = phase(workflow, "sdclr")
    target = relative(workflow, folder / "checkpoint.pt")
    command = workflow.job(target)
    size = (folder / "checkpoint.pt").stat().st_size
    mounted(request, folder, "-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs")
    done = workflow.by_hand(command)
    assert done.returncode == 1
    assert f"error: Cannot write {target}: No space left on device." in done.stderr
    assert not (folder / "checkpoint.pt").exists()
    assert not workflow.leftovers()


def test_a_disk_that_is_really_full(trained, tmp_path, jobs, request):
    workflow = trained.copy(tmp_path)
    target, command = jobs["embed"]
    folder = (workflow.folder / target).parent
    size = (folder / "embeddings.parquet").stat().st_size
    mounted(request, folder, "-t", "tmpfs", "-o", f"size={size // 2}", "tmpfs")
    done = workflow.by_hand(command)
    assert done.returncode == 1
    (message,) = done.stderr.splitlines()
    assert message.startswith(f"error: Cannot write {target}: ")
    assert "No space left on device" in message
    assert list(folder.iterdir()) == []


# --- Files between stages ---------------------------------------------------------------------------------------------


def test_truncated_embeddings_and_the_way_out(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    broken = phase(workflow, "conmix") / "projection/train/embeddings.parquet"
    clusters = broken.parent / "assignments/kmeans.parquet"
    truncate(broken)
    message = workflow.refusal(CELL)
    for word in (relative(workflow, broken), "not a readable Parquet file", "Delete it and run the workflow again"):
        assert word in message
    assert_nothing_of(workflow, relative(workflow, clusters))
    broken.unlink()
    workflow.succeed(CELL)
    assert pq.read_table(workflow.folder / CELL).equals(pq.read_table(trained.folder / CELL))


def test_a_truncated_split(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    first = relative(workflow, phase(workflow, "sdclr") / "checkpoint.pt")
    truncate(workflow.folder / SPLIT)
    message = workflow.refusal(CELL)
    for word in (SPLIT, "not a readable Parquet file", "Delete it and run the workflow again"):
        assert word in message
    assert_nothing_of(workflow, first)


def test_a_truncated_store(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    truncate(workflow.folder / IMAGES)
    message = workflow.refusal(CELL)
    for word in (IMAGES, "not a complete array", "Delete it and run the workflow again"):
        assert word in message
    assert not workflow.leftovers()


def test_a_truncated_table_of_metrics(trained, tmp_path):
    workflow = trained.copy(tmp_path)
    broken = phase(workflow, "conmix") / "projection/train/metrics/kmeans/clustering.parquet"
    truncate(broken)
    message = workflow.refusal(CELL)
    for word in (relative(workflow, broken), "Delete it and run the workflow again"):
        assert word in message
    assert_nothing_of(workflow, CELL)


def test_the_clock_of_the_machine_that_made_an_input_is_ahead(workflow):
    workflow.succeed(LABELS)
    later = time.time() + 3600
    os.utime(workflow.folder / LABELS, (later, later))
    message = workflow.refusal(SPLIT)
    for word in (LABELS, "clocks", "NTP", f"touch {LABELS}"):
        assert word in message
    assert_nothing_of(workflow, SPLIT)
    os.utime(workflow.folder / LABELS)
    workflow.succeed(SPLIT)
    assert "Nothing to be done" in workflow.succeed(SPLIT, "--dry-run")
