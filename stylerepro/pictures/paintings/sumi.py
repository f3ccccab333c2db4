"""`sumi`: mountains in mist and bamboo, in ink on paper."""

from itertools import pairwise

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from stylerepro.pictures.paintings.brush import Brush, Canvas, lay
from stylerepro.pictures.paintings.easel import Array, Easel, easel, lerp, smoothstep
from stylerepro.pictures.paintings.noise import Noise
from stylerepro.pictures.paintings.palette import colours, vary
from stylerepro.pictures.paintings.surface import paper

PAPER = colours("efe8d8")[0]
INK = colours("15171c")[0]
WASH = colours("4a545e")[0]
SEAL = colours("b8321f")[0]


def _mountains(plane: Easel, rng: Generator) -> Array:
    """Darkness of the wash, (rows, columns) in [0, 1]: ranges that darken towards us, each dissolving into mist."""
    x, y = plane.grid()
    noise = Noise(rng)
    wash = np.zeros_like(x)
    for k in range(4):
        near = k / 3
        base = plane.tall * (0.34 + 0.15 * k)
        rise = plane.tall * (0.24 - 0.02 * k)
        phase = np.float32(rng.uniform(0, 90))
        ridge = np.abs(noise.octaves(x[:1] * (1.1 + 0.35 * k) + phase, k, 5, 0.52))
        top = base - rise * (1.25 - 2.1 * ridge).clip(0)
        depth = (y - top) / (0.30 * plane.tall)
        inside = smoothstep(-0.004, 0.006, y - top)
        soft = depth.clip(0) * (1 + 0.7 * noise.octaves(x * 4 + phase, y * 4, 2))
        fade = np.exp(-2.6 * soft) + 0.18 * np.exp(-12 * depth.clip(0))
        folds = 0.5 + 0.7 * noise.octaves(x * 9 + 2.2 * (y - top) + phase, y * 3.2, 4)
        tone = (0.20 + 0.5 * near) * fade * (0.55 + 0.75 * folds.clip(0))
        # Wet paint gathers at the edge of a wash and dries darker there.
        rim = 0.20 * (0.4 + near) * np.exp(-((depth / 0.018) ** 2)) * (0.5 + noise(x * 12, y * 12).clip(-0.5))
        wash = lerp(wash, wash * 0.35 + tone.clip(0) + rim.clip(0), inside)
    return wash.clip(0, 1)


def _bamboo(plane: Easel, canvas: Canvas, left: bool, rng: Generator) -> None:
    """Stems in jointed strokes and leaves in pointed ones, from one side."""
    for k in range(3):
        lean, thick = rng.normal(0.06, 0.05), plane.at_least(0.024 - 0.005 * k, 2.5) * plane.unit
        foot = 0.06 + 0.10 * k + rng.uniform(-0.02, 0.02)
        tone = 0.25 + 0.2 * k
        joints = np.arange(plane.tall + 0.1, -0.15, -rng.uniform(0.15, 0.2))
        for lower, upper in pairwise(joints):
            ys = np.linspace(lower - 0.006, upper + 0.006, 9)
            xs = foot + lean * (plane.tall - ys) + 0.02 * np.sin(3 * ys + k)
            path = np.stack([xs if left else plane.wide - xs, ys], axis=1)[None] * plane.unit
            ink = vary(lerp(INK, WASH, tone)[None], rng, 0.03, 0.0)
            lay(
                canvas,
                path.astype(np.float32),
                np.array([thick]),
                ink,
                rng,
                Brush(bristle=0.35, body=0, dry=0.15, taper=0.08),
            )
            for _ in range(int(rng.integers(1, 4))):
                spot = int(rng.integers(0, 9))
                _leaves(plane, canvas, (float(path[0, spot, 0]), float(path[0, spot, 1])), 1 if left else -1, tone, rng)


def _leaves(plane: Easel, canvas: Canvas, twig: tuple[float, float], way: int, tone: float, rng: Generator) -> None:
    """A spray of leaves that hang from a twig (x, y) in fine pixels."""
    reach = rng.uniform(0.03, 0.13) * plane.unit
    x0, y0 = twig[0] + way * reach, twig[1] - rng.uniform(-0.2, 0.6) * reach
    thread = np.array([[twig, ((twig[0] + x0) / 2, (twig[1] + y0) / 2 - 0.1 * reach), (x0, y0)]], dtype=np.float32)
    ink = lerp(INK, WASH, tone * rng.uniform(0.2, 1.3))[None]
    lay(canvas, thread, np.array([plane.at_least(0.003, 1) * plane.unit]), ink, rng, Brush(body=0, dry=0))
    s = np.linspace(0, 1, 9)[:, None]
    for _ in range(int(rng.integers(3, 6))):
        angle = rng.normal(0.75, 0.5)
        length = rng.uniform(0.07, 0.14) * plane.unit
        heading = np.array([way * np.cos(angle), np.sin(angle)])
        droop = np.array([0, 0.25])
        path = (np.array([x0, y0]) + length * (s * heading + s**2 * droop)).astype(np.float32)[None]
        width = np.array([plane.at_least(0.019, 2.0) * plane.unit * rng.uniform(0.7, 1.2)])
        lay(canvas, path, width, vary(ink, rng, 0.04, 0), rng, Brush(bristle=0.3, body=0, dry=0.3, taper=0.9))


def sumi(height: int, width: int, rng: Generator) -> Array:
    """Ranges of mountains in mist, a pale red sun, birds, bamboo at one side and a seal; ink wash on fibrous paper.

    Bamboo stems are 1.4 to 2.4 % of the shorter side wide, never under 2.5 pixels; leaves 2 % wide and 7 to
    14 % long.
    """
    plane = easel(height, width)
    x, y = plane.grid()
    sheet = paper(plane, rng)
    ground = PAPER * (1 + 0.045 * sheet)[..., None]
    left = bool(rng.random() < 0.5)
    sun_x = rng.uniform(0.58, 0.76)
    sun = np.hypot(x - plane.wide * (sun_x if left else 1 - sun_x), y - plane.tall * rng.uniform(0.15, 0.22))
    ground = lerp(ground, colours("d9694a")[0], 0.75 * smoothstep(0.078, 0.074, sun) * (0.85 + 0.3 * sheet))
    wash = _mountains(plane, rng) * (1 + 0.35 * sheet)
    picture = lerp(ground, lerp(WASH, INK, wash), wash.clip(0, 0.92))
    canvas = Canvas.primed(plane, picture)
    _bamboo(plane, canvas, left, rng)
    for _ in range(5):
        bx, by, span = (
            plane.wide * rng.uniform(0.35, 0.65),
            plane.tall * rng.uniform(0.1, 0.3),
            rng.uniform(0.016, 0.03),
        )
        wings = np.array(
            [
                [
                    (bx - span, by - 0.3 * span),
                    (bx - 0.4 * span, by - 0.45 * span),
                    (bx, by),
                    (bx + 0.4 * span, by - 0.5 * span),
                    (bx + span, by - 0.35 * span),
                ]
            ]
        )
        lay(
            canvas,
            (wings * plane.unit).astype(np.float32),
            np.array([plane.at_least(0.006, 1.2) * plane.unit]),
            INK[None],
            rng,
            Brush(body=0, dry=0, taper=0.6),
        )
    # Ink bleeds a little into the paper.
    bled = ndimage.gaussian_filter(canvas.colour, (0.0009 * plane.unit, 0.0009 * plane.unit, 0))
    seal_x, seal_y, half = plane.wide * (0.9 if left else 0.1), plane.tall * 0.9, max(0.032, 2.5 / plane.short)
    u, v = (x - seal_x) / half, (y - seal_y) / half
    carved = ((np.abs(u) < 0.12) | (np.abs(np.abs(v) - 0.35) < 0.1)) & (np.maximum(np.abs(u), np.abs(v)) < 0.75)
    stamp = (np.maximum(np.abs(u), np.abs(v)) < 1 + 0.1 * sheet) & ~carved
    return plane.finish(lerp(bled, SEAL, 0.88 * stamp * (1 - 0.3 * sheet.clip(0, 1))))
