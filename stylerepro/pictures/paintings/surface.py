"""What light does to paint and ground: relief of thick paint, canvas weave, paper, varnish."""

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from stylerepro.pictures.paintings.easel import Array, Easel
from stylerepro.pictures.paintings.noise import Noise


def relief(picture: Array, height: Array, strength: float = 1.0, gloss: float = 0.15) -> Array:
    """The picture (rows, columns, 3) lit from the upper left, `height` (rows, columns) in fine pixels.

    Slopes towards the light brighten, slopes away darken; `gloss` adds the wet shine on edges that face the
    light.
    """
    down, right = np.gradient(height)
    facing = np.tanh(strength * -(down + right) / np.sqrt(2)).astype(np.float32)
    shade = 1 + 0.28 * facing[..., None]
    shine = gloss * np.clip(-facing - 0.35, 0, None)[..., None] ** 2
    return np.clip(picture * (2 - shade) + shine, 0, 1).astype(np.float32)


def weave(easel: Easel, rng: Generator, thread: float = 0.006) -> Array:
    """Canvas threads, (rows, columns), about [-1, 1]; a thread is never finer than 1.5 pixels."""
    x, y = easel.grid()
    pitch = easel.at_least(thread, 1.5)
    wobble = Noise(rng)
    across = np.sin(np.pi * (x / pitch + 0.35 * wobble(x * 9, y * 30)))
    along = np.sin(np.pi * (y / pitch + 0.35 * wobble(x * 30 + 40, y * 9)))
    return (np.abs(across) - np.abs(along)).astype(np.float32)


def paper(easel: Easel, rng: Generator, fibres: float = 1.0) -> Array:
    """Paper: cloudy tone and fine fibres, (rows, columns), about [-1, 1]."""
    x, y = easel.grid()
    noise = Noise(rng)
    cloud = noise.octaves(x * 3, y * 3, 3)
    fibre = noise.octaves(x * 40, y * 160, 2) + noise.octaves(x * 160 + 9, y * 40, 2)
    return (0.5 * cloud + 0.35 * fibres * fibre).astype(np.float32)


def vignette(picture: Array, easel: Easel, amount: float) -> Array:
    """Corners darkened by `amount`, as under an old varnish."""
    x, y = easel.grid()
    r = np.hypot(x / easel.wide - 0.5, y / easel.tall - 0.5) / 0.707
    return picture * (1 - amount * r**2.5)[..., None].astype(np.float32)


def bloom(picture: Array, easel: Easel, radius: float, amount: float) -> Array:
    """Light that spills over: the picture plus `amount` of its blurred brightness (radius in picture units)."""
    sigma = max(radius * easel.unit, 0.5)
    spill = ndimage.gaussian_filter(picture.astype(np.float32) ** 2, (sigma, sigma, 0), truncate=2.5)
    return 1 - (1 - np.clip(picture, 0, 1)) * (1 - amount * np.clip(spill, 0, 1))
