"""Training and embedding on texts, by the loop that images have, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import torch

from longtail.__main__ import main
from longtail.data.encoder import fetch, load_tokenizer
from longtail.data.texts import tokens_of
from longtail.errors import LongtailError
from longtail.files import read_table, write_table
from longtail.models.sentence import SentenceEncoder
from longtail.training.out_of_memory import out_of_memory
from longtail.training.specification import parse, read_spec

TEXTS = ["the big dog runs", "a small cat", "big dogs", "little hound", "cats", "the large dog", "a cat", "dog"]
THESAURUS = {"dog": ["hound"], "big": ["large"], "small": ["little"], "large": ["big"]}
SETTINGS = {
    "temperature": 0.2,
    "projection_width": 4,
    "tags": 3,
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "weight_decay": 0.0,
    "schedule": "constant",
    "batch_size": 4,
    "drop_last": False,
    "augmentation": {"replaced": 0.5},
}


def make_spec(last=3, **changes):
    stretch = {"objective": "text-conmix", "implementation": "longtail.methods.clustering.conmix:ConMix", "version": 1}
    epochs = {"start": "fresh", "first_epoch": 0, "last_epoch": last, "clock": last}
    return {
        "identity": f"texts{last}",
        "data": {"dataset": "toy", "classes": 2, "max_tokens": 8},
        "backbone": {"name": "tiny"},
        "precision": "float32",
        "lineage": [{**stretch, **epochs, "settings": SETTINGS}],
        "seed": 0,
        **changes,
    }


@pytest.fixture(scope="module")
def desk(tmp_path_factory, tiny_encoder):
    folder = tmp_path_factory.mktemp("desk")
    fetch("tiny", str(tiny_encoder), folder / "encoder")
    tokenizer = load_tokenizer(folder / "encoder")
    np.savez(folder / "tokens.npz", **tokens_of(TEXTS, tokenizer, lambda word: THESAURUS.get(word, []), 8))
    rows = {"part": ["train"] * 8, "source_row": [0, 1, 2, 3, 4, 5, 6, 7], "label": [0, 1, 0, 0, 1, 0, 1, 0]}
    write_table(folder / "split.parquet", pa.table(rows))
    return folder


def common(desk):
    return ["--encoder", desk / "encoder", "--split", desk / "split.parquet", "--images", f"train={desk}/tokens.npz"]


def train_arguments(desk, out, spec):
    files = ["--state", out / "state", "--checkpoint", out / "checkpoint.pt", "--history", out / "history.parquet"]
    options = [*common(desk), *files, "--spec-out", out / "spec.json", "--gpus", 0, "--threads", 1]
    return [str(part) for part in ["job", "train", "--spec", json.dumps(spec), *options]]


def weights(out):
    return torch.load(out / "checkpoint.pt", weights_only=True)["objective"]


def test_training_changes_the_encoder_and_is_the_same_each_time(desk, tmp_path):
    for name in ("once", "again"):
        assert main(train_arguments(desk, tmp_path / name, make_spec())) == 0
    once, again = weights(tmp_path / "once"), weights(tmp_path / "again")
    assert all(torch.equal(once[name], again[name]) for name in once)
    fresh = SentenceEncoder(desk / "encoder").state_dict()
    name = "network.transformer.layer.0.ffn.lin1.weight"
    assert not torch.equal(once[f"network.backbone.{name}"], fresh[name])
    assert read_table(tmp_path / "once" / "history.parquet")["epoch"].to_pylist() == [1, 2, 3]


def test_an_interrupted_training_ends_with_the_weights_of_a_straight_one(desk, tmp_path):
    """Dropout included, which draws from torch's own generator; stopped in the middle of an epoch."""
    spec = make_spec(last=4)
    assert main(train_arguments(desk, tmp_path / "straight", spec)) == 0
    code = """
import os, signal, sys
from longtail.methods.clustering import conmix
from longtail.__main__ import main
loss, calls = conmix.ConMix.loss, []
def stopping(self, batch):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return loss(self, batch)
conmix.ConMix.loss = stopping
sys.exit(main(sys.argv[1:]))
"""
    stopped = subprocess.run(
        [sys.executable, "-c", code, *train_arguments(desk, tmp_path / "stopped", spec)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert stopped.returncode == 75, stopped.stderr
    assert "epoch 1, step 1" in stopped.stderr
    assert main(train_arguments(desk, tmp_path / "stopped", spec)) == 0
    straight, resumed = weights(tmp_path / "straight"), weights(tmp_path / "stopped")
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


def test_embeddings_of_a_training_and_of_the_encoder_before_it(desk, tmp_path):
    assert main(train_arguments(desk, tmp_path, make_spec())) == 0
    options = [*common(desk), "--features", "projection", "--out", tmp_path / "trained.parquet", "--gpus", 0]
    phase = ["--spec", tmp_path / "spec.json", "--checkpoint", tmp_path / "checkpoint.pt"]
    assert main([str(part) for part in ["job", "embed", *phase, *options]]) == 0
    trained = read_table(tmp_path / "trained.parquet")
    assert np.stack(trained["embedding"].to_pylist()).shape == (8, 4)

    data = json.dumps(make_spec()["data"])
    control = ["--control", "pretrained", "--data", data, "--features", "pretrained", "--out", tmp_path / "own.parquet"]
    assert main([str(part) for part in ["job", "embed", *control, *common(desk)]]) == 0
    own = np.stack(read_table(tmp_path / "own.parquet")["embedding"].to_pylist())
    encoder, tokenizer = SentenceEncoder(desk / "encoder").eval(), load_tokenizer(desk / "encoder")
    expected = encoder(torch.tensor(tokenizer(TEXTS, padding=True).input_ids)).detach().numpy()
    np.testing.assert_allclose(own, expected, atol=1e-5)
    assert trained["label"].to_pylist() == read_table(tmp_path / "own.parquet")["label"].to_pylist()


def test_texts_need_an_encoder(desk, tmp_path, capsys):
    arguments = train_arguments(desk, tmp_path, make_spec())
    place = arguments.index("--encoder")
    assert main(arguments[:place] + arguments[place + 2 :]) == 1
    assert "need a sentence encoder: give its folder with --encoder" in capsys.readouterr().err


def test_a_specification_of_texts_is_checked():
    read_spec(json.dumps(make_spec()))
    with pytest.raises(LongtailError, match=r"lacks lineage\[0\]\.settings\.normalization|lacks data\.image_size"):
        read_spec(json.dumps(make_spec(data={"dataset": "toy", "classes": 2})))
    with pytest.raises(LongtailError, match=r"data\.max_tokens"):
        read_spec(json.dumps(make_spec(data={"dataset": "toy", "classes": 2, "max_tokens": "all"})))


def test_what_does_not_fit_is_described_in_tokens(desk):
    class OnTheCpu:
        device = torch.device("cpu")

    error = out_of_memory(RuntimeError(), None, parse(make_spec()), OnTheCpu(), torch.float32, "This machine")
    assert "with batch size 4 on texts of 8 tokens" in str(error)


def test_jobs_on_images_load_no_transformers():
    code = "import sys, longtail.training.train, longtail.training.loop, longtail.embedding.embed; print(*sys.modules)"
    path = os.pathsep.join(sys.path)
    loaded = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True
    ).stdout.split()
    assert "torch" in loaded
    assert {"transformers", "tokenizers", "nltk"}.isdisjoint(loaded)
