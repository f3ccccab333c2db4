"""Pictures in ink: `sumi`, mountains in mist and bamboo, and `woodcut`, a breaking wave cut in wood and printed."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from stylerepro.pictures.paintings.drawing import (
    Array,
    Easel,
    Noise,
    colours,
    easel,
    fill,
    lerp,
    paper,
    ramp,
    smoothstep,
    vary,
)
from stylerepro.pictures.paintings.strokes import Brush, Canvas, lay

RICE_PAPER = colours("efe8d8")[0]
INK = colours("15171c")[0]
WASH = colours("4a545e")[0]
SEAL = colours("b8321f")[0]
# A bird's wings from tip to tip: (across, down), span 2.
WINGS = ((-1, -0.3), (-0.4, -0.45), (0, 0), (0.4, -0.5), (1, -0.35))


def _mountains(plane: Easel, rng: Generator) -> Array:
    """Return the wash's darkness, (rows, columns) in [0, 1]: ranges that darken towards us and dissolve into mist."""
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
    """Paint stems in jointed strokes and leaves in pointed ones, from one side."""
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
            stem = Brush(bristle=0.35, body=0, dry=0.15, taper=0.08)
            lay(canvas, path.astype(np.float32), np.array([thick]), ink, rng, stem)
            for _ in range(int(rng.integers(1, 4))):
                spot = int(rng.integers(0, 9))
                _leaves(plane, canvas, (float(path[0, spot, 0]), float(path[0, spot, 1])), 1 if left else -1, tone, rng)


def _leaves(plane: Easel, canvas: Canvas, twig: tuple[float, float], way: int, tone: float, rng: Generator) -> None:
    """Paint a spray of leaves that hang from a twig (x, y) in fine pixels."""
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
    """Paint mountains in mist, a pale red sun, birds, bamboo at one side and a seal; ink wash on fibrous paper.

    Bamboo stems are 1.4 to 2.4 % of the shorter side wide, never under 2.5 pixels; leaves 2 % wide and 7 to
    14 % long.
    """
    plane = easel(height, width)
    x, y = plane.grid()
    sheet = paper(plane, rng)
    ground = RICE_PAPER * (1 + 0.045 * sheet)[..., None]
    left = bool(rng.random() < 0.5)
    sun_x = rng.uniform(0.58, 0.76)
    sun = np.hypot(x - plane.wide * (sun_x if left else 1 - sun_x), y - plane.tall * rng.uniform(0.15, 0.22))
    ground = lerp(ground, colours("d9694a")[0], 0.75 * smoothstep(0.078, 0.074, sun) * (0.85 + 0.3 * sheet))
    wash = _mountains(plane, rng) * (1 + 0.35 * sheet)
    picture = lerp(ground, lerp(WASH, INK, wash), wash.clip(0, 0.92))
    canvas = Canvas.primed(plane, picture)
    _bamboo(plane, canvas, left, rng)
    for _ in range(5):
        bx, by = plane.wide * rng.uniform(0.35, 0.65), plane.tall * rng.uniform(0.1, 0.3)
        span = rng.uniform(0.016, 0.03)
        wings = np.array([[(bx + across * span, by + down * span) for across, down in WINGS]])
        thin = np.array([plane.at_least(0.006, 1.2) * plane.unit])
        lay(canvas, (wings * plane.unit).astype(np.float32), thin, INK[None], rng, Brush(body=0, dry=0, taper=0.6))
    # Ink bleeds a little into the paper.
    bled = ndimage.gaussian_filter(canvas.colour, (0.0009 * plane.unit, 0.0009 * plane.unit, 0))
    seal_x, seal_y, half = plane.wide * (0.9 if left else 0.1), plane.tall * 0.9, max(0.032, 2.5 / plane.short)
    u, v = (x - seal_x) / half, (y - seal_y) / half
    carved = ((np.abs(u) < 0.12) | (np.abs(np.abs(v) - 0.35) < 0.1)) & (np.maximum(np.abs(u), np.abs(v)) < 0.75)
    stamp = (np.maximum(np.abs(u), np.abs(v)) < 1 + 0.1 * sheet) & ~carved
    return plane.finish(lerp(bled, SEAL, 0.88 * stamp * (1 - 0.3 * sheet.clip(0, 1))))


PAPER = colours("f1e4c6")[0]
KEY = colours("14233f")[0]
SEA = colours("86b5b4 4a8aa0 2d678c 244f7a 1c3b62")
VERMILION = colours("d2452d")[0]
DAWN = colours("f1e4c6 f0c98c e8a268")
# The great wave, from its far foot over back and lip to the hollow face: (x forward, y up), height 1.
BACK = np.array([(-1.5, -0.1), (-1.0, 0.16), (-0.62, 0.48), (-0.25, 0.86), (0.1, 1.0), (0.42, 0.93), (0.66, 0.70)])
FACE = np.array(
    [(0.66, 0.70), (0.50, 0.69), (0.3, 0.70), (0.1, 0.55), (0.08, 0.32), (0.3, 0.12), (0.75, 0.02), (1.5, -0.1)]
)


@dataclass
class Block:
    """A print as far as it is cut: picture (rows, columns, 3), and the measures of the cut in picture units."""

    plane: Easel
    picture: Array
    x: Array
    y: Array
    noise: Noise
    pitch: float
    line: float

    def lay(self, mask: Array, colour: Array) -> None:
        """Print a colour (3,) or (rows, columns, 3) where `mask` (rows, columns) is true."""
        self.picture[mask] = colour[mask] if colour.ndim == 3 else colour

    def depth(self, mask: Array) -> Array:
        """Distance to the outside of `mask`, in picture units."""
        return (ndimage.distance_transform_edt(mask) / self.plane.unit).astype(np.float32)


def _discs(plane: Easel, discs: list[tuple[float, float, float]]) -> Array:
    """Return the union of discs (x, y, radius) in picture units as a mask; each is drawn in its own small window."""
    rows, columns = plane.shape
    mask = np.zeros((rows, columns), dtype=bool)
    for cx, cy, radius in np.asarray(discs, dtype=np.float64).reshape(-1, 3) * plane.unit:
        top, left = max(0, int(cy - radius)), max(0, int(cx - radius))
        bottom, right = min(rows, int(cy + radius) + 2), min(columns, int(cx + radius) + 2)
        if top < bottom and left < right:
            y, x = np.ogrid[top:bottom, left:right]
            mask[top:bottom, left:right] |= (x + 0.5 - cx) ** 2 + (y + 0.5 - cy) ** 2 < radius**2
    return mask


def _cut(position: Array, spacing: float, share: Array | float) -> Array:
    """Return engraved lines: true where ink stays, `share` of each `spacing` of `position`."""
    cycle = position / spacing
    lines: Array = np.abs(cycle - np.floor(cycle) - 0.5) * 2 < share
    return lines


def _foam(block: Block, froth: Array, body: Array, scale: float) -> Array:
    """Print foam: the froth and what of the wave lies right under it, white with cut curls; return its mask."""
    near = ndimage.gaussian_filter(froth.astype(np.float32), 0.016 * scale * block.plane.unit) > 0.25
    lip = froth | (body & near)
    inner = block.depth(lip)
    step = 0.8 * block.pitch * scale**0.5
    curls = _cut(inner, step, 0.24) & (inner > 0.45 * step)
    block.lay(lip, PAPER)
    block.lay(lip & curls, SEA[1])
    block.lay(lip & (inner < 0.75 * block.line), KEY)
    return lip


def _row(block: Block, rng: Generator, near: float, horizon: float) -> list[tuple[float, float, float]]:
    """Print a row of waves, `near` from 0 (at the horizon) to 1; return its drops of spray.

    The crest is pushed forward by the square of its height, so that tall waves lean over.
    """
    plane, tall = block.plane, block.plane.tall
    base = horizon + (tall - horizon) * (0.1 + 0.95 * near**1.1)
    rise, period = tall * (0.05 + 0.15 * near**0.8), 0.26 + 0.5 * near
    at = np.linspace(-0.6, plane.wide + 0.6, int(600 * (plane.wide + 1.2)))
    swell = Noise(rng)
    wander = 0.25 * swell(at * 0.9 / period, 0.3)
    tooth = 1 - np.abs(np.sin(np.pi * (at / period + rng.uniform(0, 1) + wander)))
    size = 0.75 + 0.45 * swell(at * 0.55 / period, 4.7)
    crest = tooth**1.5 * size
    px, py = at + (0.5 + 0.4 * near) * rise * crest**2.2, base - rise * crest
    corners = np.vstack([np.stack([py, px], axis=1), [[tall + 1, px[-1] + 1], [tall + 1, px[0] - 1]]])
    body = fill(plane.shape, corners * plane.unit - 0.5)
    # A little blur rounds the lines where those of two flanks meet.
    inner = ndimage.gaussian_filter(block.depth(body), 0.008 * plane.unit)
    # Ink thickens with the distance from the crest: light falls on the lip, the trough lies in shade.
    share = 0.12 + 2.0 * inner / (0.3 * tall) + 0.3 * block.noise.octaves(block.x * 5, block.y * 5, 2)
    bent = inner + 0.004 * block.noise(block.x * 12, block.y * 12)
    block.lay(body, SEA[min(int(near * 3.5), 3)])
    block.lay(
        body & _cut(bent, block.pitch * (0.75 + 0.5 * near), np.clip(share, 0, 0.8)), SEA[4] if near < 0.7 else KEY
    )
    block.lay(body & (inner < block.line * (0.8 + 0.6 * near)), KEY)
    scale = 0.4 + 0.6 * near
    tips = np.flatnonzero(crest > 0.5 * size)[:: max(1, int(6 * scale))]
    grow = (crest[tips] - 0.45 * size[tips]) * rng.uniform(0.7, 1.4, len(tips))
    foam = [(px[k], py[k] + 0.004, scale * (0.006 + 0.022 * g)) for k, g in zip(tips, grow, strict=True)]
    _foam(block, _discs(plane, foam), body, scale)
    return [
        (fx + rng.normal(0, 0.04) * scale, fy - abs(rng.normal(0.02, 0.03)) * scale, 0.4 * r * rng.uniform(0.3, 1))
        for fx, fy, r in foam[::2]
    ]


def _great_wave(block: Block, rng: Generator, way: int, horizon: float) -> list[tuple[float, float, float]]:
    """Print the wave that folds over, `way` +1 to the right or -1 to the left, with claws of foam; return its spray."""
    plane = block.plane
    high = 0.56 * plane.tall * rng.uniform(0.94, 1.06)
    foot_x, foot_y = plane.wide * (0.5 - way * 0.21), horizon + 0.74 * (plane.tall - horizon)
    reach = 0.72 * high * min(1.35, plane.wide / plane.tall) / 0.8

    def curve(points: Array, count: int) -> Array:
        spline = make_interp_spline(np.linspace(0, 1, len(points)), points, k=3)
        smooth = spline(np.linspace(0, 1, count))
        return np.stack([foot_y - high * smooth[:, 1], foot_x + way * reach * smooth[:, 0]], axis=1)

    back, face = curve(BACK, 240), curve(FACE, 240)
    low = plane.tall + 1
    outline = np.vstack([back, face[1:], [[low, face[-1, 1]], [low, back[0, 1]]]])
    body = fill(plane.shape, outline * plane.unit - 0.5)

    def away(points: Array) -> Array:
        hit = np.ones(plane.shape, dtype=bool)
        dense = np.concatenate([points[:-1] + (points[1:] - points[:-1]) * t for t in np.linspace(0, 1, 12)])
        i, j = np.floor(dense * plane.unit).astype(np.intp).T
        ok = (i >= 0) & (j >= 0) & (i < plane.shape[0]) & (j < plane.shape[1])
        hit[i[ok], j[ok]] = False
        return block.depth(hit) if ok.any() else np.ones(plane.shape, dtype=np.float32)

    # Bands run from the foot up into the lip: lines of equal share of the way from the back to the hollow face.
    behind, before = away(back), away(face)
    share = behind / (behind + before + 1e-6)
    share = ndimage.gaussian_filter(share, 0.004 * plane.unit) + 0.006 * block.noise(block.x * 9, block.y * 9)
    light = 0.30 + 0.9 * (1 - share).clip(0) ** 1.5 + 0.35 * block.noise.octaves(block.x * 4, block.y * 4, 2)
    block.lay(body, SEA[2])
    block.lay(body & (np.mod(share * 5.5, 1) < 0.36), SEA[0])
    block.lay(body & _cut(share, 1 / 22, np.clip(light * 0.55, 0.12, 0.6)), SEA[4])
    inner = block.depth(body)
    block.lay(body & (inner < 1.5 * block.line), KEY)

    # Foam along the back of the lip, with claws: chains of shrinking discs that bend over and down.
    foam = []
    for k in range(92, 240, 4):
        y, x = back[k]
        grow = (k - 80) / 160
        foam.append((x, y, (0.012 + 0.018 * grow) * rng.uniform(0.75, 1.25)))
    for k in [*range(180, 240, 7), *(-j for j in range(1, 100, 9))]:
        y, x = back[k] if k > 0 else face[-k]
        angle, radius = rng.uniform(-0.3, 0.8), rng.uniform(0.014, 0.024)
        for _ in range(int(rng.integers(4, 9))):
            foam.append((x, y, radius))
            x, y = x + way * 1.0 * radius * np.cos(angle), y + 1.0 * radius * np.sin(angle)
            angle, radius = angle + 0.24, radius * 0.84
    _foam(block, _discs(plane, foam), body, 1.0)
    spray = []
    for _ in range(90):
        y, x = back[int(rng.integers(110, 240))]
        out = np.abs(rng.normal(0, 0.075, 2))
        spray.append((x + way * out[0], y - out[1] + rng.normal(0.03, 0.03), 0.0035 + 0.006 * rng.random() ** 3))
    return spray


def _sky(block: Block, rng: Generator, way: int, horizon: float) -> None:
    """Print a graded sky (bokashi), warm from the horizon; cloud bars, the sun, a snowy mountain."""
    x, y, noise, pitch = block.x, block.y, block.noise, block.pitch
    tall, wide = block.plane.tall, block.plane.wide
    tint = ramp(DAWN, np.clip(1.15 - np.abs(y - horizon) / (0.36 * tall), 0, 1))
    block.picture = lerp(tint, SEA[3], 0.85 * smoothstep(0.17 * tall, 0.0, y + 0.02 * noise(x * 3, y * 3)))
    sun = wide * (0.5 + way * rng.uniform(0.2, 0.28)), horizon - tall * rng.uniform(0.2, 0.27)
    disc = np.hypot(x - sun[0], y - sun[1]) < 0.125
    block.lay(disc, VERMILION)
    cloud = noise.octaves(x * 1.6, y * 7, 2)
    bars = _cut(y + 0.006 * noise(x * 5, y * 2), 1.5 * pitch, np.clip(1.3 * cloud, 0, 0.75)) & (y < horizon)
    block.lay(bars, np.where(disc[..., None], PAPER, SEA[1] * 0.9))
    peak = wide * (0.5 + way * rng.uniform(0.2, 0.3)), horizon - 0.14 * tall
    slope = peak[1] + 0.55 * np.abs(x - peak[0]) ** 1.12 + 0.02 * noise.octaves(x[:1] * 9, 1, 2)
    mount = (y > slope) & (y < horizon + 0.1)
    block.lay(mount, SEA[1])
    ribs = _cut(x + 0.25 * np.sign(x - peak[0]) * (y - peak[1]), 1.1 * pitch, np.clip(0.25 + 1.6 * (y - slope), 0, 0.8))
    block.lay(mount & ribs, SEA[4])
    block.lay(mount & (y < peak[1] + 0.055 + 0.03 * noise.octaves(x[:1] * 22, 2, 2)), PAPER)
    block.lay((np.abs(y - slope) < block.line) & (y < horizon + 0.1), KEY)


def woodcut(height: int, width: int, rng: Generator) -> Array:
    """Print a great wave with claws of foam among rows of lesser ones, before a mountain, a sun and a graded sky.

    Five blues, one vermilion and a key block; hatching lines stand 1.1 to 1.9 % of the shorter side apart, never
    under 3 pixels; outlines are 0.5 % wide, never under 1.2 pixels. Paper and the wood's grain show through the inks.
    """
    plane = easel(height, width)
    x, y = plane.grid()
    pitch, line = plane.at_least(0.015, 4.0), plane.at_least(0.005, 1.2)
    block = Block(plane, np.zeros((*plane.shape, 3), dtype=np.float32), x, y, Noise(rng), pitch, line)
    horizon, way = plane.tall * rng.uniform(0.54, 0.58), int(rng.choice([-1, 1]))
    _sky(block, rng, way, horizon)
    spray = []
    for near in (0.0, 0.25, 0.5):
        spray += _row(block, rng, near, horizon)
    spray += _great_wave(block, rng, way, horizon)
    for near in (0.74, 0.95):
        spray += _row(block, rng, near, horizon)
    block.lay(_discs(plane, [(sx, sy, max(r, 0.6 / plane.short)) for sx, sy, r in spray]), PAPER)

    # The print: ink lies thin along the grain of the block and misses the paper's hollows.
    rings, sheet = Noise(rng).octaves(x * 2.5, y * 34, 2), paper(plane, rng)
    thin = np.clip(0.10 + 0.10 * rings + 0.10 * sheet + 0.8 * smoothstep(0.55, 0.8, sheet), 0, 0.6)
    return plane.finish(lerp(block.picture, PAPER * (1 + 0.03 * sheet[..., None]), thin))
