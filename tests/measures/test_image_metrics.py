"""Measures against known answers: the same picture, a known shift, a blur, a pure wave, edges counted by hand."""

import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from skimage import color, data, feature, filters

from stylerepro.errors import ImageError
from stylerepro.measures import image_metrics as metrics
from stylerepro.pictures import images

FACE = (178, 66, 275, 188)
FLAT = np.full((1, 3, 32, 32), 0.5)
EDGE_MEASURES = [metrics.edge_ssim, metrics.gradient_correlation, metrics.pratt_fom]


def as_picture(array):
    """(H, W) or (H, W, 3) as (1, 3, H, W)."""
    array = np.asarray(array, float)
    array = array[..., None].repeat(3, 2) if array.ndim == 2 else array
    return array.transpose(2, 0, 1)[None]


@pytest.fixture(scope="module")
def astronaut():
    return as_picture(data.astronaut() / 255)


@pytest.fixture(scope="module")
def small():
    return as_picture(data.astronaut()[::4, ::4] / 255)


def blurred(picture, sigma):
    return ndimage.gaussian_filter(picture, (0, 0, sigma, sigma))


def wave(frequency, size=64, axis=1):
    line = 0.5 + 0.4 * np.cos(2 * np.pi * frequency * np.arange(size))
    return as_picture(np.broadcast_to(line if axis == 1 else line[:, None], (size, size)))


@pytest.mark.parametrize("measure", [*EDGE_MEASURES, metrics.ssim])
def test_a_picture_keeps_all_of_itself_and_a_blurred_or_shifted_one_less(astronaut, measure):
    for box in (None, FACE):
        assert measure(astronaut, astronaut, box) == pytest.approx(1)
    kept = [measure(blurred(astronaut, sigma), astronaut, FACE) for sigma in (1, 2, 4, 8)]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] - kept[-1] > 0.2
    assert measure(np.roll(astronaut, 4, axis=3), astronaut, FACE) < 0.75
    other = astronaut.copy()
    other[..., 300:, :] = 0.5
    assert measure(other, astronaut, FACE) == pytest.approx(1), "only what lies in the box counts"


def test_tensors_and_arrays_are_measured_alike(small):
    other = blurred(small, 1)
    tensors = torch.from_numpy(other), torch.from_numpy(small)
    for measure in [*EDGE_MEASURES, metrics.ssim, metrics.mse, metrics.sliced_wasserstein]:
        assert measure(*tensors) == pytest.approx(measure(other, small), rel=1e-6)


def test_gradient_correlation_knows_contrast_from_negative(small):
    assert metrics.gradient_correlation(0.3 * small + 0.2, small) == pytest.approx(1)
    assert metrics.gradient_correlation(1 - small, small) == pytest.approx(-1)
    assert metrics.gradient_correlation(np.full_like(small, 0.5), small) == pytest.approx(0)
    assert metrics.gradient_correlation(wave(0.1), wave(0.1)) == pytest.approx(1)


def test_gradient_correlation_and_spectrum_against_numpy(small):
    other = blurred(small, 2)
    grey = [np.tensordot([0.2125, 0.7154, 0.0721], x[0], 1) for x in (other, small)]
    expected = np.mean([np.corrcoef(*(f(g).ravel() for g in grey))[0, 1] for f in (filters.sobel_h, filters.sobel_v)])
    assert metrics.gradient_correlation(other, small) == pytest.approx(expected)
    spectrum = np.log1p(np.abs(np.fft.fftshift(np.fft.fft2(grey[1] - grey[1].mean()))))
    np.testing.assert_allclose(metrics.amplitude_spectrum(small, window=False), spectrum, atol=1e-9)


def test_pratt_by_hand():
    wanted, edges = np.zeros((2, 5, 9), bool)
    wanted[:, 4] = True
    edges[:3, 4] = True  # three in place
    edges[3, 7] = True  # one three pixels off: 1 / (1 + 9/9)
    assert metrics.figure_of_merit(edges, wanted) == pytest.approx((3 + 0.5) / 5)
    edges[:, :2] = True  # ten invented ones, four and three pixels off
    assert metrics.figure_of_merit(edges, wanted) == pytest.approx((3 + 0.5 + 5 / (1 + 16 / 9) + 5 * 0.5) / 14)
    assert metrics.figure_of_merit(np.zeros_like(edges), wanted) == 0
    step = np.zeros((32, 32))
    step[:, 16], step[:, 17:] = 0.5, 1  # the middle column settles where the edge is
    moved = np.roll(step, 3, axis=1)
    moved[:, :3] = 0
    assert metrics.pratt_fom(as_picture(moved), as_picture(step)) == pytest.approx(0.5, abs=0.02)


def test_mse_and_total_variation_by_hand():
    flat, ramp = np.zeros((1, 3, 4, 5)), np.broadcast_to(np.arange(5) / 10, (1, 3, 4, 5))
    assert metrics.mse(flat, ramp) == pytest.approx((0 + 1 + 4 + 9 + 16) / 500)
    # Per channel 4·4 horizontal pairs of 0.1 and 3·5 vertical pairs of 0.
    assert metrics.total_variation(ramp) == pytest.approx(0.1 * 16 / 31)
    assert metrics.total_variation(np.zeros((1, 3, 1, 1))) == 0


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("frequency", [4 / 64, 10 / 64, 24 / 64])
@pytest.mark.parametrize("window", [True, False])
def test_a_pure_wave_stands_at_its_radius(axis, frequency, window):
    picture = wave(frequency, axis=axis)
    profile = metrics.radial_profile(picture, window)
    # The window spreads a line over its neighbours, and the inner rings are the shorter ones.
    assert profile.frequency[profile.amplitude.idxmax()] == pytest.approx(frequency, abs=window / 64 + 1e-9)
    share = metrics.high_frequency_share(picture, 0.25, window)
    assert share == pytest.approx(float(frequency > 0.25), abs=0.02)
    spectrum = metrics.amplitude_spectrum(picture, window)
    peak = np.unravel_index(spectrum.argmax(), spectrum.shape)
    assert abs(peak[axis] - 32) == frequency * 64
    assert peak[1 - axis] == 32


def test_profile_of_an_oblong_picture_ends_at_one_half():
    profile = metrics.radial_profile(np.random.default_rng(0).random((1, 3, 40, 90)))
    assert profile.frequency.is_monotonic_increasing
    assert (profile.frequency.iloc[0], profile.frequency.iloc[-1]) == (1 / 40, 0.5)
    assert np.isfinite(profile.amplitude).all()


def test_blur_lowers_what_is_high_and_enlarges_the_scale(small):
    shares = [metrics.high_frequency_share(blurred(small, sigma)) for sigma in (0, 0.5, 1, 2)]
    assert shares == sorted(shares, reverse=True)
    assert metrics.high_frequency_share(FLAT) == 0
    noise = np.random.default_rng(0).random((1, 3, 64, 64))
    assert metrics.dominant_scale(blurred(noise, 2)) > 1.5 * metrics.dominant_scale(noise)


def test_sliced_wasserstein_is_the_mean_of_scipys_distances(small):
    """One scale, patches of one pixel: random directions in colour space."""
    other = blurred(small, 3)[..., ::-1, :-20]
    directions = torch.randn(8, 3, 1, 1, generator=torch.Generator().manual_seed(5)).numpy()[..., 0, 0]
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    projected = [directions @ x[0].reshape(3, -1) for x in (other, small)]
    spread = projected[1].std(axis=1, ddof=1).mean()
    expected = np.mean([stats.wasserstein_distance(*pair) for pair in zip(*projected, strict=True)]) / spread
    measured = metrics.sliced_wasserstein(other, small, patch=1, projections=8, scales=1, seed=5)
    assert measured == pytest.approx(expected, rel=0.01)


def test_sliced_wasserstein_sees_style_and_not_place():
    generator = np.random.default_rng(1)
    noise = ndimage.gaussian_filter(generator.random((1, 3, 128, 128)), (0, 0, 1, 1), mode="wrap")
    style = 0.5 + (noise - 0.5) * 3
    assert metrics.sliced_wasserstein(style, style) == 0
    moved = metrics.sliced_wasserstein(np.roll(style, (40, 17), (2, 3)), style)
    mixtures = [metrics.sliced_wasserstein(0.5 + (style - 0.5) * keep, style) for keep in (0.75, 0.5, 0.25, 0)]
    assert moved < 0.5 * mixtures[0]
    assert mixtures == sorted(mixtures)
    redder = style + np.array([0.3, 0, -0.3])[None, :, None, None]
    assert metrics.sliced_wasserstein(redder, style) > 5 * moved


def test_sliced_wasserstein_is_decided_by_its_seed_and_finite_for_a_flat_style(small):
    once, again, other = (metrics.sliced_wasserstein(blurred(small, 1), small, seed=seed) for seed in (1, 1, 2))
    assert once == again != other
    assert 1 < metrics.sliced_wasserstein(small, np.full_like(small, 0.5)) < 1000


# ---- colours, edges in place, layout and scale

GENERATOR = torch.Generator().manual_seed(0)
PHOTO = images.centre_crop(images.read("chelsea", 96), 96, 96)


def square(left):
    picture = torch.zeros(1, 3, 64, 64)
    picture[..., 20:44, left : left + 24] = 1
    return picture


def test_colours_count_and_not_their_places():
    shuffled = PHOTO.flatten(2)[..., torch.randperm(96 * 96, generator=GENERATOR)].reshape(PHOTO.shape)
    assert metrics.colour_distance(shuffled, PHOTO) == pytest.approx(0, abs=1e-6)
    assert metrics.colour_distance(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 9, 9)) == pytest.approx(1)
    half = torch.cat([torch.zeros(1, 3, 8, 4), torch.ones(1, 3, 8, 4)], 3)
    # The overlap of {½, ½} and {1} is √½.
    assert metrics.colour_distance(half, torch.ones(1, 3, 8, 8)) == pytest.approx(np.sqrt(1 - np.sqrt(0.5)))


def test_edges_are_displaced_by_what_they_were_moved_or_by_the_diagonal():
    assert metrics.edge_displacement(PHOTO, PHOTO) == 0
    near, far = (metrics.edge_displacement(square(20 + by), square(20)) for by in (2, 6))
    # Two of the four sides move by so much, the other two slide along themselves.
    assert 0.5 < near < 2 < far < 6
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert metrics.edge_displacement(flat, square(20)) == pytest.approx(64 * 2**0.5), "no edge is left"


def test_layout_sees_light_and_dark_and_no_texture():
    noisy = (PHOTO + 0.3 * torch.randn(PHOTO.shape, generator=GENERATOR)).clamp(0, 1)
    assert metrics.layout_correlation(PHOTO, PHOTO) == pytest.approx(1)
    assert metrics.layout_correlation(noisy, PHOTO) > 0.95
    assert metrics.layout_correlation(1 - PHOTO, PHOTO) == pytest.approx(-1)
    noise = torch.rand(PHOTO.shape, generator=GENERATOR)
    assert abs(metrics.layout_correlation(noise, PHOTO)) < 0.35
    assert metrics.layout_correlation(torch.zeros_like(PHOTO), PHOTO) == 0


@pytest.mark.parametrize("wavelength", [4, 8, 16])
def test_the_scale_of_stripes_is_their_wavelength(wavelength):
    assert metrics.dominant_scale(wave(1 / wavelength, size=128)) == pytest.approx(wavelength, rel=0.1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: metrics.mse(FLAT, FLAT[..., :8]), "one size.*32×32 and 8×32"),
        (lambda: metrics.ssim(FLAT[0], FLAT[0]), r"must be \(1, 3, H, W\)"),
        (lambda: metrics.ssim(FLAT, FLAT, (0, 0, 4, 4)), "7×7"),
        (lambda: metrics.ssim(FLAT, FLAT, (0, 0, 40, 20)), "does not lie inside a picture of 32×32"),
        (lambda: metrics.edge_ssim(FLAT, FLAT), "no edge"),
        (lambda: metrics.gradient_correlation(FLAT, FLAT), "no edge"),
        (lambda: metrics.pratt_fom(FLAT, FLAT), "no edge"),
        (lambda: metrics.edge_displacement(PHOTO, torch.zeros_like(PHOTO)), "no edge"),
        (lambda: metrics.edge_displacement(square(20), PHOTO), "64×64 and 96×96"),
        (lambda: metrics.layout_correlation(square(20), PHOTO), "64×64 and 96×96"),
        (lambda: metrics.dominant_scale(FLAT), "no scale"),
        (lambda: metrics.sliced_wasserstein(FLAT, FLAT), "32 px is too small.*least size is 56"),
    ],
)
def test_what_cannot_be_measured_is_said(call, words):
    with pytest.raises(ImageError, match=words):
        call()


def test_chroma_energy_is_coloured_fine_noise_and_nothing_else():
    grey = torch.rand(1, 1, 64, 48, generator=torch.Generator().manual_seed(0)).expand(1, 3, 64, 48)
    assert metrics.chroma_energy(grey) == pytest.approx(0, abs=1e-12)
    wave, slow = torch.full((2, 1, 3, 64, 48), 0.5, dtype=torch.float64)
    wave[:, 2] += 0.1 * torch.cos(torch.pi * torch.arange(48))  # half a cycle per pixel, in blue alone
    # B − Y has (1 − 0.114) of it, R − Y −0.114; the mean square of a ±1 wave is 1.
    assert metrics.chroma_energy(wave) == pytest.approx(0.01 * (0.886**2 + 0.114**2))
    slow[:, 2] += 0.1 * torch.cos(2 * torch.pi * torch.arange(48) / 8)
    assert metrics.chroma_energy(slow) == pytest.approx(0, abs=1e-12)
    assert metrics.chroma_energy(slow, cutoff=0.1) > 0.003


def test_contour_contrast_goes_by_the_place_of_contours_and_not_by_their_strength():
    portrait = images.centre_crop(images.read("astronaut", 128), 128, 128)
    own = metrics.contour_contrast(portrait, portrait)
    assert 0.2 < own < 1
    assert metrics.contour_contrast(0.5 * portrait, portrait) == pytest.approx(own, abs=1e-6), "paler is no less clear"
    speckled = portrait + 0.2 * torch.rand(portrait.shape, generator=torch.Generator().manual_seed(0))
    assert metrics.contour_contrast(speckled, portrait) < own - 0.05
    soft = torch.from_numpy(ndimage.gaussian_filter(portrait.numpy(), (0, 0, 4, 4)))
    outlined = torch.where(around(portrait) > 0, portrait, soft)
    assert metrics.contour_contrast(outlined, portrait) > own, "it may be clearer than the portrait"
    assert metrics.contour_contrast(torch.full_like(portrait, 0.5), portrait) == 0
    with pytest.raises(ImageError, match="edge"):
        metrics.contour_contrast(portrait, torch.full_like(portrait, 0.5))


def around(picture):
    """A mask of the surroundings of strong contours."""
    grey = color.rgb2gray(images.to_array(picture))
    mask = ndimage.binary_dilation(feature.canny(grey, sigma=3), iterations=4)
    return torch.from_numpy(mask)[None, None].float()
