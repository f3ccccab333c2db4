"""Colours, edges, layout and scale, on pictures whose answer is known."""

import numpy as np
import pytest
import torch

from stylerepro.errors import ImageError
from stylerepro.measures import image_metrics
from stylerepro.pictures import images

GENERATOR = torch.Generator().manual_seed(0)
PHOTO = images.centre_crop(images.read("chelsea", 96), 96, 96)


def square(left, size=64, side=24, grey=1.0):
    picture = torch.zeros(1, 3, size, size)
    picture[..., 20 : 20 + side, left : left + side] = grey
    return picture


def stripes(wavelength, size=128):
    wave = 0.5 + 0.5 * torch.sin(2 * torch.pi * torch.arange(size) / wavelength)
    return wave.expand(1, 3, size, size).clone()


def test_colours_count_and_not_their_places():
    shuffled = PHOTO.flatten(2)[..., torch.randperm(96 * 96, generator=GENERATOR)].reshape(PHOTO.shape)
    assert image_metrics.colour_distance(shuffled, PHOTO) == pytest.approx(0, abs=1e-6)
    assert image_metrics.colour_distance(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 9, 9)) == pytest.approx(1)
    half = torch.cat([torch.zeros(1, 3, 8, 4), torch.ones(1, 3, 8, 4)], 3)
    # The overlap of {½, ½} and {1} is √½.
    assert image_metrics.colour_distance(half, torch.ones(1, 3, 8, 8)) == pytest.approx(np.sqrt(1 - np.sqrt(0.5)))


def test_edges_are_displaced_by_what_they_were_moved():
    assert image_metrics.edge_displacement(PHOTO, PHOTO) == 0
    near, far = (image_metrics.edge_displacement(square(20 + by), square(20)) for by in (2, 6))
    # Two of the four sides move by so much, the other two slide along themselves.
    assert 0.5 < near < 2
    assert 2 < far < 6


def test_without_edges_displacement_is_the_diagonal_or_an_error():
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert image_metrics.edge_displacement(flat, square(20)) == pytest.approx(64 * 2**0.5)
    with pytest.raises(ImageError, match="no edge"):
        image_metrics.edge_displacement(square(20), flat)


def test_layout_sees_light_and_dark_and_no_texture():
    noisy = (PHOTO + 0.3 * torch.randn(PHOTO.shape, generator=GENERATOR)).clamp(0, 1)
    assert image_metrics.layout_correlation(PHOTO, PHOTO) == pytest.approx(1)
    assert image_metrics.layout_correlation(noisy, PHOTO) > 0.95
    assert image_metrics.layout_correlation(1 - PHOTO, PHOTO) == pytest.approx(-1)
    noise = torch.rand(PHOTO.shape, generator=GENERATOR)
    assert abs(image_metrics.layout_correlation(noise, PHOTO)) < 0.35
    assert image_metrics.layout_correlation(torch.zeros_like(PHOTO), PHOTO) == 0


@pytest.mark.parametrize("wavelength", [4, 8, 16])
def test_the_scale_of_stripes_is_their_wavelength(wavelength):
    assert image_metrics.dominant_scale(stripes(wavelength)) == pytest.approx(wavelength, rel=0.1)


def test_a_blurred_picture_has_a_larger_scale_and_a_flat_one_has_none():
    noise = torch.rand(1, 3, 64, 64, generator=GENERATOR)
    blurred = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    assert image_metrics.dominant_scale(blurred) > 1.5 * image_metrics.dominant_scale(noise)
    with pytest.raises(ImageError, match="no scale"):
        image_metrics.dominant_scale(torch.full((1, 3, 32, 32), 0.3))


@pytest.mark.parametrize("measure", [image_metrics.edge_displacement, image_metrics.layout_correlation])
def test_two_sizes_cannot_be_compared_place_by_place(measure):
    with pytest.raises(ImageError, match="64×64 and 96×96"):
        measure(square(20), PHOTO)
