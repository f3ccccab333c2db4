"""A trained network made ready for inference: the same pictures, faster.

ready = fast(network, winograd=True)
stylised = ready(images.read("coffee", 512))
"""

import copy
import warnings
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stylerepro.errors import NetworkError
from stylerepro.networks.feed_forward import StyleNetwork


def has_winograd() -> bool:
    """Return true where this build of PyTorch and this processor have NNPACK, whose convolutions are meant."""
    return hasattr(torch, "_nnpack_spatial_convolution") and bool(torch.backends.nnpack.is_available())


class Winograd(nn.Module):
    """A convolution of stride 1 by NNPACK, for one picture on the CPU: fewer multiplications, by transforms.

    Of 3×3 kernels Winograd's, of 9×9 ones Fourier's (Lavin and Gray 2016). PyTorch has them, but takes them for 16
    pictures and more alone; for large pictures they are two to three times as fast as its usual ones here. Float32;
    the result differs from the usual one by rounding.
    """

    def __init__(self, like: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = like.weight, like.bias
        self._border = [like.kernel_size[0] // 2] * 4
        self._mode = "reflect" if like.padding_mode == "reflect" else "constant"

    @classmethod
    def fits(cls, module: nn.Module) -> bool:
        """Return true for a module that is such a convolution."""
        if not isinstance(module, nn.Conv2d):
            return False
        side = module.kernel_size[0]
        usual = module.stride == (1, 1) and module.dilation == (1, 1) and module.groups == 1
        return usual and side > 1 and module.kernel_size == (side, side) and module.padding == (side // 2, side // 2)

    def forward(self, x: Tensor) -> Tensor:
        padded = functional.pad(x, self._border, self._mode).contiguous()
        return torch._nnpack_spatial_convolution(padded, self.weight, self.bias, (0, 0), (1, 1))


class Fast:
    """A network ready for inference alone: called with pictures (N, 3, H, W) in [0, 1], it gives the same as float32.

    path: which of the ways to be fast are in force, in words, for tables; it changes when compiling turns out not to
    work. See `fast`.
    """

    def __init__(self, network: StyleNetwork, dtype: torch.dtype, winograd: bool, compiled: bool) -> None:
        self.network, self.dtype = network, dtype
        self.path = f"channels-last, {str(dtype).removeprefix('torch.')}" + ", Winograd" * winograd
        self.path += ", compiled" * compiled
        self._compiled: Callable[[Tensor], Tensor] | None = torch.compile(network) if compiled else None

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> Tensor:
        x = pictures.to(self.dtype, memory_format=torch.channels_last)
        if self._compiled is not None:
            try:
                return self._compiled(x).float()
            except NetworkError:
                raise
            except Exception as error:  # a missing or broken compiler shows in many ways, and at the first call only
                self._compiled = None
                self.path = self.path.replace(", compiled", ", not compiled")
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                warnings.warn(
                    f"The network could not be compiled ({reason}); it goes on without. Compiling for the CPU needs a "
                    "C++ compiler such as g++.",
                    RuntimeWarning,
                    stacklevel=3,
                )
        return self.network(x).float()


def fast(network: StyleNetwork, *, bfloat16: bool = False, winograd: bool = False, compiled: bool = False) -> Fast:
    """Return a copy of `network` for inference: channels-last, batch norms folded into the convolutions before them.

    bfloat16: half the bytes to move and, on processors that have instructions for it, faster arithmetic; on others it
    is slower. winograd: convolutions of stride 1 by NNPACK, on the CPU and in float32; see `Winograd`. compiled: by
    `torch.compile`, which takes its time at the first picture of a size. Where there is no compiler or no NNPACK, a
    `RuntimeWarning` says so and the network runs without.
    `network` stays as it is; the copy is on its device, in eval mode. Raises `NetworkError` for `winograd` together
    with `bfloat16`, and for a network that is not on the CPU.
    """
    if winograd and (bfloat16 or next(network.parameters()).device.type != "cpu"):
        raise NetworkError("Winograd's convolutions compute float32 on the CPU alone. Leave out one of the two.")
    if winograd and not has_winograd():
        winograd = False
        warnings.warn("This build of PyTorch has no NNPACK; the network goes on without it.", RuntimeWarning, 2)
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    groups = [module for module in ready.modules() if isinstance(module, nn.Sequential)]
    for group in groups:
        for place, (before, norm) in enumerate(pairwise(list(group))):
            if isinstance(before, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
                group[place] = fuse_conv_bn_eval(before, norm, transpose=isinstance(before, nn.ConvTranspose2d))
                group[place + 1] = nn.Identity()
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    ready.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if winograd:
        for group in groups:
            for place, step in enumerate(group):
                if Winograd.fits(step):
                    group[place] = Winograd(step).to(memory_format=torch.contiguous_format)  # type: ignore[arg-type]
    return Fast(ready, dtype, winograd, compiled)
