"""Centroids as a classifier."""

from __future__ import annotations

import torch

from longtail.models.centroids import Centroids


def test_logits_are_products_of_unit_embeddings_with_centroids_of_any_length():
    centroids = Centroids(3, 2, temperature=0.5).double()
    z = torch.tensor([[3.0, 4.0], [0.0, 0.0]], dtype=torch.float64)
    assert not centroids(z).any()  # nothing was seen yet
    centroids.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, -1.0]]))
    torch.testing.assert_close(centroids(z)[0], torch.tensor([1.2, 3.2, -2.8], dtype=torch.float64))
    assert not centroids(z)[1].any()


def test_they_are_stored_like_a_classifier_without_bias():
    centroids = Centroids(3, 2, temperature=0.5)
    assert list(centroids.state_dict()) == ["weight"]
    assert list(centroids.parameters()) == []
    assert centroids.bias is None
