"""`woodcut`: breaking waves before a low sun, cut in wood and printed in few inks."""

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from stylerepro.paintings.easel import Array, Easel, easel, fill, lerp, smoothstep
from stylerepro.paintings.noise import Noise
from stylerepro.paintings.palette import colours, ramp
from stylerepro.paintings.surface import paper

PAPER = colours("f1e4c6")[0]
KEY = colours("14233f")[0]
SEA = colours("86b5b4", "4a8aa0", "2d678c", "244f7a", "1c3b62")
VERMILION = colours("d2452d")[0]
DAWN = colours("f1e4c6", "f0c98c", "e8a268")


def _wave(plane: Easel, rng: Generator, base: float, rise: float, period: float, lean: float) -> tuple[Array, list]:
    """One row of waves: its mask on the fine grid, the crest's height above `base` (0..1) by column, and its foam.

    The crest is pushed forward by `lean` times the square of its height, so that tall waves fold over.
    """
    at = np.linspace(-0.6, plane.wide + 0.6, 1500)
    phase = rng.uniform(0, 1)
    swell = Noise(rng)
    wander = 0.22 * swell(at.astype(np.float32) * 0.9 / period, np.float32(0.3))
    tooth = 1 - np.abs(np.sin(np.pi * (at / period + phase + wander)))
    size = 0.72 + 0.38 * swell(at.astype(np.float32) * 0.55 / period, np.float32(4.7))
    crest = (tooth**1.5) * size
    px = at + lean * rise * crest**2.2
    py = base - rise * crest + 0.12 * rise * np.clip(crest - 0.55, 0, None) ** 2 * 6
    foam = []
    for k in np.flatnonzero(crest > 0.42 * size)[:: max(1, int(9 * period / 0.3))]:
        grow = (crest[k] - 0.42 * size[k]) / 0.6
        foam.append((px[k], py[k], (0.008 + 0.02 * grow) * rng.uniform(0.7, 1.3)))
    corners = np.stack([py, px], axis=1)
    corners = np.vstack([corners, [[plane.tall + 1, at[-1] + 1], [plane.tall + 1, at[0] - 1]]])
    return fill(plane.shape, corners * plane.unit - 0.5), foam


def _discs(plane: Easel, discs: list) -> Array:
    """Union of discs (x, y, radius) in picture units as a mask; each is drawn in its own small window."""
    rows, columns = plane.shape
    mask = np.zeros((rows, columns), dtype=bool)
    for cx, cy, radius in np.asarray(discs, dtype=np.float64).reshape(-1, 3) * plane.unit:
        top, left = max(0, int(cy - radius)), max(0, int(cx - radius))
        bottom, right = min(rows, int(cy + radius) + 2), min(columns, int(cx + radius) + 2)
        if top < bottom and left < right:
            y, x = np.ogrid[top:bottom, left:right]
            mask[top:bottom, left:right] |= (x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2 < radius**2
    return mask


def _cut(position: Array, spacing: float, share: Array) -> Array:
    """Engraved lines: true where ink stays, `share` of each `spacing` of `position`."""
    cycle = position / spacing
    return np.abs(cycle - np.floor(cycle) - 0.5) * 2 < share


def woodcut(height: int, width: int, rng: Generator) -> Array:
    """Rows of breaking waves with foam, hatched along their crests, before hills, a sun and a graded sky.

    Five blues from one block each, one vermilion, a key block; hatching lines stand 1.5 % of the shorter side
    apart, never under 4 pixels; outlines are 0.5 % wide, never under 1.2 pixels. Paper and grain of the wood
    show through the inks.
    """
    plane = easel(height, width)
    x, y = plane.grid()
    noise, grain = Noise(rng), Noise(rng)
    pitch, line = plane.at_least(0.015, 4.0), plane.at_least(0.005, 1.2)
    tall, wide = plane.tall, plane.wide
    horizon = tall * rng.uniform(0.48, 0.54)

    # Sky: a graded printing (bokashi) from the top and warm from the horizon, cloud bars cut as lines, the sun.
    tint = ramp(DAWN, np.clip(1.15 - np.abs(y - horizon) / (0.3 * tall), 0, 1))
    tint = lerp(tint, SEA[3], 0.85 * smoothstep(0.16 * tall, 0.0, y + 0.02 * noise(x * 3, y * 3)))
    sun = (wide * rng.uniform(0.22, 0.4), horizon - tall * rng.uniform(0.14, 0.2), 0.125)
    disc = np.hypot(x - sun[0], y - sun[1]) < sun[2]
    tint = np.where(disc[..., None], VERMILION, tint)
    cloud = noise.octaves(x * 1.6, y * 7, 2)
    bars = _cut(y + 0.006 * noise(x * 5, y * 2), 1.5 * pitch, np.clip(1.3 * cloud, 0, 0.75)) & (y < horizon)
    tint = np.where((bars & disc)[..., None], PAPER, np.where(bars[..., None], SEA[1] * 0.9, tint))
    peak = (wide * rng.uniform(0.62, 0.8), horizon - 0.2 * tall)
    slope = peak[1] + 0.62 * np.abs(x - peak[0]) ** 1.15 + 0.02 * noise.octaves(x[:1] * 9, 1, 2)
    mount = (y > slope) & (y < horizon + 0.1)
    snow = mount & (y < peak[1] + 0.065 + 0.03 * noise.octaves(x[:1] * 22, 2, 2))
    ribs = _cut(x + 0.25 * np.sign(x - peak[0]) * (y - peak[1]), 1.1 * pitch, np.clip(0.25 + 1.6 * (y - slope), 0, 0.8))
    picture = np.where(mount[..., None], np.where((ribs & ~snow)[..., None], SEA[4], SEA[1]), tint)
    picture = np.where(snow[..., None], PAPER, picture)
    rim = np.abs(y - slope) < line
    picture = np.where((rim & (y < horizon))[..., None], KEY, picture)

    spray = []
    for k in range(5):
        depth = k / 4
        base = horizon + (tall - horizon) * (0.1 + 0.92 * depth**1.1)
        rise = tall * (0.06 + 0.30 * depth**0.8)
        mask, foam = _wave(plane, rng, base, rise, 0.32 + 0.62 * depth, 0.35 + 0.55 * depth)
        scale = 0.35 + 1.0 * depth
        froth = _discs(plane, [(fx, fy, r * scale) for fx, fy, r in foam])
        body = mask | froth
        inner = ndimage.distance_transform_edt(body).astype(np.float32) / np.float32(plane.unit)
        step = pitch * (0.75 + 0.6 * depth)
        # Ink thickens with the distance from the crest: light falls on the lip, the trough lies in shade.
        share = 0.16 + 2.1 * inner / (0.3 * tall) * (1 - 0.3 * depth) + 0.30 * noise.octaves(x * 5, y * 5, 2)
        hatch = _cut(inner + 0.004 * noise(x * 12, y * 12), step, np.clip(share, 0.0, 0.82))
        flat = SEA[min(k, 3)]
        sea = np.where(hatch[..., None], SEA[4] if k < 3 else KEY, flat)
        lip = body & (froth | (ndimage.gaussian_filter(froth.astype(np.float32), 0.02 * scale * plane.unit) > 0.22))
        lip_inner = ndimage.distance_transform_edt(lip).astype(np.float32) / np.float32(plane.unit)
        curls = _cut(lip_inner, 0.9 * step, np.full_like(x, 0.22)) & (lip_inner > 0.4 * step)
        sea = np.where(lip[..., None], np.where(curls[..., None], SEA[2], PAPER), sea)
        edge = (body & (inner < line * (0.7 + 0.5 * depth))) | (lip & (lip_inner < 0.6 * line))
        sea = np.where(edge[..., None], KEY, sea)
        picture = np.where(body[..., None], sea, picture)
        for fx, fy, r in foam[::2]:
            out = rng.normal(0, 0.045 * scale, 2)
            spray.append(
                (
                    fx + 0.03 * scale + out[0],
                    fy - abs(out[1]) - 0.02,
                    max(0.35 * r * scale * rng.uniform(0.4, 1), 0.6 / plane.short),
                )
            )
    picture = np.where(_discs(plane, spray)[..., None], PAPER, picture)

    # The print: ink lies thin along the grain of the block and misses the paper's hollows.
    rings = grain.octaves(x * 2.5, y * 34, 3)
    sheet = paper(plane, rng)
    thin = np.clip(0.10 + 0.10 * rings + 0.10 * sheet + 0.8 * smoothstep(0.55, 0.8, sheet), 0, 0.6)
    printed = lerp(picture, PAPER * (1 + 0.03 * sheet[..., None]), thin)
    return plane.finish(printed.astype(np.float32))
