"""A trained network made ready for inference: the same pictures, faster.

    ready = fast(network, winograd=True)
    stylised = ready(images.read("coffee", 512))
"""

import copy
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from stylerepro.errors import NetworkError
from stylerepro.transformers import Transformer


class Fast:
    """A network ready for inference alone: called with pictures (N, 3, H, W) in [0, 1], it gives the same as float32.

    path: which of the ways to be fast are in force, in words, for tables; it changes when compiling turns out not to
    work. See `fast`.
    """

    def __init__(self, network: Transformer, dtype: torch.dtype, compiled: bool) -> None:
        self.network, self.dtype = network, dtype
        self.path = f"channels-last, {str(dtype).removeprefix('torch.')}"
        self._compiled: Callable[[Tensor], Tensor] | None = None
        if compiled:
            self._compiled = torch.compile(network)
            self.path += ", compiled"

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


def fast(network: Transformer, *, bfloat16: bool = False, compiled: bool = False) -> Fast:
    """A copy of `network` for inference: channels-last, batch norms folded into the convolutions before them.

    bfloat16: half the bytes to move and, on processors that have instructions for it, faster arithmetic; on others it
    is slower. compiled: by `torch.compile`, which takes its time at the first picture of a size; where there is no
    compiler, a `RuntimeWarning` says so and the network runs without.
    `network` stays as it is; the copy is on its device, in eval mode.
    """
    ready = copy.deepcopy(network).eval().requires_grad_(False)
    for group in [one for one in ready.modules() if isinstance(one, nn.Sequential)]:
        _fold_batch_norms(group)
    dtype = torch.bfloat16 if bfloat16 else torch.float32
    ready.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Fast(ready, dtype, compiled)


def _fold_batch_norms(group: nn.Sequential) -> None:
    steps = list(group)
    for place in range(len(steps) - 1):
        before, norm = steps[place], steps[place + 1]
        if isinstance(before, nn.Conv2d | nn.ConvTranspose2d) and isinstance(norm, nn.BatchNorm2d):
            group[place] = fuse_conv_bn_eval(before, norm, transpose=isinstance(before, nn.ConvTranspose2d))
            group[place + 1] = nn.Identity()
