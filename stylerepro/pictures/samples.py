"""Content pictures that come inside scikit-image, scikit-learn and matplotlib: no network, nothing copied here.

All eight files lie in those packages' own installed data, so they are there whenever the package is.
"""

from collections.abc import Callable, Mapping
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


def _matplotlib(name: str) -> np.ndarray:
    with Image.open(get_sample_data(name, asfileobj=False)) as picture:
        return np.asarray(picture.convert("RGB"))


def _scikit_learn(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image  # here, since it takes longer to import than all else in this file

    return load_sample_image(name)


CONTENTS: Mapping[str, Callable[[], np.ndarray]] = MappingProxyType(
    {
        # Portrait of Eileen Collins before a flag and a model of the Shuttle. Public domain (NASA Great Images,
        # https://flic.kr/p/r9qvLn).
        "astronaut": data.astronaut,
        # Portrait of Grace Hopper in uniform, with cap and glasses. Public domain (official portrait of 20 January
        # 1984, James S. Davis, US Navy).
        "grace_hopper": lambda: _matplotlib("grace_hopper.jpg"),
        # A cup on a table: ellipses, smooth porcelain, wood grain. CC0 (Rachel Michetti, Pikolo Espresso Bar).
        "coffee": data.coffee,
        # A cat's face from close by: fur, eyes. CC0 (Stéfan van der Walt).
        "chelsea": data.chelsea,
        # Launch of a Falcon 9 with DSCOVR: large smooth areas, one bright plume. Public domain (SpaceX,
        # https://www.flickr.com/photos/spacexphotos/16511594820).
        "rocket": data.rocket,
        # A motorcycle in a workshop, the left picture of a pair: many fine edges. Given for research, to be cited
        # (Scharstein et al., GCPR 2014; https://vision.middlebury.edu/stereo/data/scenes2014/).
        "motorcycle": lambda: data.stereo_motorcycle()[0],
        # Summer Palace in Beijing: buildings, sky. CC BY 2.0 (danielbuechele,
        # https://www.flickr.com/photos/danielbuechele/6061409035/).
        "china": lambda: _scikit_learn("china.jpg"),
        # A dahlia before a dark, blurred background. CC BY 2.0 (vultilion,
        # https://www.flickr.com/photos/vultilion/6056698931/).
        "flower": lambda: _scikit_learn("flower.jpg"),
    }
)
"""Every sample by its name: what loads it as uint8 (H, W, 3), sRGB."""

FACES: Mapping[str, Box] = MappingProxyType(
    {"astronaut": Box(178, 66, 275, 188), "grace_hopper": Box(160, 132, 372, 336)}
)
"""Tight boxes around the faces of the samples that show one, in the original's pixels."""
