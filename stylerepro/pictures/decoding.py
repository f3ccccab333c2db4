"""From a picture file's bytes to numbers: formats, colour, transparency, orientation, and files that are none."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image

from stylerepro.errors import ImageError
from stylerepro.pictures.colour import to_srgb

MAX_PIXELS = 100_000_000
"""Largest picture read or made, in pixels. A header may claim anything; 100 megapixels are 1.2 GB as float32."""

# Orientations of EXIF 2.32, 4.6.4: what brings the picture upright.
_UPRIGHT: Mapping[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda array: np.rot90(array, 2),
    4: np.flipud,
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: np.rot90(array, -1),
    7: lambda array: np.rot90(array, 2).swapaxes(0, 1),
    8: np.rot90,
}


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
    profile, key, turned = picture.info.get("icc_profile", b""), None, Image.Exif()
    with contextlib.suppress(Exception):  # broken metadata fails in many ways, and the picture is whole without it
        turned = picture.getexif()
    stream.seek(0)
    header = stream.read(25)
    depth = header[24] if picture.format == "PNG" else 8
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
        pixels = decode_image(content).permute(1, 2, 0).numpy()
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
    upright = _UPRIGHT.get(turned.get(ExifTags.Base.Orientation, 1), lambda array: array)(colours)
    return np.ascontiguousarray(np.broadcast_to(upright, (*upright.shape[:2], 3)))
