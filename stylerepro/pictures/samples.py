"""Content pictures that come inside scikit-image, scikit-learn and matplotlib: no network, nothing copied here.

All eight files lie in those packages' own installed data, so they are there whenever the package is.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from matplotlib.cbook import get_sample_data
from PIL import Image
from skimage import data

from stylerepro.errors import ImageError
from stylerepro.pictures.geometry import Box, Side, Size, crop_origin, target_shape


@dataclass(frozen=True)
class Sample:
    """A named picture of another package.

    Attributes:
        name: the name that `images.read` knows.
        face: tight box around the face, in pixels of the original, or None.
        licence: under which licence its owner gives it.
        source: the package that holds it, and where that has it from.
        note: what is to be seen.
    """

    name: str
    loader: Callable[[], np.ndarray] = field(repr=False)
    licence: str
    source: str
    note: str
    face: Box | None = None

    def load(self) -> np.ndarray:
        """The picture as uint8 (H, W, 3), sRGB, a copy that may be written to."""
        return np.array(self.loader(), dtype=np.uint8)


def _grace_hopper() -> np.ndarray:
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        return np.asarray(picture.convert("RGB"))


def _scikit_learn(name: str) -> np.ndarray:
    from sklearn.datasets import load_sample_image  # here, since it takes longer to import than all else in this file

    return load_sample_image(name)


_SAMPLES = (
    Sample(
        "astronaut",
        data.astronaut,
        licence="public domain (NASA)",
        source="scikit-image; NASA Great Images, https://flic.kr/p/r9qvLn",
        note="portrait of Eileen Collins, before a flag and a model of the Shuttle",
        face=Box(178, 66, 275, 188),
    ),
    Sample(
        "grace_hopper",
        _grace_hopper,
        licence="public domain (US Navy)",
        source="matplotlib; official portrait of 20 January 1984 (James S. Davis, US Navy)",
        note="portrait of Grace Hopper in uniform, with cap and glasses",
        face=Box(160, 132, 372, 336),
    ),
    Sample(
        "coffee",
        data.coffee,
        licence="CC0",
        source="scikit-image; photograph by Rachel Michetti, Pikolo Espresso Bar",
        note="cup of coffee on a table: ellipses, smooth porcelain, wood grain",
    ),
    Sample(
        "chelsea",
        data.chelsea,
        licence="CC0",
        source="scikit-image; photograph by Stéfan van der Walt",
        note="a cat's face from close by: fur, eyes",
    ),
    Sample(
        "rocket",
        data.rocket,
        licence="public domain (SpaceX)",
        source="scikit-image; https://www.flickr.com/photos/spacexphotos/16511594820",
        note="launch of a Falcon 9 with DSCOVR: large smooth areas, one bright plume",
    ),
    Sample(
        "motorcycle",
        lambda: data.stereo_motorcycle()[0],
        licence="given for research by its authors, to be cited (Scharstein et al., GCPR 2014)",
        source="scikit-image; Middlebury stereo benchmark 2014, https://vision.middlebury.edu/stereo/data/scenes2014/",
        note="motorcycle in a workshop (the left picture of the pair): many fine edges",
    ),
    Sample(
        "china",
        lambda: _scikit_learn("china.jpg"),
        licence="CC BY 2.0",
        source="scikit-learn; photograph by danielbuechele, https://www.flickr.com/photos/danielbuechele/6061409035/",
        note="Summer Palace in Beijing: buildings, sky",
    ),
    Sample(
        "flower",
        lambda: _scikit_learn("flower.jpg"),
        licence="CC BY 2.0",
        source="scikit-learn; photograph by vultilion, https://www.flickr.com/photos/vultilion/6056698931/",
        note="a dahlia before a dark, blurred background",
    ),
)

CONTENTS: Mapping[str, Sample] = MappingProxyType({sample.name: sample for sample in _SAMPLES})
"""Every sample by its name."""


def face_box(name: str, size: Size | None = None, *, side: Side = "short", crop: tuple[int, int] | None = None) -> Box:
    """The face's box in `images.read(name, size, side=side)`, centre-cropped to `crop` (height, width) if given.

    Edges are rounded to whole pixels, cut at the picture's border. Raises `ImageError` for an unknown name, a sample
    without a face, and a crop that leaves no face.
    """
    if name not in CONTENTS:
        near = difflib.get_close_matches(name, CONTENTS, n=1)
        raise ImageError(f"No sample is called {name!r}.{f' Did you mean {near[0]!r}?' if near else ''}")
    sample = CONTENTS[name]
    if sample.face is None:
        faces = " and ".join(s.name for s in CONTENTS.values() if s.face)
        raise ImageError(f"The sample {name!r} shows no face. Those that do: {faces}.")
    height, width = sample.load().shape[:2]
    new_height, new_width = target_shape(height, width, size, side)
    crop = crop or (new_height, new_width)
    top, left = crop_origin(new_height, new_width, *crop)

    def moved(position: int, scale: float, offset: int, limit: int) -> int:
        return min(max(round(position * scale) - offset, 0), limit)

    x_scale, y_scale = new_width / width, new_height / height
    box = Box(
        moved(sample.face.x0, x_scale, left, crop[1]),
        moved(sample.face.y0, y_scale, top, crop[0]),
        moved(sample.face.x1, x_scale, left, crop[1]),
        moved(sample.face.y1, y_scale, top, crop[0]),
    )
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise ImageError(f"Nothing is left of the face in {name!r} at this size and crop. Use a larger size or crop.")
    return box
