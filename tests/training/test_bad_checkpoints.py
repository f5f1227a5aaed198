"""Checkpoints and specifications that are almost right: one clear error, no code that runs, no file elsewhere."""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from longtail.__main__ import main
from longtail.errors import LongtailError
from longtail.training import checkpoint

from ..mutations import WRONG, mutated

FAST = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
)
TENSORS = [torch.zeros(0), torch.zeros(3), torch.zeros(1).expand(10**6), torch.zeros(4, 1, 3, 3, dtype=torch.int8)]


@pytest.fixture
def half(desk, tools):
    """A finished checkpoint of two epochs of four, and the states of a job that was stopped."""
    assert desk.train(tools.spec(tools.stretch(last=2)), "half") == 0
    return desk.folder / "half" / "checkpoint.pt"


def listed(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*"))


def ended_well(status, capsys) -> bool:
    """A job has finished, or it has said on stderr why not."""
    message = capsys.readouterr().err
    assert status in (0, 1)
    assert (status == 0) == ("error: " not in message)
    assert "Traceback" not in message
    return status == 0


@FAST
@given(data=st.data())
def test_a_parent_that_is_almost_right(desk, tools, half, capsys, data):
    whole = checkpoint.read(half)
    changed = data.draw(mutated(whole))
    if data.draw(st.booleans()):
        changed = copy.deepcopy(whole)
        inner = changed[data.draw(st.sampled_from(["objective", "moments"]))]
        inner[data.draw(st.sampled_from(sorted(inner)))] = data.draw(st.sampled_from([*TENSORS, *WRONG]))
    kinds = {"successor": "Successor", "toy": "Toy"}
    name, start = data.draw(st.sampled_from([("toy", "fresh"), ("successor", "continue"), ("other", "transfer")]))
    try:
        torch.save(changed, half)
    except (UnicodeEncodeError, OverflowError):
        torch.save(whole, half)
        return
    lineage = [tools.stretch(last=2)] if name != "toy" else []
    first, last = (2, 3) if start == "continue" else (0, 3)
    if start == "transfer":
        last = 1
    spec = tools.spec(*lineage, tools.stretch(name, kinds.get(name, "Toy"), start, first, last))
    try:
        ended_well(desk.train(spec, "next", parent="half"), capsys)
    finally:
        torch.save(whole, half)


@FAST
@given(data=st.data())
def test_a_state_that_is_almost_right_is_passed_over_or_named(desk, tools, half, capsys, data):
    spec = tools.spec(tools.stretch(last=1))
    whole = checkpoint.read(half)
    state = {**whole, "spec": spec, "identity": spec["identity"], "epoch": 0, "step": 1}
    state["progress"] = {"sums": {"loss": torch.zeros(())}, "seconds": 1.0, "history": []}
    changed = data.draw(mutated(state))
    folder = desk.folder / "run-state"
    folder.mkdir(exist_ok=True)
    path = folder / f"{checkpoint.StateFolder(folder, tools.parse(spec)).prefix}-epoch000000-step000001.pt"
    try:
        torch.save(changed, path)
    except (UnicodeEncodeError, OverflowError):
        return
    ended_well(desk.train(spec), capsys)


@FAST
@given(data=st.data())
def test_a_specification_that_is_almost_right(desk, tools, capsys, data):
    spec = data.draw(mutated(tools.spec(tools.stretch(last=1))))
    before = listed(desk.folder.parent)
    try:
        text = json.dumps(spec, default=str, skipkeys=True)
    except UnicodeEncodeError:
        return
    arguments = desk.arguments(tools.spec(), "one")
    arguments[arguments.index("--spec") + 1] = text
    ended_well(main(arguments), capsys)
    for name in ("checkpoint.pt", "history.parquet", "spec.json"):
        (desk.folder / "one" / name).unlink(missing_ok=True)
    for name in ("one", "one-state"):
        if (desk.folder / name).exists():
            (desk.folder / name).rmdir()
    assert listed(desk.folder.parent) == before


@pytest.mark.parametrize("identity", ["../../x", "/tmp/x", "a/b", "a\x00b", "", "..", 7])
def test_a_specification_whose_name_would_lead_elsewhere(desk, tools, capsys, identity):
    spec = {**tools.spec(), "identity": identity}
    assert desk.train(spec) == 1
    assert "identity" in capsys.readouterr().err
    assert not (desk.folder / "run-state").exists()


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("place", ["objective", "moments", "spec", "identity", "progress", None])
@pytest.mark.parametrize("protocol", [2, 5])
def test_a_trap_anywhere_in_a_checkpoint_does_not_shut(half, tmp_path, place, protocol):
    mark = tmp_path / "mark"
    content = Trap(mark) if place is None else {**checkpoint.read(half), place: Trap(mark)}
    files = [zipped(pickle.dumps(Trap(mark), protocol)), pickle.dumps(Trap(mark), protocol)]
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        saved = io.BytesIO()
        torch.save(content, saved, pickle_protocol=protocol, **options)
        files.append(saved.getvalue())
    for file in files:
        half.write_bytes(file)
        with pytest.raises(LongtailError, match=str(half)):
            checkpoint.read(half)
        assert not mark.exists()
    pickle.loads(files[1])
    assert mark.exists()  # the trap works


def test_a_checkpoint_cannot_name_the_code_that_is_built(desk, tools, half, capsys, tmp_path, monkeypatch):
    """The specification says which class is built; that of the file is data."""
    (tmp_path / "payload.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'mark')!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    whole = checkpoint.read(half)
    evil = copy.deepcopy(whole)
    evil["spec"]["lineage"][-1]["implementation"] = "payload:Payload"
    torch.save(evil, half)
    out = tmp_path / "embeddings.parquet"
    arguments = ["job", "embed", "--spec", half.with_name("spec.json"), "--checkpoint", half, "--features", "embedding"]
    arguments += ["--split", desk.split, "--images", f"train={desk.store}", "--out", out, "--threads", 1]
    assert main([str(argument) for argument in arguments]) == 0
    spec = tools.spec(tools.stretch(last=2), tools.stretch("other", "Toy", "transfer", 0, 1))
    assert desk.train(spec, "next", parent="half") == 0
    assert not (tmp_path / "mark").exists()


def test_a_checkpoint_that_unpacks_into_much_more_is_not_unpacked(half):
    with zipfile.ZipFile(half, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/999", bytes(10**7))
    with pytest.raises(LongtailError, match="compressed"):
        checkpoint.read(half)
