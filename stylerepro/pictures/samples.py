"""Content pictures that come inside scikit-image, scikit-learn and matplotlib: no network, nothing copied here.

All eight files lie in those packages' own installed data, so they are there whenever the package is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image
from skimage import data


class Box(NamedTuple):
    """A rectangle in pixels, the far edges excluded: columns x0 to x1 - 1, rows y0 to y1 - 1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns), to index the last two axes of an (N, 3, H, W) tensor."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True)
class Sample:
    """A named picture of another package.

    name: that `images.read` knows it by. licence: under which its owner gives it. source: the package that holds it,
    and where that has it from. note: on what is to be seen. face: tight box around the face, in the original's pixels.
    """

    name: str
    loader: Callable[[], np.ndarray] = field(repr=False)
    licence: str
    source: str
    note: str
    face: Box | None = None

    def load(self) -> np.ndarray:
        """Return the picture as uint8 (H, W, 3), sRGB, a copy that may be written to."""
        return np.array(self.loader(), dtype=np.uint8)


def _grace_hopper() -> np.ndarray:
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        return np.asarray(picture.convert("RGB"))


def _scikit_learn(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image  # here, since it takes longer to import than all else in this file

    return load_sample_image(name)


_SAMPLES = (
    Sample(
        "astronaut", data.astronaut, "public domain (NASA)", "scikit-image; NASA Great Images, https://flic.kr/p/r9qvLn",
        "portrait of Eileen Collins, before a flag and a model of the Shuttle", Box(178, 66, 275, 188),
    ),
    Sample(
        "grace_hopper", _grace_hopper, "public domain (US Navy)",
        "matplotlib; official portrait of 20 January 1984 (James S. Davis, US Navy)",
        "portrait of Grace Hopper in uniform, with cap and glasses", Box(160, 132, 372, 336),
    ),
    Sample(
        "coffee", data.coffee, "CC0", "scikit-image; photograph by Rachel Michetti, Pikolo Espresso Bar",
        "cup of coffee on a table: ellipses, smooth porcelain, wood grain",
    ),
    Sample(
        "chelsea", data.chelsea, "CC0", "scikit-image; photograph by Stéfan van der Walt",
        "a cat's face from close by: fur, eyes",
    ),
    Sample(
        "rocket", data.rocket, "public domain (SpaceX)",
        "scikit-image; https://www.flickr.com/photos/spacexphotos/16511594820",
        "launch of a Falcon 9 with DSCOVR: large smooth areas, one bright plume",
    ),
    Sample(
        "motorcycle", lambda: data.stereo_motorcycle()[0],
        "given for research by its authors, to be cited (Scharstein et al., GCPR 2014)",
        "scikit-image; Middlebury stereo benchmark 2014, https://vision.middlebury.edu/stereo/data/scenes2014/",
        "motorcycle in a workshop (the left picture of the pair): many fine edges",
    ),
    Sample(
        "china", lambda: _scikit_learn("china.jpg"), "CC BY 2.0",
        "scikit-learn; photograph by danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/",
        "Summer Palace in Beijing: buildings, sky",
    ),
    Sample(
        "flower", lambda: _scikit_learn("flower.jpg"), "CC BY 2.0",
        "scikit-learn; photograph by vultilion, https://www.flickr.com/photos/vultilion/6056698931/",
        "a dahlia before a dark, blurred background",
    ),
)  # fmt: skip

CONTENTS: Mapping[str, Sample] = MappingProxyType({sample.name: sample for sample in _SAMPLES})
"""Every sample by its name."""
