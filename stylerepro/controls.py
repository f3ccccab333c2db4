"""Controls for compressed pictures: other ways to lose as much, so that a low-pass filter cannot pass for a finding."""

import io

import numpy as np
from PIL import Image
from scipy import ndimage, optimize
from torch import Tensor

from stylerepro import images
from stylerepro.errors import CompressionError
from stylerepro.measures import mse

_WIDEST_BLUR = 50.0


def blurred(image: Tensor, error: float) -> Tensor:
    """The picture (1, 3, H, W) under the Gaussian blur whose mean squared error is `error`, in [0, 1]² units.

    Raises `CompressionError` where no blur of up to 50 px loses that much.
    """
    array = images.to_array(image)

    def blur(sigma: float) -> np.ndarray:
        return ndimage.gaussian_filter(array, (sigma, sigma, 0), mode="reflect")

    def excess(sigma: float) -> float:
        return float(np.mean((blur(sigma) - array) ** 2)) - error

    if not error > 0 or excess(_WIDEST_BLUR) < 0:
        raise CompressionError(
            f"No blur of this picture has a mean squared error of {error:.3g}; it must be above 0 and at most "
            f"{excess(_WIDEST_BLUR) + error:.3g}."
        )
    return images.from_array(blur(float(optimize.brentq(excess, 0, _WIDEST_BLUR, xtol=1e-4))))


def jpeg(image: Tensor, error: float) -> tuple[Tensor, int]:
    """The picture (1, 3, H, W) through the JPEG quality whose mean squared error comes closest to `error`.

    Returns it with its quality, 1 to 95. Quality is a whole number, so the error is met only nearly: report it.
    """
    found = {quality: _through_jpeg(image, quality) for quality in range(1, 96)}
    best = min(found, key=lambda quality: abs(mse(found[quality], image) - error))
    return found[best], best


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    stream = io.BytesIO()
    pixels = np.rint(images.to_array(image).clip(0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as decoded:
        return images.from_array(np.asarray(decoded, dtype=np.float64) / 255)
