"""Measures of pictures: edges kept, likeness, smoothness, spectra, style, colours, layout and scale.

None of these is optimised anywhere in the project. Pictures are (1, 3, H, W) tensors or arrays, sRGB in [0, 1]. "Grey"
is scikit-image's `rgb2gray` (0.2125 R + 0.7154 G + 0.0721 B). A box is (x0, y0, x1, y1) in pixels, x1 and y1 excluded;
edges are found in the whole picture and cut to the box afterwards, so that its border makes no edge.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage import color, feature, filters, metrics
from torch import Tensor
from torch.nn import functional

from stylerepro.errors import ImageError

Array = NDArray[np.float64]
Picture = Tensor | ArrayLike
Box = tuple[int, int, int, int]

_BINS = 8  # of each channel in a colour histogram
_LAYOUT_BLUR = 1 / 32  # standard deviation of the blur that leaves only the layout, as a share of the shorter side
_NO_EDGE = "The reference has no edge, or none inside the box; how edges are kept is not defined there."


def check_references(
    measure: Callable[..., float], references: Mapping[str, Picture], boxes: Mapping[str, Box] | None = None
) -> None:
    """Try a measure on each reference against itself, so that no work is done that it could not judge.

    Raises its `ImageError` with the reference's name.
    """
    for name, picture in references.items():
        try:
            measure(picture, picture, **({"box": boxes[name]} if boxes else {}))
        except ImageError as error:
            raise ImageError(f"{name}: {error} Take another picture.") from error


def mse(a: Picture, b: Picture) -> float:
    """Return the mean squared error over pixels and channels, in [0, 1]² units."""
    first, second = _pair(a, b)
    return float(np.mean((first - second) ** 2))


def ssim(a: Picture, b: Picture, box: Box | None = None) -> float:
    """Return the structural similarity (Wang et al. 2004), mean over the channels, 7×7 windows, range 1. At most 1."""
    first, second = (_cut(x, box) for x in _pair(a, b))
    return _ssim(first, second, 1.0, channel_axis=2)


def edge_ssim(image: Picture, reference: Picture, box: Box | None = None) -> float:
    """Return the SSIM of the grey pictures' Sobel edges, range: the strongest edge of the reference in the box.

    1 where the contours are the same in place and strength. Raises `ImageError` for a reference without an edge.
    """
    edges, wanted = (_cut(filters.sobel(color.rgb2gray(x)), box) for x in _pair(image, reference))
    if wanted.max() < 1e-9:
        raise ImageError(_NO_EDGE)
    return _ssim(edges, wanted, float(wanted.max()))


def gradient_correlation(image: Picture, reference: Picture, box: Box | None = None) -> float:
    """Average the correlations of the vertical and of the horizontal Sobel derivative (Penney et al. 1998).

    In [−1, 1]: 1 for the same contours whatever the contrast, 0 for unrelated ones or a flat image, −1 for the
    negative. Raises `ImageError` for a reference without an edge.
    """
    correlations: list[float] = []
    for derivative in (filters.sobel_h, filters.sobel_v):
        slopes, wanted = (_cut(derivative(color.rgb2gray(x)), box) for x in _pair(image, reference))
        slopes, wanted = slopes - slopes.mean(), wanted - wanted.mean()
        if wanted.std() > 1e-9:  # where all of the reference's edges run one way, the other way says nothing
            correlations.append(float((slopes * wanted).mean() / max(slopes.std() * wanted.std(), 1e-12)))
    if not correlations:
        raise ImageError(_NO_EDGE)
    return float(np.mean(correlations))


def contour_contrast(image: Picture, reference: Picture, box: Box | None = None, sigma: float = 3.0) -> float:
    """Return how much steeper an image is on the reference's contours than off them, (on − off) / (on + off).

    In [−1, 1]: 1 where nothing but the contours is left, 0 where they stand out from nothing, or in a flat image. Only
    the place of the contours (Canny's at `sigma` pixels, give or take two) comes from the reference, and not how strong
    they are there: an image may score above it. Raises `ImageError` for a reference without an edge in the box.
    """
    seen, known = (color.rgb2gray(x) for x in _pair(image, reference))
    slopes = _cut(filters.sobel(seen), box)
    on = _cut(ndimage.binary_dilation(feature.canny(known, sigma=sigma), iterations=2), box)
    if not on.any() or on.all():
        raise ImageError(_NO_EDGE)
    there, elsewhere = float(slopes[on].mean()), float(slopes[~on].mean())
    return (there - elsewhere) / max(there + elsewhere, 1e-12)


def pratt_fom(image: Picture, reference: Picture, box: Box | None = None, sigma: float = 1.5) -> float:
    """Return Pratt's figure of merit of the image's Canny edges against the reference's, in [0, 1].

    FOM = Σ_k 1/(1 + d_k²/9) / max(edges found, edges wanted), d_k the distance in pixels from the k-th edge found to
    the nearest wanted one (Pratt 1978; Abdou and Pratt 1979). Missing and invented edges both lower it.
    sigma: of Canny's Gaussian, in pixels. Raises `ImageError` for a reference without an edge in the box.
    """
    edges, wanted = (feature.canny(color.rgb2gray(x), sigma=sigma) for x in _pair(image, reference))
    return figure_of_merit(_cut(edges, box), _cut(wanted, box))


def figure_of_merit(edges: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> float:
    """Compute `pratt_fom` of two edge maps (H, W) of True and False."""
    distances = _distances(edges, wanted)
    return float((1 / (1 + distances**2 / 9)).sum() / max(edges.sum(), wanted.sum()))


def total_variation(image: Picture) -> float:
    """Return the mean |difference| of two neighbouring values, over all vertical and horizontal pairs and channels.

    Independent of the size, unlike the sum that document 003 optimises.
    """
    picture = _array(image)
    vertical, horizontal = np.abs(np.diff(picture, axis=0)), np.abs(np.diff(picture, axis=1))
    pairs = vertical.size + horizontal.size
    return float((vertical.sum() + horizontal.sum()) / pairs) if pairs else 0.0


def amplitude_spectrum(image: Picture, window: bool = True) -> Array:
    """Return ln(1 + amplitude) of the grey picture's Fourier transform, (H, W), zero frequency in the middle.

    window: a Hann window first, since a picture's opposite borders do not fit together and would draw a bright cross.
    The mean is taken away. Document 003, section 4.
    """
    return np.log1p(np.fft.fftshift(_amplitude(image, window)))


def radial_profile(image: Picture, window: bool = True) -> pd.DataFrame:
    """Average the amplitude on rings of the spectrum: columns frequency (cycles per pixel, ring centres) and amplitude.

    Rings are 1/min(H, W) wide and end at 0.5, the highest frequency that every direction has.
    """
    amplitude = _amplitude(image, window)
    rings = min(amplitude.shape)
    index = np.rint(_frequencies(amplitude.shape) * rings).astype(int)
    wanted = np.arange(1, rings // 2 + 1)
    return pd.DataFrame(
        {"frequency": wanted / rings, "amplitude": np.atleast_1d(ndimage.mean(amplitude, index, wanted))}
    )


def high_frequency_share(image: Picture, cutoff: float = 0.25, window: bool = True) -> float:
    """Return the share of the summed amplitude at frequencies above `cutoff` cycles per pixel; 0 for a flat picture."""
    amplitude = _amplitude(image, window)
    total = amplitude.sum()
    return float(amplitude[_frequencies(amplitude.shape) > cutoff].sum() / total) if total > 1e-9 else 0.0


def chroma_energy(image: Picture, cutoff: float = 0.25) -> float:
    """Return the energy of B − Y and R − Y above `cutoff` cycles per pixel, per pixel: coloured noise, of any picture.

    image: as everywhere here. Y is the luminance of Rec. 601.
    """
    red, green, blue = np.moveaxis(_array(image), -1, 0)
    luminance = 0.299 * red + 0.587 * green + 0.114 * blue
    spectra = [np.abs(np.fft.fft2(colour - luminance)) ** 2 for colour in (blue, red)]
    rows, columns = (np.fft.fftfreq(length) for length in luminance.shape)
    fine = np.hypot(rows[:, None], columns[None]) > cutoff
    return float(sum(spectrum[fine].sum() for spectrum in spectra) / luminance.size**2)


def sliced_wasserstein(
    a: Picture,
    b: Picture,
    *,
    patch: int = 7,
    projections: int = 64,
    scales: int = 4,
    patches: int = 20_000,
    seed: int = 0,
) -> float:
    """Return the distance of the patches of `a` from those of the style picture `b`, wherever they lie.

    Both are split into `scales` bands of a Laplacian pyramid (the last one low-pass, which holds the colours). In each,
    patches of patch×patch×3 (at most `patches`, drawn once for pictures of one size: sorting them is what takes the
    time) are projected on random directions of length 1, and the projections' W₁ distances
    (Rabin et al. 2011; on pyramids Karras et al. 2018) averaged, in units of the standard deviation of b's, so that
    every band counts alike. Sizes may differ. Raises `ImageError` where the coarsest band is smaller than a patch.
    """
    first, second = (torch.from_numpy(np.ascontiguousarray(_array(x).transpose(2, 0, 1)))[None].float() for x in (a, b))
    least = patch * 2 ** (scales - 1)
    smallest = min(*first.shape[2:], *second.shape[2:])
    if smallest < least:
        raise ImageError(
            f"A picture of {smallest} px is too small for {scales} scales of {patch}-px patches: "
            f"the least size is {least} px. Ask for fewer scales or a larger picture."
        )
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(projections, 3, patch, patch, generator=generator)
    directions /= directions.flatten(1).norm(dim=1)[:, None, None, None]
    distances = []
    for band_a, band_b in zip(_bands(first, scales), _bands(second, scales), strict=True):
        sorted_a, sorted_b = (_sorted_projections(band, directions, patches, seed) for band in (band_a, band_b))
        # One grey level is the floor: a style without any texture in a band does not make the distance infinite.
        spread = max(float(sorted_b.std(dim=1).mean()), 1 / 255)
        distances.append(float((sorted_a - _stretch(sorted_b, sorted_a.shape[1])).abs().mean()) / spread)
    return float(np.mean(distances))


def _bands(picture: Tensor, scales: int) -> list[Tensor]:
    bands = []
    for _ in range(scales - 1):
        coarse = functional.avg_pool2d(picture, 2)
        up = functional.interpolate(coarse, size=picture.shape[2:], mode="bilinear", align_corners=False)
        bands.append(picture - up)
        picture = coarse
    return [*bands, picture]


def _sorted_projections(band: Tensor, directions: Tensor, most: int, seed: int) -> Tensor:
    """Patches on every direction, sorted: (projections, patches). A convolution is exactly that projection."""
    projected = functional.conv2d(band, directions)[0].flatten(1)
    if projected.shape[1] > most:
        drawn = torch.randperm(projected.shape[1], generator=torch.Generator().manual_seed(seed))[:most]
        projected = projected[:, drawn]
    return projected.sort(dim=1).values


def _stretch(quantiles: Tensor, length: int) -> Tensor:
    """The quantile function of sorted samples at `length` evenly spaced levels."""
    if quantiles.shape[1] == length:
        return quantiles
    return functional.interpolate(quantiles[None], size=length, mode="linear", align_corners=False)[0]


def colour_distance(image: Tensor, reference: Tensor) -> float:
    """Return the Hellinger distance of the joint colour histograms (8 bins a channel): 0 for the same, at most 1.

    A count of colours: where they are does not matter, so pictures of two sizes may be compared.
    """
    shares = []
    for picture in (image, reference):
        counts, _ = np.histogramdd(_array(picture).reshape(-1, 3), bins=_BINS, range=[(0, 1)] * 3)
        shares.append(counts / max(counts.sum(), 1))
    # Rounding may bring the overlap of equal histograms above 1.
    return float(np.sqrt(max(0.0, 1 - np.sqrt(shares[0] * shares[1]).sum())))


def edge_displacement(image: Tensor, reference: Tensor, sigma: float = 1.5) -> float:
    """Return the mean distance, in pixels, from the image's Canny edge pixels to the nearest ones of the reference.

    sigma: of Canny's Gaussian, in pixels. An image without an edge is as far off as it can be: the picture's diagonal.
    Raises `ImageError` for a reference without an edge.
    """
    edges, wanted = (feature.canny(color.rgb2gray(x), sigma=sigma) for x in _pair(image, reference))
    distances = _distances(edges, wanted)
    return float(distances.mean()) if len(distances) else float(np.hypot(*wanted.shape))


def layout_correlation(image: Tensor, reference: Tensor) -> float:
    """Correlate the grey pictures blurred by 1/32 of the shorter side, in [−1, 1]: light and dark in one place.

    0 where one of them is flat.
    """
    greys = [color.rgb2gray(x) for x in _pair(image, reference)]
    first, second = (ndimage.gaussian_filter(x, _LAYOUT_BLUR * min(x.shape)) for x in greys)
    first, second = first - first.mean(), second - second.mean()
    spread = first.std() * second.std()
    return float((first * second).mean() / spread) if spread > 1e-12 else 0.0


def dominant_scale(image: Tensor) -> float:
    """Return the wavelength, in pixels, that halves the spectrum: half of the summed amplitude lies at longer ones.

    Rings of the spectrum count with their circumference, so that white noise has its centre at high frequencies and a
    picture of large structures at low ones. Raises `ImageError` for a flat picture.
    """
    profile = radial_profile(image)
    weight = (profile["amplitude"] * profile["frequency"]).to_numpy()
    if weight.sum() < 1e-9:
        raise ImageError("A flat picture has no scale.")
    share = np.cumsum(weight) / weight.sum()
    return float(1 / np.interp(0.5, share, profile["frequency"]))


def _amplitude(image: Picture, window: bool) -> Array:
    grey = color.rgb2gray(_array(image))
    weights = np.ones(grey.shape)
    if window:
        rows, columns = (filters.window("hann", side) if side > 2 else np.ones(side) for side in grey.shape)
        weights = rows[:, None] * columns[None]
    return np.abs(np.fft.fft2((grey - (grey * weights).sum() / weights.sum()) * weights))


def _frequencies(shape: tuple[int, ...]) -> Array:
    """Cycles per pixel at each place of an unshifted spectrum."""
    return np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None])


def _ssim(first: Array, second: Array, data_range: float, channel_axis: int | None = None) -> float:
    if min(first.shape[:2]) < 7:
        raise ImageError(f"SSIM needs 7×7 pixels at least, got {first.shape[1]}×{first.shape[0]}.")
    return float(metrics.structural_similarity(first, second, data_range=data_range, channel_axis=channel_axis))


def _pair(a: Picture, b: Picture) -> tuple[Array, Array]:
    first, second = _array(a), _array(b)
    if first.shape != second.shape:
        raise ImageError(
            f"Pictures to compare must have one size, got {first.shape[1]}×{first.shape[0]} and "
            f"{second.shape[1]}×{second.shape[0]} px; resize one of them first."
        )
    return first, second


def _distances(edges: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> Array:
    """Pixels from each of `edges` to the nearest of the edges `wanted`."""
    if not wanted.any():
        raise ImageError(_NO_EDGE)
    return ndimage.distance_transform_edt(~wanted)[edges]


def _array(picture: Picture) -> Array:
    """(1, 3, H, W) as (H, W, 3) float64."""
    array = picture.detach().cpu().double().numpy() if isinstance(picture, Tensor) else np.asarray(picture, float)
    if array.ndim != 4 or array.shape[:2] != (1, 3):
        raise ImageError(f"A picture to measure must be (1, 3, H, W), got shape {array.shape}.")
    return array[0].transpose(1, 2, 0)


def _cut(array: NDArray, box: Box | None) -> NDArray:
    if box is None:
        return array
    x0, y0, x1, y1 = box
    height, width = array.shape[:2]
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ImageError(f"The box {(x0, y0, x1, y1)} does not lie inside a picture of {width}×{height} px.")
    return array[y0:y1, x0:x1]
