"""The assets: pictures, weights and photographs that are fetched, never committed. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

_FAST = "https://raw.githubusercontent.com/jcjohnson/fast-neural-style/813c83441953ead2adb3f65f4cc2d5599d735fa7/"
_NEURAL = "https://raw.githubusercontent.com/jcjohnson/neural-style/07c4b8299f8fbdafec0c514fc820ff1d7ff62e46/"
_DISTILLED = (
    "https://raw.githubusercontent.com/MingSun-Tse/Collaborative-Distillation/"
    "4a269dc90020721ef9b279b2926c62f5bcd6d209/trained_models/wct_se_16x_new/20191109-211322_E20.pth"
)
_AUTHORS = "the repository's authors'; research use"


@dataclass(frozen=True)
class Asset:
    """A file that is fetched, never committed.

    Attributes:
        name: what `fetch` and `images.read` know it by.
        kind: an "archive" is unpacked after download, and `fetch` gives the folder.
        path: where it lies in a mirror and in the cache, relative.
        url: its public address.
        sha256: of the file, 64 hex digits, or None where nobody states it.
        bytes: the file's size.
        licence: under which its owner gives it.
        source: where it was published.
        attribution: whom to name.
        sha256_prefix: the leading digits, where only these are stated (torchvision puts them into the file's name).
    """

    name: str
    kind: Literal["content", "style", "weights", "photos", "archive"]
    path: str
    url: str
    sha256: str | None
    bytes: int | None
    licence: str
    source: str
    attribution: str
    sha256_prefix: str | None = None


_ASSETS = (
    Asset(
        "chicago",
        "content",
        "content/chicago.jpg",
        _FAST + "images/content/chicago.jpg",
        "a1e8bf5a5ffec464ee1bb4c1dd6662e5b83a905a64ae10755e5801c3343cebe9",
        219_977,
        _AUTHORS,
        "jcjohnson/fast-neural-style",
        "Justin Johnson; the content image of document 004",
    ),
    Asset(
        "hoovertowernight",
        "content",
        "content/hoovertowernight.jpg",
        _FAST + "images/content/hoovertowernight.jpg",
        "8852910ed1594af535c3dee012b020b9ee4045798645885d20a9445d12e98093",
        216_598,
        _AUTHORS,
        "jcjohnson/fast-neural-style",
        "Justin Johnson",
    ),
    Asset(
        "tubingen",
        "content",
        "content/tubingen.jpg",
        _NEURAL + "examples/inputs/tubingen.jpg",
        "e67d1869f01fd805385c681a80d9ebcf0f70ea4a5fe6127f0606bb1c7f4bf506",
        406_531,
        "CC BY 3.0",
        "jcjohnson/neural-style",
        "Andreas Praefcke; the content image of Gatys et al. 2016",
    ),
    Asset(
        "golden_gate",
        "content",
        "content/golden_gate.jpg",
        _NEURAL + "examples/inputs/golden_gate.jpg",
        "f8476ac216e0d409af2e52bf82ad2cdc3433e23d7895e6f9b2048fc014ed57ba",
        102_100,
        _AUTHORS,
        "jcjohnson/neural-style",
        "Justin Johnson",
    ),
    Asset(
        "starry_night",
        "style",
        "style/starry_night.jpg",
        _FAST + "images/styles/starry_night.jpg",
        "0592ab0f7b51b3ce72608a95e53880bd93971e5b48f93a0ce8dfd3cbccf3d098",
        315_236,
        "public domain",
        "jcjohnson/fast-neural-style",
        "Vincent van Gogh, The Starry Night, 1889",
    ),
    Asset(
        "udnie",
        "style",
        "style/udnie.jpg",
        _FAST + "images/styles/udnie.jpg",
        "c3d3d4b9e325b485820d1a91df3bad591c2bab86919412e9f1b424e862cf204a",
        465_199,
        "public domain",
        "jcjohnson/fast-neural-style",
        "Francis Picabia, Udnie (Young American Girl, The Dance), 1913",
    ),
    Asset(
        "the_scream",
        "style",
        "style/the_scream.jpg",
        _FAST + "images/styles/the_scream.jpg",
        "f3075cddeb974a9ee1d6418f7f33fd05185a7ac7dcb4288bd2805d499a9dcaee",
        216_723,
        "public domain",
        "jcjohnson/fast-neural-style",
        "Edvard Munch, The Scream, 1893",
    ),
    Asset(
        "wave",
        "style",
        "style/wave.jpg",
        _FAST + "images/styles/wave.jpg",
        "14bcf58a39b7095168f27756d76d0c615bb8954acc5eae9e62c66a9684c2ee2b",
        148_634,
        "public domain",
        "jcjohnson/fast-neural-style",
        "Hokusai, The Great Wave off Kanagawa, about 1831",
    ),
    Asset(
        "composition_vii",
        "style",
        "style/composition_vii.jpg",
        _FAST + "images/styles/composition_vii.jpg",
        "8f992ed4aecd6dd56972d7bc8166761de7c94e670ee6effa8fd05f3daeb33409",
        202_426,
        "public domain",
        "jcjohnson/fast-neural-style",
        "Wassily Kandinsky, Composition VII, 1913",
    ),
    Asset(
        "shipwreck",
        "style",
        "style/shipwreck.jpg",
        _NEURAL + "examples/inputs/shipwreck.jpg",
        "4f7cf34e3cd4a5daaf3f421f059ca9a01aaa2a3afd7243d6670c9c8bc001a213",
        144_730,
        "public domain",
        "jcjohnson/neural-style",
        "J. M. W. Turner, The Shipwreck of the Minotaur, about 1810",
    ),
    Asset(
        "vgg19_16x",
        "weights",
        "weights/vgg19_16x_conv5_1.pth",
        _DISTILLED,
        "9417c34d0d8d621bc6af78be745f1b8d30f5f210efa01e50655c60eb3770816b",
        3_862_288,
        "MIT",
        "MingSun-Tse/Collaborative-Distillation",
        "Wang et al., Collaborative Distillation, CVPR 2020, arXiv:2003.08436",
    ),
    Asset(
        "vgg16",
        "weights",
        "weights/vgg16-397923af.pth",
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        None,
        553_433_881,
        "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research",
        "torchvision, VGG16_Weights.IMAGENET1K_V1",
        "Simonyan and Zisserman, arXiv:1409.1556; trained by the torchvision authors",
        sha256_prefix="397923af",
    ),
    Asset(
        "vgg19",
        "weights",
        "weights/vgg19-dcbb9e9d.pth",
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        None,
        574_673_361,
        "BSD-3-Clause (torchvision); trained on ImageNet, whose terms are for research",
        "torchvision, VGG19_Weights.IMAGENET1K_V1",
        "Simonyan and Zisserman, arXiv:1409.1556; trained by the torchvision authors",
        sha256_prefix="dcbb9e9d",
    ),
    Asset(
        "coco_train2014",
        "archive",
        "coco/train2014.zip",
        "http://images.cocodataset.org/zips/train2014.zip",
        None,
        13_510_573_713,
        "annotations CC BY 4.0; pictures under the Flickr terms of their owners",
        "COCO consortium, https://cocodataset.org",
        "Lin et al., Microsoft COCO, ECCV 2014, arXiv:1405.0312",
    ),
)

REGISTRY: Mapping[str, Asset] = MappingProxyType({asset.name: asset for asset in _ASSETS})
"""Every asset by its name."""
