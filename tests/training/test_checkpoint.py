from __future__ import annotations

import copy
import os
import pickle
import zipfile

import pytest
import torch

from longtail.errors import LongtailError
from longtail.training import checkpoint
from longtail.training.specification import parse


@pytest.fixture
def half(desk, tools):
    """A finished checkpoint of two epochs."""
    assert desk.train(tools.spec(tools.stretch(last=2)), "half") == 0
    return desk.folder / "half" / "checkpoint.pt"


def test_a_checkpoint_holds_data_only(half):
    found = checkpoint.read(half)
    assert {name: type(found[name]) for name in checkpoint.KEYS} == checkpoint.KEYS

    def kinds(value):
        if isinstance(value, dict):
            return set().union(*map(kinds, value), *map(kinds, value.values()))
        if isinstance(value, (list, tuple)):
            return set().union(*map(kinds, value))
        return {type(value)}

    assert kinds({name: found[name] for name in checkpoint.KEYS}) <= {torch.Tensor, int, float, str, bool, type(None)}


def test_truncated(half, desk, tools, capsys):
    content = half.read_bytes()
    for length in (0, 10, len(content) // 2, len(content) - 1):
        half.write_bytes(content[:length])
        with pytest.raises(LongtailError, match=r"half.*truncated.*Delete it"):
            checkpoint.read(half)
    assert desk.train(tools.spec(), parent="half") == 1
    assert "truncated" in capsys.readouterr().err


def test_a_flipped_bit_in_a_weight(half):
    weights = torch.load(half, weights_only=True)["objective"]["head.weight"].numpy().tobytes()
    content = bytearray(half.read_bytes())
    content[content.find(weights) + 6] ^= 1
    half.write_bytes(content)
    torch.load(half, weights_only=True)  # goes unnoticed by torch
    with pytest.raises(LongtailError, match="damaged"):
        checkpoint.read(half)


def test_missing(tmp_path):
    with pytest.raises(LongtailError, match="does not exist"):
        checkpoint.read(tmp_path / "nothing.pt")


class Trap:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    torch.save({"format": 1, "objective": Trap(mark)}, tmp_path / "evil.pt")
    with pytest.raises(LongtailError, match="could run code"):
        checkpoint.read(tmp_path / "evil.pt")
    assert not mark.exists()
    pickle.loads(pickle.dumps(Trap(mark)))
    assert mark.exists()  # the trap works


def test_foreign_files(tmp_path, half):
    path = tmp_path / "other.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(LongtailError, match="cannot be read as a checkpoint"):
        checkpoint.read(path)
    torch.save({"model": {"weight": torch.zeros(2)}}, path)
    with pytest.raises(LongtailError, match="no usable format, identity"):
        checkpoint.read(path)
    torch.save([1, 2], path)
    with pytest.raises(LongtailError, match="no checkpoint of this workflow"):
        checkpoint.read(path)
    torch.save({**checkpoint.read(half), "format": 99}, path)
    with pytest.raises(LongtailError, match="format 99"):
        checkpoint.read(path)


def test_another_phase_or_seed(half, tools):
    found, spec = checkpoint.read(half), tools.spec(tools.stretch(last=2))
    checkpoint.require_phase(found, parse(spec), half)
    for other in ({**spec, "identity": "other"}, {**spec, "seed": 3}):
        with pytest.raises(LongtailError, match=r"It holds toy to 2, identity toy2, seed 0"):
            checkpoint.require_phase(found, parse(other), half)


def test_networks_that_do_not_fit(half):
    found = checkpoint.read(half)
    with pytest.raises(LongtailError, match="raise the objective's version"):
        checkpoint.load_same(torch.nn.Linear(2, 2), found, half)


def test_where_the_code_lies_does_not_matter(half, tools):
    found = checkpoint.read(half)
    spec = {**copy.deepcopy(found["spec"]), "lineage": [{**tools.stretch(last=3), "implementation": "moved:Toy"}]}
    assert checkpoint.require_ancestor(found, parse(spec), half)


def state_folder(folder, spec, digest=None):
    return checkpoint.StateFolder(folder, parse(spec), digest)


def write_states(folder, spec, steps):
    states = state_folder(folder, spec)
    module = torch.nn.Linear(2, 2)
    for step in steps:
        progress = {"sums": {}, "seconds": 0.0, "history": []}
        states.save({**checkpoint.contents(states.spec, module, {}, 0, step), "progress": progress})
    return states


def test_a_damaged_newest_state_falls_back_and_says_so(tmp_path, tools, capsys):
    states = write_states(tmp_path / "state", tools.spec(), [1, 2, 3])
    first, second = sorted((tmp_path / "state").iterdir())
    second.write_bytes(second.read_bytes()[:100])
    assert states.newest()["step"] == 2
    assert "Passing over" in capsys.readouterr().err
    assert not second.exists()
    first.write_bytes(b"")
    assert states.newest() is None


def test_states_of_others_are_left_alone(tmp_path, tools, capsys):
    write_states(tmp_path / "state", tools.spec(seed=1), [9])
    write_states(tmp_path / "state", tools.spec(identity="zzz"), [9])
    states = state_folder(tmp_path / "state", tools.spec())
    assert states.newest() is None
    assert capsys.readouterr().err.count("another phase or seed") == 2
    states = write_states(tmp_path / "state", tools.spec(), [1, 2, 3])
    assert states.newest()["step"] == 3
    states.remove()
    assert len(list((tmp_path / "state").iterdir())) == 2


def test_a_renamed_state_of_another_phase_is_passed_over(tmp_path, tools, capsys):
    write_states(tmp_path / "state", tools.spec(identity="zzz"), [9])
    (found,) = (tmp_path / "state").iterdir()
    states = state_folder(tmp_path / "state", tools.spec())
    found.rename(found.with_name(f"{states.prefix}-epoch000000-step000009.pt"))
    assert states.newest() is None
    assert "zzz" in capsys.readouterr().err


def test_removing_leaves_what_is_not_ours(tmp_path, tools):
    states = write_states(tmp_path / "state", tools.spec(), [1])
    (tmp_path / "state" / f".{states.prefix}-epoch000000-step000002-abc.tmp.pt").touch()
    (tmp_path / "state" / "notes.txt").touch()
    states.remove()
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["notes.txt"]
    (tmp_path / "state" / "notes.txt").unlink()
    states.remove()
    assert not (tmp_path / "state").exists()


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, tools, monkeypatch):
    def fail(*_):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed\nmore")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(LongtailError, match="free space"):
        checkpoint.write(tmp_path / "out" / "checkpoint.pt", {})
    assert not list((tmp_path / "out").iterdir())


def test_the_newest_state_is_the_furthest_whatever_the_clocks_said(tmp_path, tools):
    states = write_states(tmp_path / "state", tools.spec(), [2, 3])
    for path, time in zip(sorted((tmp_path / "state").iterdir()), (4000, 1000), strict=True):
        os.utime(path, (time, time))
    assert states.newest()["step"] == 3


def test_a_state_that_was_trained_on_other_data_is_passed_over(tmp_path, tools, half, capsys):
    spec = tools.spec()
    trained = {**checkpoint.read(half), "identity": spec["identity"], "spec": spec, "epoch": 1}
    state = {**trained, "progress": {"sums": {}, "seconds": 0.0, "history": []}}

    def newest(digest):
        return state_folder(tmp_path / "state", spec, digest).newest()

    state_folder(tmp_path / "state", spec).save(state)  # as an earlier version did
    assert newest("after") is not None
    state_folder(tmp_path / "state", spec, "before").save(state)
    assert newest("before") is not None
    assert newest(None) is not None
    assert newest("after") is None
    said = capsys.readouterr().err
    assert "Passing over a saved state" in said
    assert "trained on other data" in said
    assert newest("before") is None  # it was deleted
