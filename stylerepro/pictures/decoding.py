"""From a picture file's bytes to numbers: formats, colour, transparency, orientation, and files that are none.

Colour profiles (ICC) are known by what they say and not by what they are called. Those of curves and a matrix are
computed here, at the depth of the picture; littleCMS, which Pillow has for 8 bits alone, does those of tables and of
CMYK.
"""

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageOps

from stylerepro.errors import ImageError

MAX_PIXELS = 100_000_000
"""Largest picture read or made, in pixels. A header may claim anything; 100 megapixels are 1.2 GB as float32."""

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_CHANNELS = {b"GRAY": 1, b"RGB ": 3, b"CMYK": 4}
# Of linear sRGB in the profiles' own XYZ, whose white is D50 (ICC.1:2022, Bradford-adapted from IEC 61966-2-1).
_TO_D50 = ((0.4360747, 0.3850649, 0.1430804), (0.2225045, 0.7168786, 0.0606169), (0.0139322, 0.0971045, 0.7141733))


def decode(path: Path, shown: str) -> np.ndarray:
    """Decode a JPEG, PNG or WebP file to float32 (H, W, 3), sRGB in [0, 1], upright; raises as `opened` does."""
    with opened(path, shown) as (picture, stream):
        return _pixels(picture, stream)


@contextlib.contextmanager
def opened(path: Path, shown: str) -> Iterator[tuple[Image.Image, BinaryIO]]:
    """Open a picture, of which the header alone is read, and its file: what is wrong with it within is an `ImageError`.

    The content decides the format, not the suffix. `shown` is what messages call the file. Refused are a folder, an
    unreadable, empty, foreign or damaged file, and a header that claims more than `MAX_PIXELS`.
    """
    if path.is_dir():
        raise ImageError(f"{shown} is a folder. Name one picture in it.")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise ImageError(f"{shown} cannot be read: {error.strerror or error}.") from error
    try:
        with stream, warnings.catch_warnings():
            # Ours is the check of size that counts (Pillow's own stays behind it); odd metadata harms no picture.
            warnings.simplefilter("ignore")
            if not stream.read(1):
                raise ImageError(f"{shown} is empty (0 bytes). Copy or download it again.")
            with Image.open(stream, formats=["JPEG", "PNG", "WEBP"]) as picture:
                if picture.width * picture.height > MAX_PIXELS:
                    raise Image.DecompressionBombError(f"{picture.width:,} × {picture.height:,} pixels")
                yield picture, stream
    except Image.UnidentifiedImageError as error:
        raise ImageError(f"{shown} is not a JPEG, PNG or WebP picture. Convert it to one of these.") from error
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{shown} claims too much: {error}. The limit is {MAX_PIXELS:,} pixels, and it was not decoded. Make it "
            "smaller first."
        ) from error
    except ImageError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError, RuntimeError) as error:
        # Pillow and libpng have no one class for "this file is broken".
        raise ImageError(
            f"{shown} is damaged or cut short ({str(error).rstrip('.')}). Copy or download it again."
        ) from error


def _pixels(picture: Image.Image, stream: BinaryIO) -> np.ndarray:
    """Decode to (H, W, 3) float32 in [0, 1], upright, over white where transparent."""
    picture.load()
    profile, key = picture.info.get("icc_profile", b""), None
    stream.seek(0)
    header = stream.read(25)
    depth = header[24] if picture.format == "PNG" else 8
    with contextlib.suppress(Exception):  # broken metadata fails in many ways, and the picture is whole without it
        picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("P", "PA"):
        picture = picture.convert("RGBA")
    else:
        key = picture.info.pop("transparency", None)
    if picture.mode in ("1", "La", "RGBa"):
        picture = picture.convert({"1": "L", "La": "LA", "RGBa": "RGBA"}[picture.mode])
    if depth == 16:
        # Pillow keeps 8 bits of 16-bit colour, torchvision keeps all.
        import torch
        from torchvision.io import decode_image

        content = torch.frombuffer(bytearray(header + stream.read()), dtype=torch.uint8)
        pixels = decode_image(content, apply_exif_orientation=True).permute(1, 2, 0).numpy()
    else:
        pixels = np.atleast_3d(np.asarray(picture))
    alpha: np.ndarray | None = None
    if pixels.shape[2] in (2, 4) and picture.mode != "CMYK":
        alpha = pixels[..., -1:].astype(np.float32) / np.iinfo(pixels.dtype).max
        pixels = pixels[..., :-1]
    elif key is not None:
        # A PNG's one transparent colour. Grey of fewer bits is spread to 8, which not every Pillow does with this.
        most = 2**depth - 1
        spread = [value * 255 // most if depth < 8 and value <= most else value for value in np.atleast_1d(key)]
        alpha = (pixels != np.array(spread)).any(axis=2, keepdims=True).astype(np.float32)
    colours = to_srgb(pixels, profile)
    if alpha is not None:
        colours = colours * alpha + (1 - alpha)
    return np.ascontiguousarray(np.broadcast_to(colours, (*colours.shape[:2], 3)))


def to_srgb(pixels: np.ndarray, profile: bytes = b"") -> np.ndarray:
    """Return grey, RGB or CMYK (H, W, 1, 3 or 4), uint8 or uint16, as float32 sRGB in [0, 1], of 1 or 3 channels.

    A profile that differs from sRGB by less than a step of 8 bits changes nothing. One that is damaged or of other
    colours than the picture's is passed over; grey takes one of RGB, too.
    """
    if profile:
        # What a damaged profile breaks on is past telling.
        with contextlib.suppress(
            ValueError, LookupError, ArithmeticError, TypeError, struct.error, OSError, ImageCms.PyCMSError
        ):
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
