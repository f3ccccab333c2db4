"""From a picture file's bytes to numbers: formats, colour, transparency, orientation, and files that are none."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torchvision.io import decode_image

from stylerepro.errors import ImageError

MAX_PIXELS = 100_000_000
"""Largest picture read or made, in pixels. A header may claim anything; 100 megapixels are 1.2 GB as float32."""


def decode(path: Path, shown: str) -> np.ndarray:
    """Decode a JPEG, PNG or WebP file to a float32 array (H, W, 3), sRGB in [0, 1], upright.

    The content decides the format, not the suffix. `shown` is what messages call the file. Raises `ImageError` for a
    folder, an unreadable, empty, foreign or damaged file, and a header that claims more than `MAX_PIXELS`.
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
                return _pixels(picture, stream)
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
    stream.seek(0)
    header = stream.read(25)
    if picture.format == "PNG" and header[24] == 16:
        # The bit depth. Pillow keeps 8 bits of 16-bit colour, torchvision keeps all.
        content = torch.frombuffer(bytearray(header + stream.read()), dtype=torch.uint8)
        decoded = decode_image(content, apply_exif_orientation=True)
        return _over_white(decoded.permute(1, 2, 0).numpy().astype(np.float32) / 65535)
    # Broken metadata fails in many ways, and the picture is whole without it.
    with contextlib.suppress(Exception):
        picture = ImageOps.exif_transpose(picture)
    picture = _to_srgb(picture)
    transparent = "transparency" in picture.info or picture.mode in ("LA", "La", "PA", "RGBA", "RGBa")
    converted = picture.convert("RGBA" if transparent else "RGB")
    return _over_white(np.asarray(converted).astype(np.float32) / 255)


def _over_white(array: np.ndarray) -> np.ndarray:
    """Bring 1, 2, 3 or 4 channels (grey or colour, then alpha) to three."""
    colours = array.shape[2] - 1 if array.shape[2] in (2, 4) else array.shape[2]
    colour = array[..., :colours]
    if colours < array.shape[2]:
        alpha = array[..., colours:]
        colour = colour * alpha + (1 - alpha)
    return np.broadcast_to(colour, (*array.shape[:2], 3)).astype(np.float32)


def _to_srgb(picture: Image.Image) -> Image.Image:
    """Convert RGB and CMYK with an embedded profile to sRGB; a profile that cannot be used is passed over."""
    profile = picture.info.get("icc_profile")
    if not profile or picture.mode not in ("RGB", "CMYK"):
        return picture
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(embedded).lower():
            return picture
        converted = ImageCms.profileToProfile(picture, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return picture
    return converted or picture
