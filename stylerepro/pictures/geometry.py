"""Sizes and boxes: where a pixel goes when a picture is resized and cropped. Plain arithmetic, no pictures."""

from typing import Literal, NamedTuple

from stylerepro.errors import ImageError

Side = Literal["short", "long", "both"]
Size = int | tuple[int, int]

MAX_PIXELS = 100_000_000
"""Largest picture read or made, in pixels. A header may claim anything; 100 megapixels are 1.2 GB as float32."""


class Box(NamedTuple):
    """A rectangle in pixels, the far edges excluded: columns x0 to x1 - 1, rows y0 to y1 - 1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """(rows, columns), to index the last two axes of an (N, 3, H, W) tensor."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def target_shape(height: int, width: int, size: Size | None, side: Side = "short") -> tuple[int, int]:
    """Height and width after resizing a `height` × `width` picture.

    `size` is the pixels of the shorter or longer side, the other following in proportion. A pair (height, width) is
    taken exactly whatever `side` says, and `side="both"` takes one number for both: these two change the proportions.
    `None` leaves the shape alone. Raises `ImageError` for sizes below 1 or above `MAX_PIXELS` and for an unknown side.
    """
    if size is None:
        return height, width
    if side not in ("short", "long", "both"):
        raise ImageError(f"side={side!r} is unknown. Choose 'short', 'long' or 'both'.")
    wanted = size if isinstance(size, tuple | list) else (size,)
    if len(wanted) not in (1, 2) or not all(isinstance(n, int) and not isinstance(n, bool) for n in wanted):
        raise ImageError(f"size={size!r} is no size. Give whole pixels: one number, or (height, width).")
    if min(wanted) < 1:
        raise ImageError(f"size={size!r} is too small. Give at least 1 pixel.")
    if len(wanted) == 2:
        shape = (wanted[0], wanted[1])
    elif side == "both":
        shape = (wanted[0], wanted[0])
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
    """Row and column where a centred crop begins; `ImageError` when the crop does not fit."""
    if not (1 <= crop_height <= height and 1 <= crop_width <= width):
        raise ImageError(
            f"A crop of {crop_width} × {crop_height} pixels does not fit into a picture of {width} × {height}. "
            "Resize first, or crop less."
        )
    return (height - crop_height) // 2, (width - crop_width) // 2
