"""Controls lose as much as they were told to, in their own way."""

import pytest
import torch

from stylerepro.errors import CompressionError
from stylerepro.measures import image_metrics
from stylerepro.pictures import images
from stylerepro.studies import compression

PORTRAIT = images.read("astronaut", 96)


@pytest.mark.parametrize("error", [1e-4, 1e-3])
def test_blur_meets_the_error_and_smooths(error):
    picture = compression.blurred(PORTRAIT, error)
    assert image_metrics.mse(picture, PORTRAIT) == pytest.approx(error, rel=1e-2)
    assert image_metrics.total_variation(picture) < image_metrics.total_variation(PORTRAIT)


def test_jpeg_comes_as_close_as_any_quality():
    picture, quality = compression.jpeg(PORTRAIT, 1e-3)
    found = image_metrics.mse(picture, PORTRAIT)
    assert found == pytest.approx(1e-3, rel=0.2)
    assert compression.jpeg(PORTRAIT, found)[1] == quality
    neighbours = [
        image_metrics.mse(compression.jpeg(PORTRAIT, wanted)[0], PORTRAIT) for wanted in (0.9 * found, 1.1 * found)
    ]
    assert all(abs(found - 1e-3) <= abs(other - 1e-3) for other in neighbours)
    assert not torch.equal(picture, compression.blurred(PORTRAIT, found))


@pytest.mark.parametrize("error", [0.0, -1.0, 5.0])
def test_an_error_that_no_blur_has(error):
    with pytest.raises(CompressionError, match="at most"):
        compression.blurred(PORTRAIT, error)
