"""`swirls`: a night over hills, in thick strokes that follow a whirling sky."""

import numpy as np
from numpy.random import Generator
from scipy import ndimage

from stylerepro.pictures.paintings.brush import Brush, Canvas, Sketch, follow, lay, scatter
from stylerepro.pictures.paintings.easel import Array, easel, lerp, smoothstep
from stylerepro.pictures.paintings.noise import Noise, convolve_lines, curl
from stylerepro.pictures.paintings.palette import colours, ramp, vary
from stylerepro.pictures.paintings.surface import relief

SKY = colours("0d1640", "16307c", "1f52a8", "2f7fc4", "6cb3c9", "c9dfc0", "f0e7b2")
LIGHT = colours("fff6c9", "ffe066", "f7b733", "d99a2b", "7fb69a")
HILLS = colours("0a1433", "12305a", "1d5068", "2c6a5e", "6f8f4e")
CYPRESS = colours("05080f", "10201c", "24402a", "4a4a22")
PITCH = 240  # sketch points per picture unit


def _lights(wide: float, skyline: float, vortices: list[tuple[float, float, float]], rng: Generator) -> Array:
    """The moon, then the stars: (N, 3) rows of x, y, radius; each star as far from all others as can be."""
    lights = [(wide * rng.uniform(0.82, 0.88), skyline * rng.uniform(0.2, 0.27), 0.05)]
    for _ in range(int(6 * wide) + 2):
        tries = np.stack([rng.uniform(0.04, wide - 0.04, 24), rng.uniform(0.06, skyline * 0.85, 24)], axis=1)
        taken = [*((x, y, 3.4 * radius) for x, y, radius in lights), *((x, y, 0.9 * reach) for x, y, reach in vortices)]
        gaps = np.min([np.hypot(*(tries - place[:2]).T) - place[2] for place in np.array(taken)], axis=0)
        x, y = tries[np.argmax(gaps)]
        lights.append((x, y, rng.uniform(0.011, 0.023)))
    return np.array(lights, dtype=np.float32)


def _sketch(wide: float, tall: float, rng: Generator) -> tuple[Sketch, Array]:
    """Colour and flow of the whole scene on a fixed grid, and a map of where finer strokes belong."""
    columns, rows = (max(2, round(side * PITCH)) for side in (wide, tall))
    y, x = np.mgrid[:rows, :columns].astype(np.float32) / np.float32(PITCH)
    noise = Noise(rng)
    skyline = 0.7 * tall

    # Sky: wind from the left, bent by noise and wound up by a few vortices.
    stream = 0.75 * y + 0.16 * noise.octaves(x * 1.9, y * 2.6, 3)
    glow, twist = np.zeros_like(x), np.zeros_like(x)
    vortices = []
    for k in range(1 + round(wide)):
        reach = rng.uniform(0.13, 0.17) if k % 2 == 0 else rng.uniform(0.09, 0.11)
        cx = 0.36 + 0.31 * k + rng.uniform(-0.05, 0.05)
        cy = skyline * (0.48 + 0.2 * (k % 2)) + rng.uniform(-0.05, 0.05)
        r2 = ((x - cx) ** 2 + (y - cy) ** 2) / reach**2
        stream += (-1) ** k * 1.75 * reach * np.exp(-r2)
        glow += 0.6 * np.exp(-0.7 * r2)
        twist += (-1) ** k * 2 * np.arctan2(y - cy, x - cx)
        vortices.append((cx, cy, reach))
    lights = _lights(wide, skyline, vortices, rng)
    u, v = curl(stream)
    # Bands of light and dark lie along the flow, as they do when one brush is emptied and filled again;
    # the twist (whole turns, so without a seam) opens the rings around a vortex into a spiral.
    streak = convolve_lines(rng.normal(0, 1, x.shape).astype(np.float32), u, v, 22)
    streak /= streak.std()
    band = np.sin(50 * stream + twist + 2 * noise(x * 3, y * 3))
    tone = 0.27 + 0.19 * band + 0.08 * streak + 0.36 * np.clip(glow, 0, 1) + 0.2 * (y / skyline) ** 2
    colour = ramp(SKY, tone)
    detail = np.zeros_like(x)
    for cx, cy, radius in lights:
        dx, dy = x - cx, y - cy
        r = np.hypot(dx, dy) / radius
        near = smoothstep(5.2, 2.4, r)
        rings = 0.5 + 0.5 * np.cos(r * 4.4)
        halo = ramp(LIGHT, np.clip((r - 0.4) / 4.2 + 0.12 * rings, 0, 1))
        colour = lerp(colour, halo, near * (0.55 + 0.4 * rings) * (r > 1) + (r <= 1))
        turn = near**0.5
        u, v = lerp(u, -dy / (r * radius + 1e-6), turn), lerp(v, dx / (r * radius + 1e-6), turn)
        detail = np.maximum(detail, smoothstep(4.0, 2.0, r))

    u, v, colour, detail = _land(x, y, (u, v, colour, detail), wide, tall, noise, rng)
    return Sketch(colour, u, v, PITCH), detail


def _land(
    x: Array, y: Array, scene: tuple[Array, Array, Array, Array], wide: float, tall: float, noise: Noise, rng: Generator
) -> tuple[Array, Array, Array, Array]:
    """Three hills, a village with lit windows, and a cypress, painted over the sky."""
    u, v, colour, detail = scene
    for k in range(3):
        phase = np.float32(rng.uniform(0, 50))
        edge = tall * (0.70 + 0.085 * k) + (0.13 - 0.025 * k) * noise.octaves(x[:1] * (1.5 + 0.6 * k) + phase, k, 2)
        inside = y > edge
        slope = np.gradient(np.broadcast_to(edge, x.shape), axis=1) * PITCH
        length = np.sqrt(1 + slope**2)
        depth = (y - edge) / (0.3 * tall)
        rows = np.sin(depth * 48 + 5 * noise(x * 3 + phase, y * 5))
        tone = 0.60 - 0.07 * k - 0.75 * depth + 0.2 * rows + 0.35 * noise(x * 4, y * 7 + phase)
        colour = np.where(inside[..., None], ramp(HILLS, tone), colour)
        u, v = np.where(inside, 1 / length, u), np.where(inside, slope / length, v)
    spire = wide * rng.uniform(0.5, 0.7)
    houses = [
        (spire, 0.85 * tall, 0.016, 0.05),
        *((x0, 0, 0, 0) for x0 in np.linspace(0.3, 0.97, int(8 * wide)) * wide),
    ]
    for cx, base, w, h in houses:
        if not w:
            w, h, base = rng.uniform(0.026, 0.042), rng.uniform(0.022, 0.036), tall * rng.uniform(0.85, 0.91)
            cx += rng.uniform(-0.02, 0.02)
        pitch = 1.9 if w > 0.02 else 2.9
        wall = (np.abs(x - cx) < w) & (y < base) & (y > base - h)
        roof = (np.abs(x - cx) < 1.2 * (y - base + pitch * h) * w / ((pitch - 1) * h)) & (y <= base - h)
        window = (np.abs(np.abs(x - cx) - 0.4 * w) < 0.22 * w) & (np.abs(y - base + 0.45 * h) < 0.25 * h)
        for mask, code in ((wall, rng.choice(["7f9fb5", "a9b7a0", "c9b587"])), (roof, "2a2433"), (window, "ffb52e")):
            colour = np.where(mask[..., None], colours(code)[0], colour)
            detail = np.where(mask, 2, detail)
            u, v = np.where(mask, 1, u), np.where(mask, 0.05, v)
    cx, top, girth = wide * rng.uniform(0.1, 0.17), tall * rng.uniform(0.1, 0.2), 0.085
    rise = np.clip((y - top) / (tall - top), 0, 1)
    sway = 0.02 * np.sin(9 * y / tall + rng.uniform(0, 6)) + 0.035 * noise(x * 2 + 5, y * 7)
    off = (x - cx - sway) / (girth * (rise**0.75) * (1.25 - 0.45 * rise) + 1e-4)
    inside = (np.abs(off) < 1) & (y > top)
    flame = 0.45 + 0.35 * np.sin(11 * off + 16 * y + 2 * noise(x * 8, y * 5)) - 0.25 * np.abs(off)
    colour = np.where(inside[..., None], ramp(CYPRESS, flame), colour)
    lean = 0.5 * np.sin(9 * off + 10 * y)
    u = np.where(inside, lean / np.sqrt(1 + lean**2), u)
    v = np.where(inside, -1 / np.sqrt(1 + lean**2), v)
    return u, v, colour, np.where(inside, 1, detail).astype(np.float32)


def swirls(height: int, width: int, rng: Generator) -> Array:
    """A night sky of vortices, stars and a moon over hills, a village and a cypress; impasto, lit from the upper left.

    Strokes are streamlines of a curl-noise flow; the tones under them come from line integral convolution
    along it. Three layers: 3 %, 1.6 % and 0.9 % of the shorter side wide, never under 3, 2 and 1.5 pixels,
    and four to seven times as long.
    """
    plane = easel(height, width)
    sketch, detail = _sketch(plane.wide, plane.tall, rng)
    at = np.mgrid[: plane.shape[0], : plane.shape[1]].astype(np.float32)
    at = (at + 0.5) / np.float32(plane.unit) * PITCH - 0.5
    under = [ndimage.map_coordinates(sketch.colour[..., c], at, order=1, mode="nearest") for c in range(3)]
    canvas = Canvas.primed(plane, 0.8 * np.stack(under, axis=-1))
    for share, pixels, stretch, cover, jitter in (
        (0.030, 3.0, 4.5, 2.2, 0.03),
        (0.016, 2.0, 6.5, 2.0, 0.045),
        (0.009, 1.5, 6.0, 1.0, 0.05),
    ):
        breadth = plane.at_least(share, pixels)
        places = scatter(plane, rng, breadth * np.sqrt(stretch / cover))
        i = np.clip((places[:, 1] * PITCH).astype(np.intp), 0, detail.shape[0] - 1)
        j = np.clip((places[:, 0] * PITCH).astype(np.intp), 0, detail.shape[1] - 1)
        fine = detail[i, j]
        chosen = rng.random(len(places)) < (1.0 if share > 0.01 else 0.35 + 0.65 * fine)
        length = (
            breadth
            * stretch
            * rng.uniform(0.6, 1.25, len(places))
            * np.choose(np.ceil(fine).astype(np.intp), [1.0, 0.6, 0.28])
        )
        paths, colour = follow(plane, sketch, places, length)
        widths = breadth * plane.unit * rng.uniform(0.7, 1.2, len(places)) * (1 - 0.3 * fine.clip(0, 1))
        colour = vary(colour, rng, jitter, jitter)
        lay(canvas, paths[chosen], widths[chosen], colour[chosen], rng, Brush(bristle=0.1, body=0.4, dry=0.3))
    return plane.finish(relief(canvas.colour, canvas.thickness, 0.9, 0.25))
