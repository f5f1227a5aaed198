"""Every family of objectives trains to the same weights, moments and statistics whether activations are kept or not."""

from __future__ import annotations

import pytest
import torch

from longtail.training.build import build
from tests.training import spread_steps

CONTRASTIVE = {"noise": None, **spread_steps.CONTRASTIVE}
MINICLUSTERING = {
    "noise": None,
    **spread_steps.MINICLUSTERING,
    "direction": "mini",
    "mini_clusters": 6,
    "count_view": 2,
}
BYOL = {"noise": None, **spread_steps.BYOL, "target_update": "after_forward"}
MOCO = {
    **CONTRASTIVE,
    "queue_size": 32,
    "target_momentum": 0.9,
    "batchnorm_splits": 4,
    "drop_last": True,
}
OBJECTIVES = {
    "simclr": ("longtail.methods.clustering.simclr:SimCLR", CONTRASTIVE),
    "sdclr": ("longtail.methods.clustering.sdclr:SDCLR", {**CONTRASTIVE, "prune_ratio": 0.9}),
    "conmix": ("longtail.methods.clustering.conmix:ConMix", {**CONTRASTIVE, "tags": 5}),
    "moco": ("longtail.methods.clustering.moco:MoCo", MOCO),
    "byol": ("longtail.methods.clustering.byol:BYOL", BYOL),
    "miniclustering": ("longtail.methods.clustering.miniclustering:MiniClustering", MINICLUSTERING),
}


@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_training_is_the_same(desk, tools, monkeypatch, name, precision):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})  # so that mixed is bfloat16
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    parents = ["byol"] if name == "miniclustering" else []
    lineage = []
    for each in [*parents, name]:
        implementation, settings = OBJECTIVES[each]
        stretch = tools.stretch(each, start="transfer" if lineage else "fresh", last=2, clock=2, **settings)
        lineage.append({**stretch, "implementation": implementation})
    if parents:
        assert desk.train(tools.spec(*lineage[:-1], precision=precision), "parent") == 0
    spec = tools.spec(*lineage, precision=precision)
    parent = "parent" if parents else None
    blocks = [m for m in build(desk.read(spec)).modules() if hasattr(m, "downsample")]
    assert len(blocks) >= 3
    assert desk.train(spec, "kept", parent) == 0
    assert desk.train(spec, "again", parent, recompute_activations=1) == 0
    tools.assert_same_training(desk.checkpoint("kept"), desk.checkpoint("again"))
    pace = ["images_per_second", "seconds"]
    assert desk.history("kept").drop_columns(pace).equals(desk.history("again").drop_columns(pace))


def test_a_training_may_go_on_with_the_other_choice(desk, tools):
    implementation, settings = OBJECTIVES["sdclr"]

    def stretch(last):
        return {**tools.stretch("sdclr", last=last, clock=2, **settings), "implementation": implementation}

    assert desk.train(tools.spec(stretch(2)), "straight") == 0
    assert desk.train(tools.spec(stretch(1)), "half", recompute_activations=1) == 0
    assert desk.train(tools.spec(stretch(2)), "rest", "half") == 0
    tools.assert_same_training(desk.checkpoint("straight"), desk.checkpoint("rest"))
