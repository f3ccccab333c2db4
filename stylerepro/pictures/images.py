"""Pictures in and out: float32 tensors (1, 3, H, W), sRGB in [0, 1]."""

import difflib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

import numpy as np
from PIL import Image

from stylerepro.errors import ImageError, unknown
from stylerepro.files import atomic_path, expanded
from stylerepro.pictures import assets
from stylerepro.pictures.decoding import MAX_PIXELS, decode, opened
from stylerepro.pictures.paintings import PAINTINGS, paint
from stylerepro.pictures.samples import CONTENTS, FACES, Box

if TYPE_CHECKING:  # PyTorch takes seconds, and the command says before them what it cannot read
    from torch import Tensor

Source = str | os.PathLike[str]
Side = Literal["short", "long"]
Size = int | tuple[int, int]

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
"""Suffixes of the formats that `write` knows; `read` goes by the content instead."""

PAINTED_SIZE = 512
"""Pixels of a painting's side when no size is asked for."""


def read(source: Source, size: Size | None = None, *, seed: int = 0, longest: int | None = None) -> "Tensor":
    """Read a picture as a float32 tensor (1, 3, H, W), sRGB in [0, 1].

    Args:
        source: a name from `names()` (a painting also as "swirls:3", which is seed 3), a path, or an http(s) or file
            address. A name wins over a file of that name: write `./coffee`, or give a `Path`, for the file.
        size: pixels of the shorter side, or (height, width) exactly; None keeps the picture's own size.
            A painting is painted at `size` (a square for one number), 512 if None.
        seed: of a painting; other pictures have none.
        longest: pixels of the longer side at which enlarging ends, short of `size`: a panorama of 12000 × 40 would
            become one of 153600 × 512.

    JPEG, PNG and WebP, whatever the suffix. EXIF orientation is applied; an embedded colour profile is converted to
    sRGB, of every mode and depth; grey, palette and CMYK become RGB; 16-bit PNGs keep their precision (with a profile
    of tables, 8 bits of it); of an animation, the first frame is read. Transparency is laid over white, as a page would
    show it. A picture whose header claims more than `MAX_PIXELS` is refused before anything is decoded.

    Raises:
        ImageError: unknown name, missing or unreadable file, too many pixels, impossible size.
        AssetError: an asset or address that cannot be had.
    """
    text, path = os.fspath(source), _file(source)
    if path is None and text.partition(":")[0] in PAINTINGS:
        return _painting(text, size, seed)
    if path is not None:
        picture = from_array(decode(path, str(path)))
    elif text in CONTENTS:
        picture = from_array(CONTENTS[text]() / 255)
    elif text in assets.REGISTRY:
        picture = from_array(decode(assets.fetch(text), text))
    else:
        picture = _from_address(text)
    short, long = sorted(picture.shape[-2:])
    try:
        if longest and isinstance(size, int) and short < size and long * size > longest * short:
            return resize(picture, max(longest, long), side="long")
        return resize(picture, size)
    except ImageError as error:
        raise ImageError(f"{text}: {error}") from error


def check(source: Source) -> None:
    """Raise the `ImageError` of a name or file that `read` could not read, as far as the file's header tells.

    In a moment: nothing is decoded, fetched or painted. An address is not asked.
    """
    path = _file(source)
    if path is not None:
        with opened(path, str(path)):
            pass


def _file(source: Source) -> Path | None:
    """Return the file that a source is, None for a name or an http(s) address. Raises `ImageError` for neither."""
    text = os.fspath(source)
    if isinstance(source, str):
        known = text in assets.REGISTRY and assets.REGISTRY[text].kind in ("content", "style")
        scheme = urlsplit(text).scheme
        if known or text in CONTENTS or text.partition(":")[0] in PAINTINGS or scheme in ("http", "https"):
            return None
        if scheme == "file":
            text = url2pathname(unquote(urlsplit(text).path))
    path = expanded(text)
    if not text or not os.path.lexists(path):
        raise ImageError(_missing(text))
    return path


def names() -> dict[str, list[str]]:
    """Return the names that `read` knows: "sample" and "painting" need no network, "content" and "style" are assets."""
    by_kind = {"sample": list(CONTENTS), "painting": list(PAINTINGS)}
    for kind in ("content", "style"):
        by_kind[kind] = [name for name, asset in assets.REGISTRY.items() if asset.kind == kind]
    return by_kind


def write(image: "Tensor", path: str | os.PathLike[str], quality: int = 95) -> Path:
    """Write one picture, (1, 3, H, W) or (3, H, W), as PNG, JPEG or WebP by the path's suffix; returns the path.

    Values are cut to [0, 1] and rounded to 8 bits. The file appears whole or not at all; missing folders are made.
    `quality` (1 to 100) is for JPEG, written without colour subsampling, and WebP. Raises `ImageError` for a wrong
    shape, integers, values that are not finite, an unknown suffix, and a place that cannot be written.
    """
    path = expanded(path)
    kind = SUFFIXES.get(path.suffix.lower())
    if kind is None:
        raise ImageError(f"{path}: unknown suffix {path.suffix!r}. Name it .png, .jpg, .jpeg or .webp.")
    if not 1 <= quality <= 100:
        raise ImageError(f"quality={quality} is out of range. Give 1 to 100.")
    if path.is_dir():
        raise ImageError(f"{path} is a folder. Give the name of a file.")
    image = _one_picture(image)
    if not image.isfinite().all():
        bad = int((~image.isfinite()).sum())
        raise ImageError(
            f"{path.name} was not written: {bad} of {image.numel()} values are NaN or infinite. The optimisation that "
            "made it has likely diverged: lower its step size or its weights."
        )
    pixels = (image[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous()
    options: dict[str, int] = {} if kind == "PNG" else {"quality": quality}
    if kind == "JPEG":
        options["subsampling"] = 0  # brush strokes are saturated: halved chroma would smear them
    try:
        with atomic_path(path) as temporary:
            Image.fromarray(pixels.numpy()).save(temporary, format=kind, **options)
    except OSError as error:
        raise ImageError(f"{path} cannot be written: {error.strerror or error}.") from error
    return path


def resize(image: "Tensor", size: Size | None, *, side: Side = "short") -> "Tensor":
    """Resize (N, 3, H, W) with a Lanczos filter (antialiased when shrinking), cut to [0, 1].

    Each channel is filtered as float32, with no rounding to 8 bits in between. Type and device are kept, gradients
    are not. For `size` and `side` see `target_shape`. Raises `ImageError` as that does, and when a picture
    only one pixel wide or high is to be enlarged: there is nothing in it to interpolate.
    """
    import torch

    _check_shape(image)
    height, width = image.shape[-2:]
    new_height, new_width = target_shape(height, width, size, side)
    if (new_height, new_width) == (height, width):
        return image
    if min(height, width) == 1 and (new_height > height or new_width > width):
        raise ImageError(
            f"A picture of {width} × {height} pixels cannot be enlarged to {new_width} × {new_height}: it holds "
            "nothing to interpolate. Use a larger picture."
        )
    planes = image.detach().cpu().float().reshape(-1, height, width).numpy()
    resized = [
        np.asarray(Image.fromarray(plane).resize((new_width, new_height), Image.Resampling.LANCZOS)) for plane in planes
    ]
    result = torch.from_numpy(np.stack(resized)).reshape(*image.shape[:2], new_height, new_width)
    return result.clamp(0, 1).to(image)


def centre_crop(image: "Tensor", height: int, width: int) -> "Tensor":
    """Return the middle `height` × `width` pixels of (N, 3, H, W); `ImageError` when they do not fit."""
    _check_shape(image)
    top, left = crop_origin(image.shape[-2], image.shape[-1], height, width)
    return image[..., top : top + height, left : left + width]


def target_shape(height: int, width: int, size: Size | None, side: Side = "short") -> tuple[int, int]:
    """Return height and width after resizing a `height` × `width` picture.

    `size` is the pixels of the shorter or longer side, the other following in proportion, or exactly (height, width).
    `None` leaves the shape alone. Raises `ImageError` for sizes below 1 or above `MAX_PIXELS` and for an unknown side.
    """
    if size is None:
        return height, width
    if side not in ("short", "long"):
        raise ImageError(f"side={side!r} is unknown. Choose 'short' or 'long'.")
    wanted = size if isinstance(size, tuple | list) else (size,)
    if len(wanted) not in (1, 2) or not all(isinstance(n, int) and not isinstance(n, bool) for n in wanted):
        raise ImageError(f"size={size!r} is no size. Give whole pixels: one number, or (height, width).")
    if min(wanted) < 1:
        raise ImageError(f"size={size!r} is too small. Give at least 1 pixel.")
    if len(wanted) == 2:
        shape = (wanted[0], wanted[1])
    else:
        reference = min(height, width) if side == "short" else max(height, width)
        # In integers, so that the reference side comes out exactly; halves round up.
        shape = (
            max(1, (2 * height * wanted[0] + reference) // (2 * reference)),
            max(1, (2 * width * wanted[0] + reference) // (2 * reference)),
        )
    if shape[0] * shape[1] > MAX_PIXELS:
        raise ImageError(
            f"size={size!r} would make a picture of {shape[1]} × {shape[0]} pixels, over the limit of {MAX_PIXELS:,}. "
            "Give a smaller size."
        )
    return shape


def crop_origin(height: int, width: int, crop_height: int, crop_width: int) -> tuple[int, int]:
    """Return row and column where a centred crop begins; `ImageError` when the crop does not fit."""
    if not (1 <= crop_height <= height and 1 <= crop_width <= width):
        raise ImageError(
            f"A crop of {crop_width} × {crop_height} pixels does not fit into a picture of {width} × {height}. "
            "Resize first, or crop less."
        )
    return (height - crop_height) // 2, (width - crop_width) // 2


def with_colours_of(picture: "Tensor", source: "Tensor") -> "Tensor":
    """Return a picture (1, 3, H, W) with its own light and dark and the colours of another, in [0, 1].

    The source's luminance (Rec. 601) is replaced by the picture's, and its chrominance stays: the luminance-only
    transfer of Gatys et al. 2017 (arXiv:1611.07865, section 5.1).
    """
    light = picture.new_tensor([0.299, 0.587, 0.114])[None, :, None, None]
    change = ((picture - source) * light).sum(1, keepdim=True)
    return (source + change).clamp(0, 1)


def face_box(name: str, size: Size | None = None, *, crop: tuple[int, int] | None = None) -> Box:
    """Return the face's box in `read(name, size)`, centre-cropped to `crop` (height, width) if given.

    Edges are rounded to whole pixels, cut at the picture's border. Raises `ImageError` for an unknown name, a sample
    without a face, and a crop that leaves no face.
    """
    if name not in CONTENTS:
        raise ImageError(unknown(name, CONTENTS, "sample", "The project"))
    if name not in FACES:
        raise ImageError(f"The sample {name!r} shows no face. Those that do: {' and '.join(FACES)}.")
    face, (height, width) = FACES[name], CONTENTS[name]().shape[:2]
    new_height, new_width = target_shape(height, width, size)
    crop = crop or (new_height, new_width)
    top, left = crop_origin(new_height, new_width, *crop)

    def moved(position: int, scale: float, offset: int, limit: int) -> int:
        return min(max(round(position * scale) - offset, 0), limit)

    x_scale, y_scale = new_width / width, new_height / height
    box = Box(
        moved(face.x0, x_scale, left, crop[1]),
        moved(face.y0, y_scale, top, crop[0]),
        moved(face.x1, x_scale, left, crop[1]),
        moved(face.y1, y_scale, top, crop[0]),
    )
    if box.x0 >= box.x1 or box.y0 >= box.y1:
        raise ImageError(f"Nothing is left of the face in {name!r} at this size and crop. Use a larger size or crop.")
    return box


def to_array(image: "Tensor") -> np.ndarray:
    """Return one picture (1, 3, H, W) or (3, H, W) as a float64 array (H, W, 3), a copy."""
    return _one_picture(image)[0].double().permute(1, 2, 0).numpy().copy()


def from_array(array: np.ndarray) -> "Tensor":
    """Return an array (H, W, 3) with values in [0, 1] as a float32 tensor (1, 3, H, W), a copy."""
    import torch

    array = np.asarray(array)
    if array.ndim != 3 or array.shape[2] != 3 or array.size == 0:
        raise ImageError(f"An array of shape {array.shape} is no picture: (height, width, 3) is expected.")
    if array.dtype.kind != "f":
        raise ImageError(f"An array of {array.dtype} is not in [0, 1]. Divide by its largest value (255) first.")
    return torch.from_numpy(array.astype(np.float32).transpose(2, 0, 1).copy())[None]


def _painting(text: str, size: Size | None, seed: int) -> "Tensor":
    name, colon, number = text.partition(":")
    if colon and not number.isdecimal():
        raise ImageError(f"{text!r}: the seed after the colon must be a whole number, as in '{name}:3'.")
    shape = target_shape(PAINTED_SIZE, PAINTED_SIZE, size)
    return from_array(paint(name, size=shape, seed=int(number) if colon else seed)).clamp(0, 1)


def _from_address(address: str) -> "Tensor":
    path = assets.download(address)
    try:
        return from_array(decode(path, address))
    except ImageError:
        # An error page kept in the cache would be read again for ever.
        path.unlink(missing_ok=True)
        raise


def _missing(text: str) -> str:
    """Return the message for a source that is neither name nor file: the nearest names, and the nearest file."""
    known = [name for group in names().values() for name in group]
    near = difflib.get_close_matches(text, known, n=1)
    folder = expanded(text).parent
    siblings = [p.name for p in folder.iterdir()] if folder.is_dir() and os.access(folder, os.R_OK) else []
    near += [str(folder / name) for name in difflib.get_close_matches(Path(text).name, siblings, n=1)]
    if near:
        hint = f"Did you mean {' or '.join(repr(name) for name in near)}?"
    else:
        hint = f"Names are {', '.join(known)}; a path or an address works too."
    return f"There is no picture {text!r}: no such name, and no such file. {hint}"


def _check_shape(image: "Tensor") -> None:
    if image.ndim != 4 or image.shape[1] != 3 or 0 in image.shape:
        raise ImageError(f"A tensor of shape {tuple(image.shape)} is no picture: (N, 3, height, width) is expected.")
    if not image.is_floating_point():
        raise ImageError(f"A tensor of {image.dtype} is not in [0, 1]. Divide by its largest value (255) first.")


def _one_picture(image: "Tensor") -> "Tensor":
    """Check and bring to (1, 3, H, W) on the CPU."""
    image = image[None] if image.ndim == 3 else image
    _check_shape(image)
    if len(image) > 1:
        raise ImageError(
            f"This tensor holds {len(image)} pictures and one is expected. Take them one by one: image[i : i + 1]."
        )
    image = image.detach().cpu()
    return image.float() if image.dtype.itemsize < 4 else image
