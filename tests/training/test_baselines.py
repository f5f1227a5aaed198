"""The deep-clustering baselines under the real loop: what they remember survives an interruption, bit for bit."""

from __future__ import annotations

import functools
import signal

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from longtail.__main__ import main
from longtail.embedding.embed import require_training_split
from longtail.errors import LongtailError
from longtail.files import write_table
from longtail.study import phases
from longtail.study.study import load_study
from longtail.training import loop

METHODS = ["cc", "idfd", "dmicc", "scan"]
MEMORY = {"idfd": "memory.vectors", "dmicc": "memory.vectors", "scan": "neighbours"}


@functools.cache
def lineage(method: str, protocol: str) -> tuple[dict, ...]:
    """The method's recipe on digits, two epochs a step, in batches that the desk's forty images fill."""
    study = load_study({"targets": ["digits"], "protocol": protocol})
    catalog = study.catalog
    chosen, dataset = catalog.method(method), catalog.dataset("digits")
    final = phases.final_phase(chosen, {}, "resnet_small", dataset, 10, study.config, catalog)
    found = []
    for stretch in final.lineage:
        entry = stretch.as_dict() | {"first_epoch": 0, "last_epoch": 2, "clock": 2}
        entry["settings"] |= {"batch_size": 16}
        found.append(entry)
    return tuple(found)


def train_all(desk, tools, method, protocol, each, name="run"):
    """Every step of the recipe; ``each`` is called to train one."""
    stretches = lineage(method, protocol)
    for last in range(len(stretches)):
        spec = tools.spec(*stretches[: last + 1])
        each(spec, f"{name}{last}", f"{name}{last - 1}" if last else None)
    return f"{name}{len(stretches) - 1}"


@pytest.mark.parametrize("method", METHODS)
def test_interrupted_and_resumed(desk, tools, monkeypatch, method):
    def whole(spec, name, parent):
        assert desk.train(spec, name, parent=parent) == 0

    def pieces(spec, name, parent):
        real, count = loop.Progress.advance, 0

        def advance(self, *arguments):
            nonlocal count
            count += 1
            if count == 3:  # in the middle of the second epoch
                signal.raise_signal(signal.SIGTERM)
            real(self, *arguments)

        with monkeypatch.context() as patch:
            patch.setattr(loop.Progress, "advance", advance)
            assert desk.train(spec, name, parent=parent) == 75
        assert desk.train(spec, name, parent=parent) == 0

    straight = train_all(desk, tools, method, "official", whole, "straight")
    resumed = train_all(desk, tools, method, "official", pieces, "resumed")
    tools.assert_same_training(desk.checkpoint(straight), desk.checkpoint(resumed))
    if method in MEMORY:
        objectives = [desk.checkpoint(f"resumed{i}")["objective"] for i in range(len(lineage(method, "official")))]
        (remembered,) = [state[MEMORY[method]] for state in objectives if MEMORY[method] in state]
        assert len(remembered) == 40


@pytest.mark.parametrize("protocol", ["official", "paper"])
@pytest.mark.parametrize("method", METHODS)
def test_what_is_clustered_is_finite_under_both_protocols(desk, tools, method, protocol):
    def each(spec, name, parent):
        assert desk.train(spec, name, parent=parent) == 0
        assert np.isfinite(desk.history(name)["loss"].to_numpy()).all()

    done = desk.folder / train_all(desk, tools, method, protocol, each)
    features = load_study({"targets": ["digits"]}).catalog.method(method).features
    out = desk.folder / "embeddings.parquet"
    arguments = ["job", "embed", "--features", features, "--split", desk.split, "--images", f"train={desk.store}"]
    arguments += ["--spec", done / "spec.json", "--checkpoint", done / "checkpoint.pt", "--out", out]
    assert main([str(part) for part in arguments]) == 0
    table = pq.read_table(out)
    assert table["label"].to_pylist() == desk.labels.tolist()
    embedding = np.stack(table["embedding"].to_numpy())
    assert np.isfinite(embedding).all()
    if features == "memory":
        held = torch.load(done / "checkpoint.pt", weights_only=True)["objective"]["memory.vectors"]
        np.testing.assert_array_equal(embedding, held)
        moved = np.isclose((embedding**2).sum(1), 1, rtol=1e-5)
        assert moved.all() if method == "idfd" else moved.mean() > 0.8  # DMICC drops the incomplete last batch
    else:
        assert np.stack(table["logits"].to_numpy()).shape == (40, 3)


def test_a_memory_is_of_the_training_split_only(desk, tmp_path):
    require_training_split(desk.split, 40, 40, "memory")
    with pytest.raises(LongtailError, match="'memory' holds the 41 images"):
        require_training_split(desk.split, 40, 41, "memory")
    write_table(tmp_path / "test.parquet", pq.read_table(desk.split), split="test")
    with pytest.raises(LongtailError, match="is the test split of 40"):
        require_training_split(tmp_path / "test.parquet", 40, 40, "memory")


def test_the_views_of_a_step_show_what_the_objective_pairs_by_their_own_lists(desk, tools, monkeypatch):
    """View 1 is dark and shows the image, view 2 is the image before it as it is."""
    import toys

    steps = []

    def shown(self, rows, views, generator):
        assert views == 2
        return rows, (rows - 1) % 40

    def loss(self, batch):
        steps.append(batch)
        return {"loss": self.head(self.body(batch.views[0])).square().mean()}

    monkeypatch.setattr(toys.Toy, "shown", shown)
    monkeypatch.setattr(toys.Toy, "loss", loss)
    settings = {
        "augmentation": [{"cutout": 100}, {}],
        "normalization": {"mean": [0.5], "std": [0.25]},
    }
    assert desk.train(tools.spec(tools.stretch(last=1, clock=1, **settings))) == 0
    pixels = torch.from_numpy(desk.images[desk.source_rows].astype(np.float32)).permute(0, 3, 1, 2) / 255
    normalised = (pixels - 0.5) / 0.25
    for batch in steps:
        first, second = batch.views
        torch.testing.assert_close(second, normalised[batch.rows[1]])
        kept = first != 0
        torch.testing.assert_close(first[kept], normalised[batch.rows[0]][kept])
        assert (~kept).any()


@pytest.mark.parametrize(("lists", "views"), [([{}, {}], 1), ([{}], 2), ([], 2), ([{}, {}, {}], 2)])
def test_views_and_lists_of_transforms_are_as_many(desk, tools, capsys, lists, views):
    assert desk.train(tools.spec(tools.stretch(views=views, augmentation=lists))) != 0
    error = capsys.readouterr().err
    assert "'augmentation'" in error
    assert f"{len(lists)} lists" in error
    assert f"{views} views" in error
