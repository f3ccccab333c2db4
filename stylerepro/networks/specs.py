"""The loss networks, without loading them: topology, weights file, scale of its features.

Kept free of torch, so that planning a run or printing help costs nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from stylerepro.errors import NetworkError, unknown

DEFAULT_NETWORK = "compact"

IMAGENET_MEAN = (0.485 * 255, 0.456 * 255, 0.406 * 255)
IMAGENET_DEVIATION = (0.229 * 255, 0.224 * 255, 0.225 * 255)
"""Of ImageNet's pixels on 0 … 255, by channel, as torchvision states them."""
CAFFE_MEAN = (123.68, 116.779, 103.939)
"""The mean that Simonyan and Zisserman's own weights were trained with; they divide by nothing."""

_VGG_WIDTHS = (64, 128, 256, 512, 512)
_WEIGHTS = Path(__file__).parent / "weights"
_MOST_IN_A_BLOCK = 4  # convolutions, in the deepest of these networks


@dataclass(frozen=True)
class NetworkSpec:
    """A VGG-shaped loss network.

    depths: convolutions in each block, the last block cut where the weights end.
    widths: channels in each block.
    asset: name of the weights in `stylerepro.pictures.assets.REGISTRY`; None where they come with the package or are
        random.
    keys: how the weights file names a convolution: "torchvision" (`features.0`), "distilled" (`conv11`), "layers"
    (`conv1_1`, safetensors), or "random" for seeded random weights without a file.
    padding: "zeros" or "reflect".
    scale: in words, how large the features are.
    packaged: file name of the weights in `networks/weights/`, for a network that comes with the package.
    mirrored: name of an asset with the same weights in a smaller file, taken where a mirror has it.
    mean, deviation: of the input on 0 … 255, by channel: the network takes (255·RGB − mean) / deviation.
    trunk: channels of the convolutions themselves in each block, where they are fewer than the features' `widths`.
        Then `head4_2`, a 1×1 convolution, makes conv4_2 of the trunk's rectified features at that place, and
        `head1_1`, 3×3, makes conv1_1 of the picture.
    """

    name: str
    depths: tuple[int, ...]
    widths: tuple[int, ...]
    asset: str | None
    keys: str
    padding: str
    scale: str
    source: str
    packaged: str | None = None
    mirrored: str | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    deviation: tuple[float, float, float] = IMAGENET_DEVIATION
    trunk: tuple[int, ...] | None = None

    @property
    def file(self) -> Path | None:
        """The weights file that comes with the package; None for a network that has none."""
        return _WEIGHTS / self.packaged if self.packaged else None

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
        "compact", (2, 2, 4, 4, 1), (14, 36, 72, 144, 144), None, "layers", "reflect",
        "ImageNet mean and standard deviation at the input; each rectified layer has unit mean square over photographs",
        "the project's own: VGG-19's topology up to conv5_1, learned from vgg19-16x layer by layer; see its model card",
        packaged="compact.safetensors",
    ),
    NetworkSpec(
        "compact-vgg16", (2, 2, 3, 3, 3), _VGG_WIDTHS, None, "layers", "zeros",
        "vgg16-caffe's own: input 0 … 255, activations in the hundreds",
        "the project's own: VGG-16's topology up to conv5_3, learned from vgg16-caffe; see its model card",
        packaged="compact_vgg16.safetensors", mean=CAFFE_MEAN, deviation=(1.0, 1.0, 1.0),
        trunk=(24, 64, 120, 184, 200),
    ),
    NetworkSpec(
        "vgg16-caffe", (2, 2, 3, 3, 3), _VGG_WIDTHS, "vgg16_caffe", "torchvision", "zeros",
        "input 0 … 255, activations in the hundreds: mean squares 35², 254², 443², 369², 88² at relu1_1, …, relu5_1",
        "Simonyan and Zisserman 2014, their own weights; torchvision's IMAGENET1K_FEATURES",
        mirrored="vgg16_features", mean=CAFFE_MEAN, deviation=(1.0, 1.0, 1.0),
    ),
    NetworkSpec(
        "vgg16", (2, 2, 3, 3, 3), _VGG_WIDTHS, "vgg16", "torchvision", "zeros",
        "ImageNet mean and standard deviation at the input; activations grow from about 1 to about 10 with depth",
        "Simonyan and Zisserman 2014; weights of torchvision (IMAGENET1K_V1)",
    ),
    NetworkSpec(
        "vgg19", (2, 2, 4, 4, 4), _VGG_WIDTHS, "vgg19", "torchvision", "zeros",
        "ImageNet mean and standard deviation at the input; activations grow from about 1 to about 10 with depth",
        "Simonyan and Zisserman 2014; weights of torchvision (IMAGENET1K_V1)",
    ),
    NetworkSpec(
        "tiny", (2, 2, 2), (8, 8, 8), None, "random", "zeros",
        "seeded random weights: for tests of mechanics only, its pictures mean nothing",
        "none",
    ),
)  # fmt: skip

NETWORKS: Mapping[str, NetworkSpec] = MappingProxyType({spec.name: spec for spec in _SPECS})


def resolve(name: str) -> str:
    """Return the network's own name; "default" becomes `DEFAULT_NETWORK`. Unknown names are a `NetworkError`."""
    if name == "default":
        return DEFAULT_NETWORK
    if name not in NETWORKS:
        raise NetworkError(unknown(name, [*NETWORKS, "default"], "loss network", "The project"))
    return name


def weights_name(name: str) -> str | None:
    """Return the weights' name for a run's record: the asset, or the packaged file's name; None for neither."""
    spec = NETWORKS[resolve(name)]
    return spec.asset or spec.packaged


def substitutes(name: str, layers: Sequence[str]) -> dict[str, str]:
    """Return for each asked-for layer the one of network `name` that stands for it: itself, where the network has it.

    A network that ends early (compact at conv5_1) lends the deepest layer of the block for those
    below it: conv5_3 becomes conv5_1, and every table that rests on it must say so. Raises `NetworkError` for a
    layer whose block the network does not reach, and for what is no layer's name.
    """
    spec = NETWORKS[resolve(name)]
    lent: dict[str, str] = {}
    for layer in layers:
        kind, _, number = layer.partition("_")
        deepest = [known for known in spec.layers if number.isdigit() and known.startswith(f"{kind}_")]
        if layer not in spec.layers and not (deepest and 1 <= int(number) <= _MOST_IN_A_BLOCK):
            raise NetworkError(
                f"{spec.name} has nothing that could stand for layer {layer!r}: it goes from {spec.layers[0]} to "
                f"{spec.layers[-1]}. Ask for a layer of blocks 1 to {len(spec.depths)}, such as conv3_3."
            )
        lent[layer] = layer if layer in spec.layers else deepest[-1]
    return lent
