"""Colour by mode, depth, profile, transparency and orientation, against littleCMS."""

import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps
from small import png, saved

from stylerepro.pictures import images
from stylerepro.pictures.decoding import to_srgb

SRGB = ((0.4361, 0.3851, 0.1431), (0.2225, 0.7169, 0.0606), (0.0139, 0.0971, 0.7142))
ADOBE = ((0.6097, 0.2053, 0.1492), (0.3111, 0.6257, 0.0632), (0.0195, 0.0609, 0.7446))
SHAPE = (24, 32)


def fixed(*values):
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def curve(*points):
    """A table; a single point is a power, in 1/256."""
    return b"curv\0\0\0\0" + struct.pack(f">I{len(points)}H", len(points), *points)


def power(kind, *numbers):
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + fixed(*numbers)


def icc(space, name="named sRGB all the same", pcs=b"XYZ ", **tags):
    """A profile of version 2, as ICC.1:2001-04 has it."""
    text = name.encode() + b"\0"
    parts = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78),
             b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249), b"cprt": b"text\0\0\0\0-\0"}  # fmt: skip
    parts |= {name.encode(): content for name, content in tags.items()}
    start, table, body = 132 + 12 * len(parts), struct.pack(">I", len(parts)), b""
    for key, content in parts.items():
        table += struct.pack(">4sII", key, start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    white = fixed(0.9642, 1, 0.8249)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"lcms", 0x02400000, b"mntr", space, pcs)
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + white
    return head.ljust(128, b"\0") + table + body


def of_matrix(matrix, *curves):
    columns = [b"XYZ \0\0\0\0" + fixed(*column) for column in np.transpose(matrix)]
    curves = curves * 3 if len(curves) == 1 else curves
    tags = {f"{letter}XYZ": column for letter, column in zip("rgb", columns, strict=True)}
    return icc(b"RGB ", **tags, **{f"{letter}TRC": content for letter, content in zip("rgb", curves, strict=True)})


def of_tables(space, channels):
    """Tables of 8 bits to Lab: the first channel is the lightness, more of the others is greener and bluer."""
    corners = np.array(list(itertools.product((0, 255), repeat=channels)))
    lab = np.stack([corners[:, 0] // 2 + 60, 160 - corners[:, 1] // 4, 150 - corners[:, 2] // 3], -1).astype(np.uint8)
    ramp = bytes(range(256))
    content = b"mft1\0\0\0\0" + bytes([channels, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return icc(space, pcs=b"Lab ", A2B0=content + ramp * channels + lab.tobytes() + ramp * 3)


BENT = tuple(round(65535 * (place / 8) ** 1.6) for place in range(9))
RGB = {
    "none": b"",
    "sRGB": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "swapped": of_matrix(np.array(SRGB)[:, ::-1], curve(563)),
    "adobe": of_matrix(ADOBE, curve(563)),
    "linear": of_matrix(SRGB, curve()),
    "tables of a curve": of_matrix(ADOBE, curve(*BENT), curve(300), curve(600)),
    "powers": of_matrix(ADOBE, power(0, 1.8), power(1, 2.2, 1.05, -0.05), power(2, 2, 1.1, -0.1, 0)),
    "more powers": of_matrix(
        ADOBE, power(3, 2.4, 0.9479, 0.0521, 0.0774, 0.0405), power(4, 2, 0.9, 0.05, 0.695, 0.5, 0.0975, 0), curve(461)
    ),
    "tables": of_tables(b"RGB ", 3),
}  # fmt: skip
GREY = {
    "none": b"",
    "linear": icc(b"GRAY", kTRC=curve()),
    "bent": icc(b"GRAY", kTRC=curve(*BENT)),
    "power": icc(b"GRAY", kTRC=power(0, 1.5)),
    "of RGB": RGB["swapped"],
}


def read(content):
    Path("picture").write_bytes(content)
    return images.to_array(images.read("picture"))


def by_little_cms(picture, profile, orientation=1):
    """What littleCMS makes of a picture of 8 bits: grey where its profile is, else RGB or CMYK."""
    if profile:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        picture = picture.convert("RGB") if source.profile.xcolor_space.strip() == "RGB" else picture
        srgb = ImageCms.createProfile("sRGB")
        # Its shortcut for grey interpolates in a coarse grid, by up to ten steps of 8 bits beside the curve.
        exactly = ImageCms.Flags.NOOPTIMIZE if picture.mode == "L" else ImageCms.Flags.NONE
        picture = ImageCms.profileToProfile(picture, source, srgb, outputMode="RGB", flags=exactly)
    picture = picture.convert("RGB")
    picture.getexif()[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(picture)) / 255


@pytest.mark.parametrize("name", RGB)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "key"])
@pytest.mark.parametrize("depth", [8, 16])
def test_colour_of_every_mode_depth_and_profile_is_as_little_cms_has_it(colours, mode, depth, name):
    profile, orientation = RGB[name], 1 + (len(name) + len(mode)) % 8
    alpha = np.linspace(0, 255, colours[..., 0].size).astype(np.uint8).reshape(*SHAPE, 1)
    if mode == "P":
        palette = Image.fromarray(colours).quantize(32)
        opaque = palette.convert("RGB")
        share = (np.asarray(palette) != 3)[..., None].astype(float)
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = saved(palette, icc_profile=profile or None, transparency=3, exif=exif)
    else:
        opaque, share = Image.fromarray(colours), 1.0
        pixels = np.concatenate([colours, alpha], -1) if mode == "RGBA" else colours
        key = colours[5, 7].astype(int) if mode == "key" else None
        if mode != "RGB":
            share = alpha / 255 if key is None else (colours != key).any(-1, keepdims=True).astype(float)
        if depth == 16:
            pixels, key = pixels.astype(np.uint16) * 257, None if key is None else key * 257
        content = png(pixels, profile, key, orientation)
    share = share * np.ones((*SHAPE, 1))
    wanted, alphas = by_little_cms(opaque, profile, orientation), read(content)
    turned = Image.fromarray((255 * share[..., 0]).round().astype(np.uint8))
    turned.getexif()[0x0112] = orientation
    share = np.asarray(ImageOps.exif_transpose(turned))[..., None] / 255
    assert np.abs(alphas - (wanted * share + 1 - share)).max() < 1.1 / 255


@pytest.mark.parametrize("name", GREY)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("keyed", [False, True])
def test_grey_of_every_depth_and_profile_is_as_little_cms_has_it(bits, name, keyed):
    most = 2**bits - 1
    raw = np.linspace(0, most, SHAPE[0] * SHAPE[1]).round().astype(np.uint16 if bits == 16 else np.uint8)
    raw = raw.reshape(*SHAPE, 1)
    profile, key = GREY[name], (int(raw[9, 3, 0]),) if keyed else None
    spread = Image.fromarray((raw[..., 0] / most * 255).round().astype(np.uint8))
    wanted = by_little_cms(spread, profile)
    if keyed:
        wanted = np.where(raw == key[0], 1, wanted)
    # littleCMS has 8 bits alone, of which one is far in the dark of a linear curve.
    tolerance = 8 / 255 if bits == 16 and name == "linear" else 2.1 / 255
    assert np.abs(read(png(raw, profile, key, bits=None if bits > 4 else bits)) - wanted).max() < tolerance


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
@pytest.mark.parametrize("name", ["swapped", "linear", "tables"])
def test_profiles_count_in_other_formats_and_for_cmyk(colours, kind, name):
    options = {"lossless": True} if kind == "WEBP" else {"quality": 100, "subsampling": 0}
    content = saved(Image.fromarray(colours), kind, icc_profile=RGB[name], **options)
    with Image.open(io.BytesIO(content)) as opened:
        assert np.abs(read(content) - by_little_cms(opened, RGB[name])).max() < 2.1 / 255
    for profile in (of_tables(b"CMYK", 4), b""):
        cmyk = Image.fromarray(colours).convert("CMYK")
        content = saved(cmyk, "JPEG", icc_profile=profile, quality=100, subsampling=0)
        with Image.open(io.BytesIO(content)) as opened:
            np.testing.assert_array_equal(read(content), by_little_cms(opened, profile).astype(np.float32))


def test_sixteen_bits_with_a_profile_keep_their_precision():
    raw = np.arange(0, 512, dtype=np.uint16).reshape(16, 32, 1)
    light = raw / 65535
    wanted = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(read(png(raw, GREY["linear"]))[..., :1], wanted, atol=1e-6)
    coloured = np.broadcast_to(raw, (16, 32, 3))
    np.testing.assert_allclose(read(png(coloured, RGB["linear"])), wanted.repeat(3, 2), atol=1e-4)


def test_a_profile_that_says_srgb_changes_nothing_and_one_of_other_colours_is_passed_over(colours):
    near = of_matrix(SRGB, power(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))
    for profile in (RGB["sRGB"], near, GREY["linear"], of_tables(b"CMYK", 4), b"", b"none", RGB["adobe"][:300]):
        np.testing.assert_array_equal(to_srgb(colours, profile), colours.astype(np.float32) / 255)
    assert np.abs(to_srgb(colours, RGB["linear"]) - colours / 255).max() > 0.1  # whatever its name


def test_a_damaged_profile_harms_no_picture(colours):
    rng = np.random.default_rng(0)
    for profile in [*RGB.values(), *GREY.values()]:
        for _ in range(40 * bool(profile)):
            broken = np.frombuffer(profile[:2000], np.uint8).copy()
            broken[rng.integers(0, len(broken), 12)] = rng.integers(0, 256, 12)
            made = to_srgb(colours, broken.tobytes())
            assert np.isfinite(made).all()
            assert 0 <= made.min() <= made.max() <= 1
