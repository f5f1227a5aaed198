"""Methods on texts: the objectives are those for images, on a pre-trained encoder."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from longtail.clusterers.kmeans import spherical_kmeans
from longtail.errors import LongtailError
from longtail.methods.base import Batch, Context, Objective
from longtail.methods.clustering.conmix import ConMix
from longtail.methods.clustering.miniclustering import MiniClustering
from longtail.methods.clustering.text import Pretrained, TextMiniClustering
from longtail.methods.losses.nt_xent import nt_xent
from tests.methods.pieces import MINI_CLUSTERS as M
from tests.methods.pieces import MINICLUSTERING

K, ROWS, WORDS, LENGTH = 3, 12, 20, 6
SETTINGS = MINICLUSTERING


class Encoder(nn.Module):
    """The mean of word vectors, "pre-trained": every one that is made has the same weights."""

    width = 4

    def __init__(self, norm=None):
        super().__init__()
        self.vectors = nn.Embedding.from_pretrained(
            torch.randn(WORDS, self.width, generator=torch.Generator().manual_seed(7)), freeze=False
        )

    def forward(self, tokens):
        return self.vectors(tokens).mean(1)


CONTEXT = Context(Encoder, classes=K, rows=ROWS)


def tokens(seed):
    return torch.randint(WORDS, (ROWS, LENGTH), generator=torch.Generator().manual_seed(seed))


class Texts:
    def encode(self, encoder, order=None):
        return encoder(tokens(0)).detach()


def batch():
    return Batch((tokens(1), tokens(2)), torch.arange(ROWS), torch.Generator().manual_seed(0))


def test_miniclustering_starts_from_the_encoder_as_it_comes():
    objective = TextMiniClustering(SETTINGS, CONTEXT)
    objective.prepare(Texts())
    embeddings = Encoder()(tokens(0)).detach()
    for head, clusters in ((objective.target_head, K), (objective.mini_head, M)):
        centres = spherical_kmeans(embeddings, clusters, seed=0).centres
        torch.testing.assert_close(head.weight.detach(), nn.functional.normalize(centres, dim=1))
    embedding, logits = objective.encoder("target_head")(tokens(0))
    torch.testing.assert_close(embedding, embeddings)
    assert logits.shape == (ROWS, K)


def test_its_loss_is_that_on_images_and_trains_the_encoder():
    objective = TextMiniClustering(SETTINGS, CONTEXT)
    objective.prepare(Texts())
    same = MiniClustering(SETTINGS, CONTEXT, Pretrained(Objective.Settings(), CONTEXT))
    same.load_state_dict(copy.deepcopy(objective.state_dict()))
    found, wanted = objective.loss(batch()), same.loss(batch())
    assert found.keys() == wanted.keys()
    for name in found:
        torch.testing.assert_close(found[name], wanted[name])
    found["loss"].backward()
    assert float(objective.embedder.vectors.weight.grad.abs().sum()) > 0


def test_the_backbone_as_it_comes_has_one_kind_of_features():
    with pytest.raises(LongtailError, match="feature of a pre-trained backbone"):
        Pretrained(Objective.Settings(), CONTEXT).encoder("projection")


def test_conmix_mixes_representations_of_texts():
    """The mean over the texts of a tag, by loops; an encoder has no convolutions, so nothing is pruned."""
    torch.manual_seed(0)
    objective = ConMix(ConMix.Settings(temperature=0.2, projection_width=3, tags=4), CONTEXT)
    assert list(objective.network.mask.buffers()) == []
    drawn = torch.randint(4, (ROWS,), generator=torch.Generator().manual_seed(0))
    means = []
    for view in batch().views:
        unit = nn.functional.normalize(objective.network(view), dim=1)
        means.append(torch.stack([unit[drawn == tag].mean(0) for tag in range(4) if (drawn == tag).any()]))
    torch.testing.assert_close(objective.loss(batch())["loss"], nt_xent(*means, 0.2))
