"""Pictures painted by the project, to take styles from: deterministic, any size, no file and no network needed.

Each painter composes in units of the picture's shorter side (see `drawing`), so a seed gives the same
composition at every size of one aspect ratio, with strokes in proportion to the picture; strokes that would
be finer than about two pixels are widened.
"""

import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.random import PCG64, Generator, SeedSequence

from stylerepro.errors import ImageError, unknown
from stylerepro.pictures.paintings.drawing import Array
from stylerepro.pictures.paintings.facets import cubist, stained_glass
from stylerepro.pictures.paintings.ink import sumi, woodcut
from stylerepro.pictures.paintings.oil import pointillism, swirls

Painter = Callable[[int, int, Generator], Array]

PAINTINGS: Mapping[str, Painter] = MappingProxyType(
    {
        "swirls": swirls,
        "stained_glass": stained_glass,
        "woodcut": woodcut,
        "pointillism": pointillism,
        "cubist": cubist,
        "sumi": sumi,
    }
)
"""Name -> painter(height, width, rng), which gives (height, width, 3)."""


def paint(name: str, size: tuple[int, int] | int, seed: int = 0) -> Array:
    """Paint a picture.

    Args:
        name: one of `PAINTINGS`.
        size: (height, width) in pixels, or one number for a square.
        seed: a whole number from 0; another seed is another picture by the same painter.

    Returns:
        (height, width, 3) float32, sRGB in [0, 1]; the same array for the same arguments.

    Raises:
        ImageError: an unknown name (the message holds the nearest), a size or a seed that is none.
    """
    if name not in PAINTINGS:
        raise ImageError(unknown(name, PAINTINGS, "painting", "The project"))
    sides = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(sides) != 2 or not all(isinstance(side, int | np.integer) and side >= 1 for side in sides):
        raise ImageError(f"size {size!r} is not a size; expected a whole number from 1, or two: (height, width)")
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise ImageError(f"seed {seed!r} is not a seed; expected a whole number from 0")
    # The name enters the seed, so that painters with one seed do not share their random numbers.
    rng = Generator(PCG64(SeedSequence([zlib.crc32(name.encode()), int(seed)])))
    picture = PAINTINGS[name](int(sides[0]), int(sides[1]), rng)
    return np.ascontiguousarray(np.clip(picture, 0, 1), dtype=np.float32)
