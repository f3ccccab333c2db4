"""Paintings in oil: `swirls`, a night in thick strokes along a whirling sky, and `pointillism`, a lake in dots."""

import numpy as np
from numpy.random import Generator

from stylerepro.pictures.paintings.drawing import (
    Array,
    Noise,
    colours,
    easel,
    lerp,
    luminance,
    ramp,
    relief,
    smoothstep,
    vary,
)
from stylerepro.pictures.paintings.strokes import (
    Brush,
    Canvas,
    Sketch,
    convolve_lines,
    curl,
    follow,
    lay,
    magnified,
    scatter,
)

SKY = colours("0d1640 16307c 1f52a8 2f7fc4 6cb3c9 c9dfc0 f0e7b2")
LIGHT = colours("fff6c9 ffe066 f7b733 d99a2b 7fb69a")
HILLS = colours("0a1433 12305a 1d5068 2c6a5e 6f8f4e")
CYPRESS = colours("05080f 10201c 24402a 4a4a22")
PITCH = 240  # sketch points per picture unit


def _lights(wide: float, skyline: float, vortices: list[tuple[float, float, float]], rng: Generator) -> Array:
    """Place the moon, then stars, each as far from all others as can be: (N, 3) rows of x, y, radius."""
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
    """Paint three hills, a village with lit windows, and a cypress over the sky."""
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
    """Paint a night sky of vortices, stars and a moon over hills, a village and a cypress; impasto, lit from one side.

    Strokes are streamlines of a curl-noise flow; the tones under them come from line integral convolution
    along it. Three layers: 3 %, 1.6 % and 0.9 % of the shorter side wide, never under 3, 2 and 1.5 pixels,
    and four to seven times as long.
    """
    plane = easel(height, width)
    sketch, detail = _sketch(plane.wide, plane.tall, rng)
    canvas = Canvas.primed(plane, 0.8 * magnified(sketch.colour, plane, PITCH))
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
        length = breadth * stretch * rng.uniform(0.6, 1.25, len(places))
        length = length * np.choose(np.ceil(fine).astype(np.intp), [1.0, 0.6, 0.28])
        paths, colour = follow(plane, sketch, places, length)
        widths = breadth * plane.unit * rng.uniform(0.7, 1.2, len(places)) * (1 - 0.3 * fine.clip(0, 1))
        colour = vary(colour, rng, jitter, jitter)
        lay(canvas, paths[chosen], widths[chosen], colour[chosen], rng, Brush(bristle=0.1, body=0.4, dry=0.3))
    return plane.finish(relief(canvas.colour, canvas.thickness, 0.9, 0.25))


EVENING = colours("8fb8dc bcd3e0 f3e3c0 fbd08e f7ac73")
WATER = colours("f2c48a b9cdd2 6fa6c6 3f78ad 1f3f7d")
PIGMENTS = colours(
    "14163f 0f3a33 fff3c4 ffd84a ff9f2e ef5b2b c9324a 8a3b8f 4b3f9e 2456a8 2f8fc9 39a99a 3f8f3c a3c13a f4a7a0 b7c9f0"
)


def _tree(scene: Array, x: Array, y: Array, place: tuple[float, float, float], noise: Noise) -> Array:
    """Paint a tree (foot x, foot y, height) with lit and shaded foliage and its shadow on the grass."""
    cx, foot, size = place
    shadow = smoothstep(1.0, 0.5, np.hypot((x - cx - 0.35 * size) / (0.75 * size), (y - foot) / (0.09 * size)))
    scene = lerp(scene, colours("1c2a5e")[0], 0.8 * shadow)
    trunk = np.abs(x - cx - 0.03 * size * np.sin(8 * (y - foot) / size)) < 0.035 * size * (
        1 + 0.6 * (y > foot - 0.06 * size)
    )
    trunk &= (y < foot) & (y > foot - 0.6 * size)
    scene = np.where(trunk[..., None], colours("261a3c")[0], scene)
    dx, dy = (x - cx) / size, (y - foot + 0.68 * size) / size
    lumps = 0.3 * noise.octaves(x / size * 4 + cx * 31, y / size * 4, 3)
    inside = np.hypot(dx / 0.46, dy / 0.36) + lumps < 1
    lit = 0.5 - 0.75 * dx - 0.95 * dy + 0.85 * noise.octaves(x / size * 6, y / size * 6 + cx * 17, 2)
    leaves = ramp(colours("10123a 17334f 2f7d45 8fb83a f6da58"), lit)
    return np.where(inside[..., None], leaves, scene)


def _scene(wide: float, tall: float, rng: Generator) -> Array:
    """Return the landscape under the dots, (rows, columns, 3)."""
    columns, rows = (max(2, round(side * PITCH)) for side in (wide, tall))
    y, x = np.mgrid[:rows, :columns].astype(np.float32) / np.float32(PITCH)
    noise = Noise(rng)
    horizon = tall * rng.uniform(0.4, 0.46)
    sun = (wide * rng.uniform(0.5, 0.78), horizon - rng.uniform(0.12, 0.2) * tall)
    cloud = noise.octaves(x * 2.2, y * 6, 3)
    scene = ramp(EVENING, y / horizon + 0.15 * cloud)
    scene = lerp(scene, colours("fdeedd")[0], 0.8 * smoothstep(0.1, 0.45, cloud))
    r = np.hypot(x - sun[0], y - sun[1])
    scene = lerp(scene, colours("ffe27a")[0], 0.9 * np.exp(-((r / 0.2) ** 2)))
    scene = np.where((r < 0.05)[..., None], colours("fffbe0")[0], scene)
    for k, code in enumerate(("a9a3cf", "7c83bd", "4f7f8f")):
        ridge = horizon - tall * (0.085 - 0.028 * k) * (1 + 0.9 * noise.octaves(x * (2 + k) + 11 * k, 0 * x + 3 * k, 3))
        scene = np.where(
            ((y > ridge) & (y < horizon))[..., None], colours(code)[0] + 0.08 * noise(x * 14, y * 14)[..., None], scene
        )
    deep = np.clip((y - horizon) / (tall - horizon), 0, 1)
    ripple = noise(x * 6, y * 60 / (1 + 3 * deep))
    water = ramp(WATER, 0.12 + 1.0 * deep + 0.2 * ripple)
    glitter = np.exp(-(((x - sun[0]) / (0.03 + 0.12 * deep)) ** 2)) * smoothstep(-0.1, 0.35, ripple)
    scene = np.where((y >= horizon)[..., None], lerp(water, colours("fff0b0")[0], 0.95 * glitter), scene)
    for _ in range(2 + int(wide)):
        cx, foot = wide * rng.uniform(0.36, 0.85), horizon + tall * rng.uniform(0.04, 0.16)
        size = rng.uniform(0.09, 0.17)
        sail = (y < foot) & (y > foot - size) & (x > cx - 0.1 * size) & (x - cx < 0.55 * (y - foot + size))
        hull = (np.abs(x - cx - 0.15 * size) < 0.5 * size - (y - foot)) & (y >= foot) & (y < foot + 0.14 * size)
        mirror = (y > foot + 0.14 * size) & (y < foot + size)
        mirror &= np.abs(x - cx - 0.15 * size) < 0.25 * size * (1 + ripple)
        scene = np.where(mirror[..., None], lerp(scene, colours("fff4e0")[0], 0.6), scene)
        scene = np.where(sail[..., None], colours("fff6ea")[0], scene)
        scene = np.where(hull[..., None], colours("8a2430")[0], scene)
    bank = tall * (0.76 + 0.1 * (x / wide - 0.35) + 0.03 * noise.octaves(x * 3, 0 * x + 7, 2))
    grass = ramp(
        colours("2f6a4f 5f9a3c b4c945 f0de6d"), 0.55 + 0.5 * noise.octaves(x * 5, y * 14, 3) - 0.5 * (y - bank)
    )
    scene = np.where((y > bank)[..., None], grass, scene)
    flowers = noise(x * 40, y * 40) > 0.62
    scene = np.where(
        (flowers & (y > bank + 0.03))[..., None],
        ramp(colours("f25c54 ffd3da ffffff"), 0.5 + noise(x * 7, y * 7)),
        scene,
    )
    for place in ((0.15, 0.87, 0.70), (0.92, 0.93, 0.40), (0.62, 0.83, 0.2)):
        at = (wide * (place[0] + rng.uniform(-0.05, 0.05)), tall * place[1], tall * place[2] * rng.uniform(0.9, 1.1))
        scene = _tree(scene, x, y, at, noise)
    if rng.random() < 0.5:
        scene = scene[:, ::-1]
    return np.clip(scene, 0, 1).astype(np.float32)


def _divide(colour: Array, rng: Generator, purity: float) -> Array:
    """Move each colour (N, 3) by `purity` towards a pure pigment, drawn the likelier the closer it is.

    Shadows lean to the cold pigments and lights to the warm ones, so that a patch still mixes to its own
    colour in the eye.
    """
    distance = ((colour[:, None, :] - PIGMENTS[None]) ** 2).sum(axis=2)
    warmth = (PIGMENTS[:, 0] - PIGMENTS[:, 2])[None]
    pull = 0.05 * warmth * (luminance(colour) - 0.5)[:, None] * 2
    keys = -(distance - pull) / 0.09 + rng.gumbel(0, 1, distance.shape)
    return colour + np.float32(purity) * (PIGMENTS[np.argmax(keys, axis=1)] - colour)


def pointillism(height: int, width: int, rng: Generator) -> Array:
    """Paint a lake in late light with sails, hills and trees, in three coats of dots.

    Dots are 2.8 %, 2.0 % and 1.5 % of the shorter side across, never under 3, 2.5 and 2 pixels; the finer the
    coat, the purer its colours.
    """
    plane = easel(height, width)
    scene = _scene(plane.wide, plane.tall, rng)
    angle = 0.6 * Noise(rng)(*(np.mgrid[: scene.shape[1], : scene.shape[0]].transpose(0, 2, 1) / np.float32(PITCH) * 2))
    sketch = Sketch(scene, np.cos(angle), np.sin(angle), PITCH)
    canvas = Canvas.primed(plane, colours("ead9b8")[0])
    for share, pixels, cover, purity in ((0.028, 3.0, 2.4, 0.25), (0.020, 2.5, 1.6, 0.5), (0.0145, 2.0, 0.8, 0.7)):
        across = plane.at_least(share, pixels)
        places = scatter(plane, rng, across / np.sqrt(cover))
        paths, colour = follow(plane, sketch, places, across * rng.uniform(0.9, 1.35, len(places)), points=3)
        colour = vary(_divide(colour, rng, purity), rng, 0.025, 0.02)
        widths = across * plane.unit * rng.uniform(0.75, 1.1, len(places))
        lay(canvas, paths, widths, colour, rng, Brush(bristle=0.025, body=0.22, dry=0, taper=0.5), batch=1024)
    return plane.finish(relief(canvas.colour, canvas.thickness, 0.5, 0.05))
