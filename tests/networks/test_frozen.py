"""Convolution by frozen weights: the same numbers, the same gradient, less kept."""

import pytest
import torch
from torch import nn

from stylerepro.networks.loss_network import convolve


def layer(padding, frozen=True):
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3, padding=1, padding_mode=padding, dtype=torch.float64)
    return convolution.requires_grad_(not frozen)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_features_and_gradient_are_the_convolutions_own(padding, memory_format):
    convolution = layer(padding).to(memory_format=memory_format)
    pictures = torch.rand(2, 3, 7, 9, dtype=torch.float64).to(memory_format=memory_format)
    one, other = (pictures.clone().requires_grad_() for _ in range(2))
    found, wanted = convolve(convolution, one), convolution(other)
    torch.testing.assert_close(found, wanted)
    weights = torch.rand(wanted.shape, dtype=torch.float64)
    (found * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(one.grad, other.grad)
    assert torch.autograd.gradcheck(lambda x: convolve(convolution, x), pictures.requires_grad_())


def kept(function, picture):
    """Sizes of the tensors that autograd keeps for the way back."""
    sizes = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: (sizes.append(x.shape), x)[1], lambda x: x):
        function(picture)
    return sizes


def test_only_the_weights_are_kept():
    convolution = layer("reflect")
    picture = torch.rand(1, 3, 20, 20, dtype=torch.float64, requires_grad=True)
    own = kept(lambda x: convolve(convolution, x), picture)
    assert torch.Size([1, 3, 22, 22]) in kept(convolution, picture)  # what torch keeps: the padded copy
    assert torch.Size([1, 3, 22, 22]) not in own
    assert convolution.weight.shape in own


def test_weights_that_learn_get_their_gradient():
    convolution = layer("reflect", frozen=False)
    convolve(convolution, torch.rand(1, 3, 5, 5, dtype=torch.float64)).sum().backward()
    assert convolution.weight.grad.abs().sum() > 0


def test_second_derivatives_are_refused_not_wrong():
    picture = torch.rand(1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(convolve(layer("zeros"), picture).square().sum(), picture, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
