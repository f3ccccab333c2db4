"""Convolution by frozen weights, which keeps nothing but them for the way back."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def convolve(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """What `convolution(x)` gives, with less memory where its weights are frozen.

    The gradient with respect to the input needs the weights and not the input, yet `torch.conv2d` keeps both; with
    reflection padding the input is a padded copy that nothing else needs. Only first derivatives exist. Weights that
    ask for a gradient go through the convolution's own path.
    """
    if convolution.weight.requires_grad:
        return convolution(x)
    padding = convolution.padding[0]
    if convolution.padding_mode == "reflect":
        x, padding = functional.pad(x, (int(padding),) * 4, "reflect"), 0
    return _Frozen.apply(x, convolution.weight, convolution.bias, padding)


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, padding: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.padding = x.shape, padding
        return functional.conv2d(x, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,) = ctx.saved_tensors
        # The derivative asks the input for its shape alone.
        shape = gradient.new_empty(1).expand(ctx.shape)
        found, _, _ = torch.ops.aten.convolution_backward(
            gradient, shape, weight, None, (1, 1), (ctx.padding,) * 2, (1, 1), False, (0, 0), 1, (True, False, False)
        )
        return found, None, None, None
