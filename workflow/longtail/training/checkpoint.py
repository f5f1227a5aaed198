"""Trained states on disk: the finished checkpoint of a phase, and the state from which an interrupted job goes on.

Both are ``torch.save`` dictionaries of tensors, numbers, strings, lists and dictionaries, read with
``weights_only=True``, so that a file from elsewhere cannot run code. Their CRCs are checked, which ``torch.load``
does not do: a flipped bit in a weight would otherwise go unnoticed.
"""

from __future__ import annotations

import contextlib
import pickle
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.files import replacing
from longtail.methods.base import Objective
from longtail.training.specification import Specification

FORMAT = 2
KEYS = {
    "format": int,
    "identity": str,
    "seed": int,
    "epoch": int,
    "step": int,
    "spec": dict,
    "objective": dict,
    "moments": dict,
}
KEPT = 2
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of normalisation layers


def _are_tensors(named: Any) -> bool:
    return isinstance(named, dict) and all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in named.items())


def _is_lineage(spec: Mapping[str, Any]) -> bool:
    lineage, keys = spec.get("lineage"), {"objective", "last_epoch", "settings"}
    return (
        isinstance(spec.get("data"), dict)
        and isinstance(lineage, list)
        and bool(lineage)
        and all(isinstance(stretch, dict) and keys <= set(stretch) for stretch in lineage)
    )


_INSIDE: Mapping[str, Callable[[Any], bool]] = {
    "objective": _are_tensors,
    "moments": lambda moments: all(isinstance(name, str) and _are_tensors(kinds) for name, kinds in moments.items()),
    "spec": _is_lineage,
}
"""What the parts of a checkpoint that are dictionaries must hold."""


def contents(
    spec: Specification, objective: nn.Module, moments: Mapping[str, Any], epoch: int, step: int
) -> dict[str, Any]:
    """The dictionary that a checkpoint holds.

    Args:
        spec: the phase; its document is kept whole, so that a later phase can see that this one is really its ancestor.
        objective: the networks.
        moments: of their optimiser, by parameter name.
        epoch: epochs of the clock that are complete.
        step: updates done in the epoch after that; 0 in a finished checkpoint.
    """
    return {
        "format": FORMAT,
        "identity": spec.identity,
        "seed": spec.seed,
        "epoch": epoch,
        "step": step,
        "spec": dict(spec.document),
        "objective": dict(objective.state_dict()),
        "moments": dict(moments),
    }


def write(path: Path, checkpoint: Mapping[str, Any]) -> None:
    """Write a checkpoint, whole or not at all.

    Raises:
        LongtailError: when the folder cannot be written or the disk is full.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(dict(checkpoint), file)
        except RuntimeError as error:  # torch's archive writer covers up what was wrong with the file
            first = error.__context__
            raise first if isinstance(first, OSError) else OSError(str(error).splitlines()[0]) from error


def read(path: Path) -> dict[str, Any]:
    """Read a checkpoint to the CPU.

    Raises:
        LongtailError: if there is none, or it is truncated, damaged, of another format, or holds anything but data.
    """
    way_out = "Delete it and run the workflow again to train this phase anew."
    try:
        with zipfile.ZipFile(path) as archive:
            if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
                raise LongtailError(
                    f"{path} was not loaded, since its parts are compressed, which torch never does, and could be far "
                    f"larger than the file. It does not come from this workflow."
                )
            damaged = archive.testzip()
        if damaged is not None:
            raise LongtailError(f"{path} is damaged: its part {damaged} fails its checksum. {way_out}")
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise LongtailError(f"{path} does not exist. Train the phase that writes it first.") from error
    except zipfile.BadZipFile as error:
        raise LongtailError(f"{path} is truncated, or no checkpoint at all ({error}). {way_out}") from error
    except pickle.UnpicklingError as error:
        raise LongtailError(
            f"{path} was not loaded, since it holds objects other than tensors, numbers, strings, lists and "
            f"dictionaries, and loading those could run code. It does not come from this workflow."
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise LongtailError(f"{path} cannot be read as a checkpoint ({error}). {way_out}") from error
    wrong = [
        key for key, kind in KEYS.items() if not isinstance(checkpoint, dict) or type(checkpoint.get(key)) is not kind
    ]
    if not wrong:
        wrong = [key for key, is_right in _INSIDE.items() if not is_right(checkpoint[key])]
    if wrong:
        raise LongtailError(f"{path} is no checkpoint of this workflow: it has no usable {', '.join(wrong)}. {way_out}")
    if checkpoint["format"] != FORMAT:
        raise LongtailError(
            f"{path} has checkpoint format {checkpoint['format']}, this version reads {FORMAT}. {way_out}"
        )
    return checkpoint


def require_phase(checkpoint: Mapping[str, Any], spec: Specification, path: Path) -> None:
    """Check that a finished checkpoint is the one of ``spec``.

    Raises:
        LongtailError: if it is of another phase or seed.
    """
    for key, asked in (("identity", spec.identity), ("seed", spec.seed)):
        if checkpoint[key] != asked:
            raise LongtailError(
                f"{path} has {key} {checkpoint[key]}, but {asked} is asked for. {_described(checkpoint)}"
            )


def require_ancestor(checkpoint: Mapping[str, Any], spec: Specification, path: Path) -> bool:
    """Check that a checkpoint is one that the last stretch of ``spec`` starts from.

    It is if data, backbone, precision and seed agree, and if its lineage is that of ``spec`` up to the last stretch,
    or up to an earlier epoch of the last stretch. A last stretch with a ``parent_seed`` goes on from a lineage before
    it that has that seed.

    Returns:
        Whether it lies on the last stretch itself.

    Raises:
        LongtailError: if it is anything else.
    """
    theirs, ours = checkpoint["spec"], dict(spec.document)
    *before, last = (_hashed(stretch) for stretch in ours["lineage"])
    found = [_hashed(stretch) for stretch in theirs["lineage"]]
    if found == before:
        ours["seed"] = last.get("parent_seed", spec.seed)
    for key in ("data", "backbone", "precision", "seed"):
        if theirs.get(key) != ours[key]:
            raise LongtailError(
                f"{path} cannot be the parent: its {key} is {theirs.get(key)!r}, this phase has {ours[key]!r}."
            )
    if found == before:
        return False
    same_stretch = found[:-1] == before and {**found[-1], "last_epoch": last["last_epoch"]} == last
    if same_stretch and last["first_epoch"] < checkpoint["epoch"] <= last["last_epoch"]:
        return True
    raise LongtailError(
        f"{path} cannot be the parent of {last['objective']} at epoch {last['last_epoch']}: the trainings before it "
        f"differ in objectives, settings, versions or epochs. {_described(checkpoint)}"
    )


def _hashed(stretch: Mapping[str, Any]) -> dict[str, Any]:
    """A stretch without the place of its code, which does not change what it computes."""
    return {key: value for key, value in stretch.items() if key != "implementation"}


def _described(checkpoint: Mapping[str, Any]) -> str:
    lineage = ", ".join(f"{s['objective']} to {s['last_epoch']}" for s in checkpoint["spec"].get("lineage", ()))
    return f"It holds {lineage or 'nothing known'}, identity {checkpoint['identity']}, seed {checkpoint['seed']}."


def load_same(objective: nn.Module, checkpoint: Mapping[str, Any], path: Path) -> None:
    """Load a checkpoint of the same objective: every name and shape must agree.

    Raises:
        LongtailError: if one does not.
    """
    try:
        objective.load_state_dict(checkpoint["objective"])
    except RuntimeError as error:
        raise LongtailError(
            f"{path} does not fit the networks of {type(objective).__name__}: {_first_mismatch(error)} If the networks "
            f"were changed on purpose, raise the objective's version in the catalogue."
        ) from error


def load_continued(objective: Objective, checkpoint: Mapping[str, Any], path: Path) -> None:
    """Load the networks of the objective before this one on the same clock.

    Parameters, the statistics of normalisation layers, and the buffers that the objective names in ``continued`` must
    be there under the same names. What else it remembers (masks, pseudo-labels, memories) is its own: the predecessor's
    is dropped, and a new one is prepared.

    Raises:
        LongtailError: if one of them is missing or of another shape, or ``continued`` names what the objective lacks.
    """
    buffers = {name for name, _ in objective.named_buffers() if name in objective.state_dict()}
    own = {name for name, _ in objective.named_parameters()}
    own |= {name for name in buffers if name.endswith(STATISTICS)}
    for one in objective.continued:
        named = {name for name in buffers if name == one or name.startswith(f"{one}.")}
        if not named:
            raise LongtailError(
                f"{type(objective).__name__} names {one!r} in `continued`, but has no such buffer that a checkpoint "
                f"holds. Its buffers: {', '.join(sorted(buffers)) or 'none'}."
            )
        own |= named
    missing = sorted(own - checkpoint["objective"].keys())
    if missing:
        raise LongtailError(
            f"{type(objective).__name__} cannot continue {path}: that has no {', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}. Objectives that continue each other build the same networks under "
            f"the same names; use 'start: transfer' otherwise."
        )
    shared = {name: value for name, value in checkpoint["objective"].items() if name in own}
    try:
        objective.load_state_dict(shared, strict=False)
    except RuntimeError as error:
        raise LongtailError(
            f"{type(objective).__name__} cannot continue {path}: {_first_mismatch(error)} Objectives that continue "
            f"each other build networks of the same size."
        ) from error


def trained_rows(checkpoint: Mapping[str, Any], path: Path) -> tuple[int, list[int]]:
    """How many rows a checkpoint was trained on, and how many of each class.

    Raises:
        LongtailError: if it does not say so.
    """
    data = checkpoint["spec"]["data"]
    rows, sizes = data.get("rows"), data.get("class_sizes")
    if type(rows) is not int or rows < 1 or not isinstance(sizes, list):
        raise LongtailError(f"{path} does not say how many rows it was trained on. Train it again.")
    return rows, sizes


def _first_mismatch(error: RuntimeError) -> str:
    lines = str(error).splitlines()
    return (lines[1] if len(lines) > 1 else lines[0]).strip()


def _is_progress(progress: Any) -> bool:
    """Whether it is what a job adds to a checkpoint: the sums of its epoch, its seconds and the epochs before."""
    return (
        isinstance(progress, dict)
        and _are_tensors(progress.get("sums"))
        and isinstance(progress.get("seconds"), float)
        and isinstance(progress.get("history"), list)
        and all(isinstance(epoch, dict) and {"epoch", "loss"} <= set(epoch) for epoch in progress["history"])
    )


class StateFolder:
    """The resumable states of one job, the two newest of them. Not an output: the job removes it when it is done."""

    def __init__(self, folder: Path, spec: Specification, split: str | None = None) -> None:
        """States of a phase in ``folder``; ``split`` is the digest of the rows it is trained on, None for any."""
        self.folder = folder
        self.spec = spec
        self.split = split
        self.prefix = f"{spec.identity}-seed{spec.seed}"

    def save(self, state: Mapping[str, Any]) -> None:
        """Write a state and drop all but the newest two."""
        path = self.folder / f"{self.prefix}-epoch{state['epoch']:06}-step{state['step']:06}.pt"
        write(path, state if self.split is None else {**state, "split": self.split})
        for old in self._newest_first()[KEPT:]:
            old.unlink(missing_ok=True)

    def newest(self) -> dict[str, Any] | None:
        """The newest state of this phase and seed that can be read.

        A state that cannot be is deleted, one of another phase or seed is left alone; both are said on stderr.
        """
        for other in sorted(self.folder.glob("*-epoch*-step*.pt")):
            if not other.name.startswith(f"{self.prefix}-"):
                print(f"Ignoring {other}: it belongs to another phase or seed.", file=sys.stderr)
        for path in self._newest_first():
            try:
                state = read(path)
                require_phase(state, self.spec, path)
                if not _is_progress(state.get("progress")):
                    raise LongtailError(f"{path} does not say how far a job is; it may be a finished checkpoint.")
                if not 0 <= state["epoch"] <= self.spec.last.last_epoch or state["step"] < 0:
                    raise LongtailError(
                        f"{path} is at epoch {state['epoch']}, step {state['step']}, which there is not."
                    )
                if self.split not in (None, state.get("split", self.split)):
                    raise LongtailError(f"{path} was trained on other data: what is stored was exchanged since.")
            except LongtailError as error:
                print(f"Passing over a saved state: {error}", file=sys.stderr)
                path.unlink(missing_ok=True)
                continue
            return state
        return None

    def remove(self) -> None:
        """Delete the states, what a killed writer left of one, and the folder if it held nothing else."""
        for pattern in (f"{self.prefix}-epoch*.pt", f".{self.prefix}-epoch*.tmp.pt"):
            for path in self.folder.glob(pattern):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _newest_first(self) -> Sequence[Path]:
        return sorted(self.folder.glob(f"{self.prefix}-epoch*-step*.pt"), reverse=True)
