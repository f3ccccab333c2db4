"""Colour profiles (ICC) of pictures, known by what they say and not by what they are called; to sRGB at every depth.

Profiles of curves and a matrix are computed here, at the depth of the picture. littleCMS, which Pillow has for 8 bits
alone, does those of tables and of CMYK.
"""

import io
import struct
from contextlib import suppress

import numpy as np
from PIL import Image, ImageCms

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}
# Of linear sRGB in the profiles' own XYZ, whose white is D50 (ICC.1:2022, Bradford-adapted from IEC 61966-2-1).
_TO_D50 = ((0.4360747, 0.3850649, 0.1430804), (0.2225045, 0.7168786, 0.0606169), (0.0139322, 0.0971045, 0.7141733))


def to_srgb(pixels: np.ndarray, profile: bytes = b"") -> np.ndarray:
    """Return grey, RGB or CMYK (H, W, 1, 3 or 4), uint8 or uint16, as float32 sRGB in [0, 1], of 1 or 3 channels.

    A profile that differs from sRGB by less than a step of 8 bits changes nothing. One that is damaged or of other
    colours than the picture's is passed over; grey takes one of RGB, too.
    """
    if profile:
        # What a damaged profile breaks on is past telling.
        with suppress(ValueError, LookupError, ArithmeticError, TypeError, struct.error, OSError, ImageCms.PyCMSError):
            return _by_profile(pixels, profile)
    if pixels.shape[2] == 4:
        pixels = np.asarray(Image.fromarray(pixels, "CMYK").convert("RGB"))
    return pixels.astype(np.float32) / np.iinfo(pixels.dtype).max


def _by_profile(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    channels = _CHANNELS[profile[16:20]]
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    probe = np.stack(np.meshgrid(*[levels] * channels), -1).reshape(1, -1, channels)
    if channels < 4 and np.abs(_converted(probe, profile) - probe / 255).max() < 1 / 255:
        return to_srgb(pixels)
    if channels == 3 and pixels.shape[2] == 1:
        pixels = np.broadcast_to(pixels, (*pixels.shape[:2], 3))
    if channels != pixels.shape[2]:
        raise ValueError("a profile of other colours")
    return _converted(pixels, profile)


def _converted(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    places = struct.iter_unpack(">4sII", profile[132 : 132 + 12 * struct.unpack_from(">I", profile, 128)[0]])
    tags = {name: profile[start : start + size] for name, start, size in places}
    if b"A2B0" in tags or profile[20:24] != b"XYZ " or pixels.shape[2] == 4:
        return _by_tables(pixels, profile)
    if pixels.shape[2] == 1:
        return _encoded(_linear(pixels, tags[b"kTRC"]))
    linear = np.stack([_linear(pixels[..., at], tags[b"rgb"[at : at + 1] + b"TRC"]) for at in range(3)], axis=-1)
    matrix = np.array([struct.unpack_from(">3i", tags[name], 8) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]).T / 65536
    return _encoded(linear @ (np.linalg.inv(_TO_D50) @ matrix).T.astype(np.float32))


def _by_tables(pixels: np.ndarray, profile: bytes) -> np.ndarray:
    if pixels.dtype == np.uint16:
        pixels = (pixels / 257).round().astype(np.uint8)
    picture = Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels, _MODES[pixels.shape[2]])
    embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    converted = ImageCms.profileToProfile(picture, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return np.asarray(converted).astype(np.float32) / 255


def _linear(channel: np.ndarray, curve: bytes) -> np.ndarray:
    """Return a channel, uint8 or uint16, as the light that a curve of a profile (ICC.1:2022, 10.6 and 10.18) says."""
    x = np.linspace(0, 1, np.iinfo(channel.dtype).max + 1)
    if curve[:4] == b"curv":
        count = struct.unpack_from(">I", curve, 8)[0]
        points = np.frombuffer(curve, ">u2", count, 12)
        power = points[0] / 256 if count else 1
        y = x**power if count < 2 else np.interp(x, np.linspace(0, 1, count), points / 65535)
    elif curve[:4] == b"para":
        kind = struct.unpack_from(">H", curve, 8)[0]
        numbers = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", curve, 12)]
        g, a, b, c, d, e, f = (*numbers, 1, 0, 0, 0, 0, 0)[:7] if kind == 0 else (*numbers, 0, 0, 0, 0)[:7]
        if kind in (1, 2):  # flat below where the power begins; what the third adds stands in c
            c, d, e, f = 0, -b / a, c, c
        with np.errstate(all="ignore"):
            y = np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
    else:
        raise ValueError("a curve of another kind")
    if not np.isfinite(y).all():
        raise ValueError("a curve that leaves the finite numbers")
    return y.clip(0, 1).astype(np.float32)[channel]


def _encoded(light: np.ndarray) -> np.ndarray:
    """Return linear sRGB, cut to [0, 1], as it is stored (IEC 61966-2-1)."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055).astype(np.float32)
