"""What each loss network is, without loading it: topology, weights file, scale of its features.

Kept free of torch, so that planning a run or printing help costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType

from stylerepro.errors import NetworkError

DEFAULT_NETWORK = "vgg19-16x"

_VGG16_DEPTHS = (2, 2, 3, 3, 3)
_VGG19_DEPTHS = (2, 2, 4, 4, 4)
_VGG_WIDTHS = (64, 128, 256, 512, 512)


@dataclass(frozen=True)
class NetworkSpec:
    """A VGG-shaped loss network.

    depths: convolutions in each block, the last block cut where the weights end.
    widths: channels in each block.
    asset: name of the weights in `stylerepro.assets.REGISTRY`; None for seeded random weights.
    keys: how the weights file names a convolution: "torchvision" (`features.0`), "distilled" (`conv11`) or "random".
    padding: "zeros" or "reflect".
    scale: in words, how large the features are.
    """

    name: str
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    asset: str | None
    keys: str
    padding: str
    scale: str
    source: str

    @property
    def layers(self) -> tuple[str, ...]:
        """All layer names, from the shallowest to the deepest: conv1_1, relu1_1, conv1_2, … pool1, conv2_1, …"""
        names: list[str] = []
        for block, depth in enumerate(self.depths, start=1):
            for index in range(1, depth + 1):
                names += [f"conv{block}_{index}", f"relu{block}_{index}"]
            if block < len(self.depths):
                names.append(f"pool{block}")
        return tuple(names)


_SPECS = (
    NetworkSpec(
        "vgg16", _VGG16_DEPTHS, _VGG_WIDTHS, "vgg16", "torchvision", "zeros",
        "ImageNet mean and standard deviation at the input; activations grow from about 1 to about 10 with depth",
        "Simonyan and Zisserman 2014; weights of torchvision (IMAGENET1K_V1)",
    ),
    NetworkSpec(
        "vgg19", _VGG19_DEPTHS, _VGG_WIDTHS, "vgg19", "torchvision", "zeros",
        "ImageNet mean and standard deviation at the input; activations grow from about 1 to about 10 with depth",
        "Simonyan and Zisserman 2014; weights of torchvision (IMAGENET1K_V1)",
    ),
    NetworkSpec(
        "vgg19-16x", (2, 2, 4, 4, 1), (16, 32, 64, 128, 128), "vgg19_16x", "distilled", "reflect",
        "Caffe's BGR·255 − mean at the input; mean squares over photographs fall from hundreds in the first two blocks "
        "to below ten in the fourth and fifth",
        "Wang et al. 2020 (arXiv:2003.08436): VGG-19 with a quarter of the channels, distilled up to conv5_1",
    ),
    NetworkSpec(
        "tiny", (2, 2, 2), (8, 8, 8), None, "random", "zeros",
        "seeded random weights: for tests of mechanics only, its pictures mean nothing",
        "none",
    ),
)  # fmt: skip

NETWORKS: Mapping[str, NetworkSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


def resolve(name: str) -> str:
    """The network's own name; "default" becomes `DEFAULT_NETWORK`. Unknown names are a `NetworkError`."""
    if name == "default":
        return DEFAULT_NETWORK
    if name in NETWORKS:
        return name
    near = get_close_matches(name, NETWORKS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise NetworkError(f"There is no loss network {name!r}.{hint} Known: {', '.join(NETWORKS)}, or 'default'.")


def weights_asset(name: str) -> str | None:
    """The asset that holds the network's weights; None where it has none."""
    return NETWORKS[resolve(name)].asset
