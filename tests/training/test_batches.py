"""How an epoch is cut into batches, and that every objective can be trained whatever is left over."""

from __future__ import annotations

import functools
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from longtail.data.resident import ResidentSplit, epoch_order
from longtail.errors import LongtailError
from longtail.study.study import load_study
from longtail.training.batches import Batches, batches_of
from longtail.training.build import build
from longtail.training.encode import SplitImages
from longtail.training.loop import Training, train
from longtail.training.optimizer import Optimizer
from longtail.training.specification import Data, parse


def cut(rows, batch_size=64, drop_last=False, **own):
    return batches_of("simclr", rows, batch_size, drop_last, own)


# --- The rule ---------------------------------------------------------------------------------------------------------


@given(rows=st.integers(2, 2000), size=st.integers(2, 600))
def test_an_epoch_visits_every_row_once_and_never_one_alone(rows, size):
    batches = Batches(rows, size)
    assert [place for batch in batches for place in range(rows)[batch]] == list(range(rows))
    lengths = [batch.stop - batch.start for batch in batches]
    assert min(lengths) >= 2
    assert lengths[:-1] == [size] * (len(batches) - 1)
    assert batches.visited == rows
    if rows % size != 1:  # nothing but that changes
        assert lengths == [len(part) for part in torch.arange(rows).split(size)]
        assert len(batches) == math.ceil(rows / size)
    else:
        assert lengths[-1] == size + 1
    assert batches.lengths == {lengths[0], lengths[-1]}


@given(rows=st.integers(2, 2000), size=st.integers(2, 600))
def test_what_is_left_over_is_left_out_where_the_method_says_so(rows, size):
    batches = Batches(rows, size, drop_last=True)
    assert [(batch.start, batch.stop) for batch in batches] == [
        (first, first + size) for first in range(0, rows - size + 1, size)
    ]
    assert batches.visited == len(batches) * size


@pytest.mark.parametrize("step", [-1, 3])
def test_there_is_no_other_batch(step):
    with pytest.raises(IndexError):
        Batches(6, 2)[step]


@pytest.mark.parametrize(
    ("rows", "changes", "words"),
    [
        (1, {}, ["simclr", "1 image ", "batch_size 64", "drop_last false", "imbalance ratio"]),
        (1, {"batch_size": 1}, ["1 image ", "imbalance ratio"]),
        (1, {"drop_last": True}, ["1 image ", "drop_last true"]),
        (50, {"batch_size": 1}, ["50 images", "batch_size 1", "at least 2"]),
        (50, {"batch_size": 1, "drop_last": True}, ["batch_size 1", "at least 2"]),
        (63, {"drop_last": True}, ["63 images", "64", "drop_last to false"]),
        (128 + 9, {"batchnorm_splits": 8}, ["batches of 9 images", "8 groups", "drop_last to true"]),
        (128 + 1, {"batchnorm_splits": 8}, ["batches of 65 images", "8 groups"]),
        (200, {"batch_size": 36, "drop_last": True, "batchnorm_splits": 8}, ["batches of 36 images", "multiple of 8"]),
        (128 + 9, {"batch_groups": 8}, ["batches of 9 images", "8 groups of one size (batch_groups)"]),
        (128, {"queue_size": 63}, ["64 keys", "63", "queue_size"]),
        (129, {"queue_size": 64}, ["65 keys", "64", "queue_size"]),
        (199, {"mini_clusters": 200}, ["199 images", "200 mini-clusters", "at most 199"]),
    ],
)
def test_what_no_epoch_can_be_made_of(rows, changes, words):
    with pytest.raises(LongtailError) as refusal:
        cut(rows, **changes)
    for word in words:
        assert word in str(refusal.value)


@pytest.mark.parametrize(
    ("rows", "changes"),
    [
        (321, {}),
        (2, {"batch_size": 512}),
        (64, {"drop_last": True}),
        (65, {"drop_last": True, "batchnorm_splits": 8, "queue_size": 64}),
        (128 + 8, {"batchnorm_splits": 8}),
        (128 + 8, {"batch_groups": 8}),
        (200, {"mini_clusters": 200}),
    ],
)
def test_what_can_be_trained_on(rows, changes):
    assert cut(rows, **changes).rows == rows


# --- Every objective of the catalogue ---------------------------------------------------------------------------------

DIGITS = 49
SIZES = {48: 1, 47: 2, 46: 3, 24: 1, 16: 1, 9: 4}  # batch size: what is left over


@functools.cache
def phases(batch_size):
    """A phase on digits for every objective of the catalogue that reads images, by its name."""
    budget = {"epochs": 0.01, "batch_size": batch_size, "backbone": "resnet_small", "head_class_rows": 100}
    study = load_study({"targets": ["digits"], "budget": budget})
    found = {}
    for phase in study.phases_of("digits-h100-ir10").values():
        found.setdefault(phase.lineage[-1].objective, phase)
    return found


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Forty-nine digits as a split of a training."""
    folder = tmp_path_factory.mktemp("digits")
    images = np.rint(load_digits().images[:DIGITS] * (255 / 16)).astype(np.uint8)[..., None]
    np.save(folder / "images.npy", images)
    rows = {"part": ["train"] * DIGITS, "source_row": np.arange(DIGITS), "label": load_digits().target[:DIGITS]}
    pq.write_table(pa.table({"row": np.arange(DIGITS), **rows}), folder / "train.parquet")
    return ResidentSplit(folder / "train.parquet", {"train": folder / "images.npy"}, "cpu")


def small(stretch, phase_settings):
    """The stretch for one epoch, with narrow heads and few clusters, which change nothing about batches."""
    values = dict(phase_settings)
    for name in ("hidden_width", "projection_width"):
        if name in values:
            values[name] = 12  # at least the classes less one, so that targets of classes have a formula
    for name, most in (("mini_clusters", 12), ("neighbours", 5), ("context_size", 5), ("propagation_size", 3)):
        if name in values:
            values[name] = min(values[name], most)
    first = stretch["first_epoch"]
    return {**stretch, "last_epoch": first + 1, "clock": max(stretch["clock"], first + 2), "settings": values}


@pytest.mark.parametrize("batch_size", SIZES)
@pytest.mark.parametrize("name", sorted(phases(16)))
def test_every_objective_takes_whatever_is_left_over(digits, name, batch_size):
    phase = phases(batch_size)[name]
    spec = phase.spec(0)
    lineage = [small(stretch, stretch["settings"]) for stretch in spec["lineage"]]
    sizes = digits.labels.bincount(minlength=10).tolist()
    spec = {**spec, "data": {**spec["data"], "rows": DIGITS, "class_sizes": sizes}, "lineage": lineage}
    settings = {**lineage[-1]["settings"], "batch_size": batch_size}
    if "batchnorm_splits" in settings and batch_size % settings["batchnorm_splits"]:
        settings["batchnorm_splits"] = 1  # what is said otherwise, is tried above
    lineage[-1] = {**lineage[-1], "settings": settings}
    spec = parse(spec)
    stretch, read = spec.last, spec.last.settings
    parent = build(spec.before(spec.opening)) if spec.lineage[spec.opening].start == "transfer" else None
    objective = build(spec, parent)
    shown, loss = [], objective.loss

    def recorded(batch):
        shown.append(batch.rows[0])
        return loss(batch)

    objective.loss = recorded
    training = Training(objective, Optimizer(objective, read), stretch.first_epoch)
    train(training, spec, digits, dtype=torch.float32, save=lambda _: None, save_every=math.inf)
    (epoch,) = training.history
    assert math.isfinite(epoch["loss"])
    assert all(weights.isfinite().all() for weights in objective.state_dict().values())
    assert [len(rows) for rows in shown] == [
        batch.stop - batch.start for batch in Batches(DIGITS, batch_size, read.drop_last)
    ]
    if objective.sampling_weights() is None and not read.samplers:
        visited = len(torch.cat(shown))
        expected = epoch_order(0, stretch.first_epoch, DIGITS)[:visited]
        assert torch.equal(torch.cat(shown), expected)


def test_an_embedding_by_batch_statistics_takes_whatever_is_left_over(digits, monkeypatch):
    """LFSS embeds the split with the statistics of the batch."""
    from longtail.methods.clustering.lfss import BatchStatistics

    data = Data("digits", 10, "images", image_size=8, test_transform={"resize": None, "crop": None})
    images = SplitImages(digits, data, {"mean": [0.5], "std": [0.25]}, torch.float32)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4), torch.nn.BatchNorm1d(4))
    for rows in (48, 47, 24, 5, ResidentSplit.at_once):
        monkeypatch.setattr(ResidentSplit, "at_once", rows)
        found = images.encode(BatchStatistics(network, rows), torch.randperm(DIGITS))
        assert found.shape == (DIGITS, 4)
        assert found.isfinite().all()
