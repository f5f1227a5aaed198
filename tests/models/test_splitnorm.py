from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from longtail.errors import LongtailError
from longtail.models.splitnorm import SplitBatchNorm1d, SplitBatchNorm2d, norm_of, unsplit


def with_weights(norm: nn.BatchNorm2d) -> nn.BatchNorm2d:
    torch.manual_seed(1)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm.double()


def test_each_group_is_normalised_apart_gradients_included():
    splits, batch = 3, 12
    split = with_weights(SplitBatchNorm2d(4, splits))
    plain = [with_weights(nn.BatchNorm2d(4)) for _ in range(splits)]
    images = torch.randn(batch, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    same = images.detach().clone().requires_grad_()
    pull = torch.randn(batch, 4, 5, 6, dtype=torch.float64)

    output = split(images)
    (output * pull).sum().backward()
    for group, norm in enumerate(plain):
        expected = norm(same[group::splits])
        torch.testing.assert_close(output[group::splits], expected)
        (expected * pull[group::splits]).sum().backward()
    torch.testing.assert_close(images.grad, same.grad)
    torch.testing.assert_close(split.weight.grad, sum(norm.weight.grad for norm in plain))
    torch.testing.assert_close(split.running_mean, sum(norm.running_mean for norm in plain) / splits)
    torch.testing.assert_close(split.running_var, sum(norm.running_var for norm in plain) / splits)
    assert split.num_batches_tracked == 1


def test_embeddings_are_normalised_in_groups_as_images_of_one_pixel():
    flat, deep = with_weights(SplitBatchNorm1d(4, 3)), with_weights(SplitBatchNorm2d(4, 3))
    x = torch.randn(12, 4, dtype=torch.float64)
    torch.testing.assert_close(flat(x), deep(x[:, :, None, None])[:, :, 0, 0])
    torch.testing.assert_close(flat.state_dict(), deep.state_dict())


def test_one_group_is_torch_s_own_layer():
    assert norm_of(1) is nn.BatchNorm2d
    assert (type(norm_of(4)(3)), norm_of(4)(3).splits) == (SplitBatchNorm2d, 4)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_the_memory_format_does_not_matter(memory_format):
    norm = with_weights(SplitBatchNorm2d(4, 2))
    images = torch.randn(6, 4, 3, 3, dtype=torch.float64)
    torch.testing.assert_close(norm(images.to(memory_format=memory_format)), copy.deepcopy(norm)(images))


def test_one_group_and_eval_mode_are_plain_batch_normalisation():
    plain = with_weights(nn.BatchNorm2d(4))
    images = torch.randn(7, 4, 3, 3, dtype=torch.float64)
    one = with_weights(SplitBatchNorm2d(4, 1))
    torch.testing.assert_close(one(images), plain(images))
    split = SplitBatchNorm2d(4, 2).double()
    split.load_state_dict(plain.state_dict())
    torch.testing.assert_close(split.eval()(images), plain.eval()(images))


def test_groups_of_different_sizes_are_refused():
    with pytest.raises(LongtailError, match="7 images cannot be normalised in 2 groups"):
        SplitBatchNorm2d(4, 2)(torch.randn(7, 4, 3, 3))


def test_unsplit_is_a_copy_that_takes_any_batch():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), SplitBatchNorm2d(4, 2))
    whole = unsplit(network)
    assert whole(torch.randn(7, 3, 4, 4)).shape == (7, 4, 4, 4)
    assert network[1].splits == 2
    assert network[1].num_batches_tracked == 0
    assert network.state_dict().keys() == whole.state_dict().keys()
