"""Colours: written as hex, mixed along ramps, and varied the way a painter varies a mixed paint."""

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from stylerepro.pictures.paintings.easel import Array


def colours(*codes: str) -> Array:
    """sRGB colours (N, 3) in [0, 1] from codes such as "1b2a6b"."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes], dtype=np.float32)


def ramp(stops: Array, position: ArrayLike) -> Array:
    """Colours along evenly spaced `stops` (N, 3) at `position` in [0, 1] (any shape): shape + (3,)."""
    scaled = np.clip(position, 0, 1) * (len(stops) - 1)
    low = np.minimum(scaled.astype(np.intp), len(stops) - 2)
    t = (scaled - low)[..., None].astype(np.float32)
    mixed: Array = stops[low] * (1 - t) + stops[low + 1] * t
    return mixed


def vary(colour: Array, rng: Generator, light: float, hue: float) -> Array:
    """Colours (N, 3), each made lighter or darker by about `light` and shifted in hue by about `hue`."""
    n = len(colour)
    shift = rng.normal(0, hue, (n, 3))
    shift -= shift.mean(axis=1, keepdims=True)
    return np.clip(colour + shift + rng.normal(0, light, (n, 1)), 0, 1).astype(np.float32)


def luminance(colour: Array) -> Array:
    """Rec. 709 weights on sRGB values, (..., 3) to (...)."""
    weighed: Array = colour @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    return weighed
