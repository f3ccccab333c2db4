"""What of a picture another one has kept: colours, place of edges, layout; and how large a picture's structures are.

Pictures are tensors (1, 3, H, W), sRGB in [0, 1].
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import color, feature
from torch import Tensor

from stylerepro import images
from stylerepro.errors import ImageError
from stylerepro.measures import radial_profile

Array = NDArray[np.float64]

_BINS = 8  # of each channel in a colour histogram
LAYOUT_BLUR = 1 / 32
"""Standard deviation of the blur that leaves only the layout, as a share of the shorter side."""


def colour_distance(image: Tensor, reference: Tensor) -> float:
    """Hellinger distance of the joint colour histograms (8 bins a channel): 0 for the same, 1 for no colour in common.

    A count of colours: where they are does not matter, so pictures of two sizes may be compared.
    """
    one, other = (_histogram(images.to_array(picture)) for picture in (image, reference))
    # Rounding may bring the overlap of equal histograms above 1.
    return float(np.sqrt(max(0.0, 1 - np.sqrt(one * other).sum())))


def edge_displacement(image: Tensor, reference: Tensor, sigma: float = 1.5) -> float:
    """Mean distance, in pixels, from each Canny edge pixel of the image to the nearest one of the reference.

    sigma: of Canny's Gaussian, in pixels. An image without an edge is as far off as it can be: the picture's diagonal.
    Raises `ImageError` for a reference without an edge.
    """
    found, wanted = (feature.canny(_grey(picture), sigma=sigma) for picture in (image, reference))
    _same_size(found, wanted)
    if not wanted.any():
        raise ImageError("The reference has no edge; how far edges are displaced is not defined there.")
    if not found.any():
        return float(np.hypot(*wanted.shape))
    return float(ndimage.distance_transform_edt(~wanted)[found].mean())


def layout_correlation(image: Tensor, reference: Tensor) -> float:
    """Correlation of the grey pictures blurred by 1/32 of the shorter side, in [−1, 1]: light and dark in one place.

    0 where one of them is flat.
    """
    one, other = (_blurred(picture) for picture in (image, reference))
    _same_size(one, other)
    one, other = one - one.mean(), other - other.mean()
    spread = one.std() * other.std()
    return float((one * other).mean() / spread) if spread > 1e-12 else 0.0


def dominant_scale(image: Tensor) -> float:
    """Wavelength, in pixels, at the centre of the spectrum: half of the summed amplitude lies at longer ones.

    Rings of the spectrum count with their circumference, so that white noise has its centre at high frequencies and a
    picture of large structures at low ones. Raises `ImageError` for a flat picture.
    """
    profile = radial_profile(image)
    weight = (profile["amplitude"] * profile["frequency"]).to_numpy()
    if weight.sum() < 1e-9:
        raise ImageError("A flat picture has no scale.")
    share = np.cumsum(weight) / weight.sum()
    return float(1 / np.interp(0.5, share, profile["frequency"]))


def _histogram(picture: Array) -> NDArray[np.float64]:
    counts, _ = np.histogramdd(picture.reshape(-1, 3), bins=_BINS, range=[(0, 1)] * 3)
    return counts / max(counts.sum(), 1)


def _blurred(picture: Tensor) -> Array:
    grey = _grey(picture)
    return ndimage.gaussian_filter(grey, LAYOUT_BLUR * min(grey.shape))


def _grey(picture: Tensor) -> Array:
    return color.rgb2gray(images.to_array(picture))


def _same_size(one: NDArray, other: NDArray) -> None:
    if one.shape != other.shape:
        raise ImageError(f"Pictures of {one.shape[1]}×{one.shape[0]} and {other.shape[1]}×{other.shape[0]} px cannot "
                         "be compared place by place; bring them to one size.")  # fmt: skip
