from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.__main__ import main
from longtail.data.augment import Normalization
from longtail.data.resident import ResidentSplit
from longtail.embedding.controls import SIMILARITY_BETWEEN, SIMILARITY_WITHIN
from longtail.embedding.embed import linear
from longtail.embedding.embeddings import write_weights
from longtail.files import read_provenance
from longtail.models.classifiers import Cosine, Linear, Scaled
from longtail.training import encode
from longtail.training.build import build
from longtail.training.encode import evaluating
from longtail.training.specification import Data, parse

DATA = {"classes": 3}


def embed(desk, *options, features="embedding", out="embeddings.parquet"):
    arguments = ["job", "embed", "--features", features, "--split", desk.split, "--images", f"train={desk.store}"]
    return main([str(part) for part in [*arguments, "--out", desk.folder / out, *options]])


def phase(desk, name="run"):
    return "--spec", desk.folder / name / "spec.json", "--checkpoint", desk.folder / name / "checkpoint.pt"


def read(desk, out="embeddings.parquet"):
    return pq.read_table(desk.folder / out)


def matrix(column):
    return np.stack(column.to_numpy())


def by_hand(desk, features):
    """What the network gives, image by image, from the raw pixels."""
    found = desk.checkpoint()
    objective = build(parse(found["spec"]))
    objective.load_state_dict(found["objective"])
    encoder = objective.encoder(features).eval()
    rows = []
    for source_row in desk.source_rows:
        pixels = torch.from_numpy(desk.images[source_row].astype(np.float32)).permute(2, 0, 1)[None] / 255
        with torch.no_grad():
            rows.append(encoder((pixels - 0.5) / 0.25))
    return rows


def test_embedding_of_a_phase(desk, tools):
    assert desk.train(tools.spec()) == 0
    assert embed(desk, *phase(desk)) == 0
    table = read(desk)
    assert table.schema.names == ["row", "label", "embedding"]
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 16)
    assert table["row"].to_pylist() == list(range(40))
    np.testing.assert_array_equal(table["label"], desk.labels)
    expected = torch.cat(by_hand(desk, "embedding")).numpy()
    np.testing.assert_allclose(matrix(table["embedding"]), expected, rtol=1e-4, atol=1e-5)
    facts = read_provenance(desk.folder / "embeddings.parquet")
    assert (facts["identity"], facts["seed"], facts["features"]) == ("toy4", 0, "embedding")


def test_features_with_a_head_have_logits(desk, tools):
    assert desk.train(tools.spec()) == 0
    assert embed(desk, *phase(desk), features="head") == 0
    table = read(desk)
    assert table.schema.field("logits").type == pa.list_(pa.float32(), 3)
    expected = torch.cat([logits for _, logits in by_hand(desk, "head")]).numpy()
    np.testing.assert_allclose(matrix(table["logits"]), expected, rtol=1e-4, atol=1e-5)


SUPERVISED = {
    "ce": ("reweighting:CrossEntropy", {"classifier_init": "default"}),
    "ldam": ("reweighting:LDAM", {"scale": 30.0, "largest_margin": 0.5}),
}


@pytest.mark.parametrize("objective", SUPERVISED)
def test_the_classifier_behind_the_features_is_written(desk, tools, objective):
    kind, settings = SUPERVISED[objective]
    stretch = tools.stretch(objective, last=1, clock=1, noise=None, views=1, **settings)
    stretch["implementation"] = f"longtail.methods.recognition.{kind}"
    assert desk.train(tools.spec(stretch)) == 0
    weights = desk.folder / "weights.parquet"
    assert embed(desk, *phase(desk), "--weights", weights, features="backbone") == 0
    table, found = pq.read_table(weights), read(desk)
    assert table["class"].to_pylist() == [0, 1, 2]
    h, w = matrix(found["embedding"]).astype(float), matrix(table["weight"]).astype(float)
    assert w.shape == (3, h.shape[1])
    if objective == "ce":
        expected = h @ w.T + table["bias"].to_numpy()
    else:  # cosines, scaled
        assert table["bias"].null_count == 3
        expected = 30 * h @ w.T / np.linalg.norm(h, axis=1)[:, None] / np.linalg.norm(w, axis=1)
    np.testing.assert_allclose(matrix(found["logits"]), expected, rtol=1e-4, atol=1e-5)
    facts, of = (read_provenance(desk.folder / f"{name}.parquet") for name in ("weights", "embeddings"))
    assert {key: facts[key] for key in ("identity", "seed", "features")} == {
        key: of[key] for key in ("identity", "seed", "features")
    }


def test_features_without_a_classifier_have_no_weights(desk, tools):
    assert desk.train(tools.spec()) == 0
    weights = desk.folder / "weights.parquet"
    assert embed(desk, *phase(desk), "--weights", weights) == 0
    table = pq.read_table(weights)
    assert table.schema.names == ["class", "weight", "bias"]
    assert len(table) == 0


def test_a_classifier_is_what_has_a_matrix_of_weights(tmp_path):
    scaled = Scaled(Linear(4, 3))
    torch.nn.init.uniform_(scaled.scales, 0.5, 2)
    h = torch.rand(2, 4)
    for head in (Linear(4, 3), scaled):
        weight, bias = linear(head)
        np.testing.assert_allclose(h.numpy() @ weight.T + bias, head(h).detach(), rtol=1e-5)
    weight, bias = linear(Cosine(4, 3))
    assert weight.shape == (3, 4)
    assert bias is None
    for head in (None, torch.nn.Identity(), torch.nn.BatchNorm1d(4), torch.nn.Conv2d(1, 2, 3)):
        assert linear(head) == (None, None)
    write_weights(tmp_path / "w.parquet", weight, None)
    assert pq.read_table(tmp_path / "w.parquet")["bias"].to_pylist() == [None] * 3


def test_embedding_is_in_float32_whatever_the_training_was(desk, tools):
    assert desk.train(tools.spec(precision="mixed")) == 0
    assert embed(desk, *phase(desk)) == 0
    expected = torch.cat(by_hand(desk, "embedding")).numpy()
    np.testing.assert_allclose(matrix(read(desk)["embedding"]), expected, rtol=1e-4, atol=1e-5)


def test_a_split_of_another_size_than_the_training(desk, tools):
    """Objectives remember the rows they were trained on; a test split has others."""
    assert desk.train(tools.spec()) == 0
    pq.write_table(pq.read_table(desk.split).slice(0, 7), desk.split)
    assert embed(desk, *phase(desk)) == 0
    assert len(read(desk)) == 7


def test_the_networks_of_a_transfer_are_rebuilt(desk, tools):
    assert desk.train(tools.spec(tools.stretch(last=2, clock=2)), "first") == 0
    spec = tools.spec(tools.stretch(last=2, clock=2), tools.stretch("moved", start="transfer", last=1, clock=1))
    assert desk.train(spec, parent="first") == 0
    assert embed(desk, *phase(desk)) == 0
    expected = torch.cat(by_hand(desk, "embedding")).numpy()
    np.testing.assert_allclose(matrix(read(desk)["embedding"]), expected, rtol=1e-4, atol=1e-5)


def test_mistakes(desk, tools, capsys):
    assert desk.train(tools.spec()) == 0
    assert desk.train(tools.spec(seed=1), "other") == 0
    assert embed(desk, *phase(desk), features="embeding") == 1
    assert "Did you mean 'embedding'" in capsys.readouterr().err
    options = phase(desk)[:3] + phase(desk, "other")[3:]
    assert embed(desk, *options) == 1
    assert "has seed 1, but 0 is asked for" in capsys.readouterr().err
    assert embed(desk) == 1
    assert "--control" in capsys.readouterr().err
    assert embed(desk, "--control", "pixels", *phase(desk)) == 1
    assert "neither --spec nor --checkpoint" in capsys.readouterr().err
    assert embed(desk, "--control", "labels", "--data", "{}") == 1
    assert "lacks data.classes" in capsys.readouterr().err
    assert not (desk.folder / "embeddings.parquet").exists()


def test_modes_are_restored_part_by_part():
    module = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2))
    module.train()
    module[0].eval()
    with evaluating(module):
        assert not any(part.training for part in module.modules())
    assert [part.training for part in module.modules()] == [True, False, True]


def control(desk, name, *options, seed=0, out="embeddings.parquet"):
    return embed(desk, "--control", name, "--data", json.dumps(DATA), "--seed", seed, *options, features=name, out=out)


def test_rows_may_pass_in_another_order_and_come_back_in_theirs(desk, monkeypatch):
    monkeypatch.setattr(ResidentSplit, "at_once", 16)
    split = ResidentSplit(desk.split, {"train": desk.store}, torch.device("cpu"))
    data = Data("toys", 3, "images", image_size=6, test_transform={"resize": None, "crop": None})
    images = encode.SplitImages(split, data, {"mean": [0.5], "std": [0.25]}, torch.float32)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    flat = torch.nn.Flatten()
    assert torch.equal(images.encode(flat), images.encode(flat, order))

    class LessItsBatch(torch.nn.Flatten):
        def forward(self, x):
            return super().forward(x) - super().forward(x).mean(0)

    found, pixels = images.encode(LessItsBatch(), order), images.encode(flat)
    for rows in order.split(16):
        torch.testing.assert_close(found[rows], pixels[rows] - pixels[rows].mean(0))


def test_pixels(desk):
    assert control(desk, "pixels") == 0
    table = read(desk)
    assert table.schema.names == ["row", "label", "embedding"]
    expected = desk.images[desk.source_rows].reshape(40, -1).astype(np.float32) / 255
    np.testing.assert_array_equal(matrix(table["embedding"]), expected)


def test_pixels_of_several_parts_in_the_order_of_the_split(desk):
    other = desk.folder / "test.npy"
    np.save(other, 255 - desk.images)
    table = pq.read_table(desk.split)
    parts = np.where(np.arange(40) % 3 == 0, "test", "train")
    pq.write_table(table.set_column(table.schema.get_field_index("part"), "part", pa.array(parts)), desk.split)
    assert control(desk, "pixels", "--images", f"test={other}") == 0
    expected = desk.images[desk.source_rows].reshape(40, -1).astype(np.float32)
    expected[::3] = 255 - expected[::3]
    np.testing.assert_allclose(matrix(read(desk)["embedding"]), expected / 255, rtol=1e-6)


def test_labels(desk):
    assert control(desk, "labels") == 0
    table = read(desk)
    for column in ("embedding", "logits"):
        np.testing.assert_array_equal(matrix(table[column]).argmax(1), desk.labels)
        np.testing.assert_array_equal(matrix(table[column]).sum(1), np.ones(40))


def test_noise_depends_on_its_seed_only(desk):
    for seed, out in ((0, "a"), (0, "b"), (1, "c")):
        assert control(desk, "noise", seed=seed, out=f"{out}.parquet") == 0
    a, b, c = (read(desk, f"{out}.parquet") for out in "abc")
    for column in ("embedding", "logits"):
        np.testing.assert_array_equal(matrix(a[column]), matrix(b[column]))
        assert not np.array_equal(matrix(a[column]), matrix(c[column]))
    assert matrix(a["logits"]).shape == (40, 3)


def test_similarities_are_those_that_are_asked_for_and_depend_on_their_seed_only(desk):
    for seed, out in ((0, "a"), (0, "b"), (1, "c")):
        assert control(desk, "similarities", seed=seed, out=f"{out}.parquet") == 0
    a, b, c = (matrix(read(desk, f"{out}.parquet")["embedding"]) for out in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    np.testing.assert_allclose((a**2).sum(1), 1, rtol=1e-6)
    cosines = a @ a.T
    same = np.equal.outer(desk.labels, desk.labels)
    assert abs(cosines[same & ~np.eye(40, dtype=bool)].mean() - SIMILARITY_WITHIN) < 0.02
    assert abs(cosines[~same].mean() - SIMILARITY_BETWEEN) < 0.02
    assert np.ptp(cosines[~same]) < 0.6


def test_controls_say_what_is_missing(desk, capsys):
    desk.store.unlink()
    assert control(desk, "pixels") == 1
    assert "images.npy" in capsys.readouterr().err
    DATA_TWO = {"classes": 2}
    assert embed(desk, "--control", "labels", "--data", json.dumps(DATA_TWO), features="labels") == 1
    assert "2 classes" in capsys.readouterr().err


def test_a_control_needs_no_torch(desk):
    options = ["--control", "noise", "--data", json.dumps(DATA), "--features", "noise", "--split", str(desk.split)]
    options += ["--images", f"train={desk.store}", "--out", str(desk.folder / "noise.parquet")]
    code = "import sys; sys.modules['torch'] = None; from longtail.__main__ import main; sys.exit(main(sys.argv[1:]))"
    workflow = Path(__file__).parents[2] / "workflow"
    subprocess.run(
        [sys.executable, "-c", code, "job", "embed", *options], check=True, env={"PYTHONPATH": str(workflow)}
    )
    assert len(read(desk, "noise.parquet")) == 40


def test_normalization_is_that_of_the_last_stretch(desk, tools):
    settings = {"mean": [0.1], "std": [2.0]}
    spec = tools.spec(
        tools.stretch(last=1), tools.stretch("next", "Successor", start="continue", first=1, normalization=settings)
    )
    assert desk.train(tools.spec(tools.stretch(last=1)), "first") == 0
    assert desk.train(spec, parent="first") == 0
    assert embed(desk, *phase(desk)) == 0
    found = desk.checkpoint()
    objective = build(parse(found["spec"]))
    objective.load_state_dict(found["objective"])
    pixels = torch.from_numpy(desk.images[desk.source_rows].astype(np.float32)).permute(0, 3, 1, 2) / 255
    with torch.no_grad():
        expected = objective.body.eval()(Normalization([0.1], [2.0])(pixels)).numpy()
    np.testing.assert_allclose(matrix(read(desk)["embedding"]), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pair", ["train", "=x", "train="])
def test_images_need_a_part(desk, capsys, pair):
    assert control(desk, "pixels", "--images", pair) == 1
    assert f"--images {pair} does not say which part it is" in capsys.readouterr().err
