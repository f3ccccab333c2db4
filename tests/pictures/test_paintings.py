"""The painters: the same picture for the same seed, at any size, and clearly different styles."""

import functools
import itertools

import numpy as np
import pytest
from scipy import ndimage

from stylerepro.errors import ImageError
from stylerepro.pictures.paintings import PAINTINGS, paint

NAMES = sorted(PAINTINGS)


@functools.cache
def painted(name: str, size: int, seed: int) -> np.ndarray:
    """A painting that several tests look at."""
    picture = paint(name, size, seed)
    picture.setflags(write=False)
    return picture


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_picture_other_seed_another(name: str) -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002 - the global state must not be touched
    first = painted(name, 64, 2)
    assert np.array_equal(first, paint(name, (64, 64), seed=2))
    assert np.abs(first - painted(name, 64, 3)).mean() > 0.02
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(33, 57), (64, 21), (1, 1), (7, 12)])
def test_any_size_gives_finite_values_in_range(name: str, size: tuple[int, int]) -> None:
    picture = paint(name, size, seed=1)
    assert picture.shape == (*size, 3)
    assert picture.dtype == np.float32
    assert picture.flags.c_contiguous
    assert np.isfinite(picture).all()
    assert 0 <= picture.min() <= picture.max() <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_is_one_composition_at_every_size(name: str) -> None:
    """Averaged over an 8 × 8 raster, a small and a larger rendering are all but the same."""

    def layout(size: int) -> np.ndarray:
        picture = painted(name, size, 2)
        blocks = picture.reshape(8, size // 8, 8, size // 8, 3)
        return blocks.mean(axis=(1, 3))

    assert np.corrcoef(layout(64).ravel(), layout(128).ravel())[0, 1] > 0.95


def _statistics(picture: np.ndarray) -> np.ndarray:
    """Gram matrix of colour and of edge responses at three scales, with signed square roots to even out the scales."""
    channels = [picture - 0.5]
    for sigma in (1.0, 2.0, 4.0):
        for order in ((1, 0), (0, 1), (2, 0), (0, 2)):
            response = ndimage.gaussian_filter(picture, (sigma, sigma, 0), order=(*order, 0))
            channels.append(np.abs(response) * 4 * sigma ** sum(order))
    features = np.concatenate(channels, axis=-1).reshape(-1, 3 * len(channels))
    gram = features.T @ features / len(features)
    return np.sign(gram) * np.sqrt(np.abs(gram))


def test_styles_differ_more_between_painters_than_between_seeds() -> None:
    grams = {(name, seed): _statistics(painted(name, 64, seed)) for name in NAMES for seed in (2, 3)}
    own = {name: np.linalg.norm(grams[name, 2] - grams[name, 3]) for name in NAMES}
    for a, b in itertools.combinations(NAMES, 2):
        between = min(np.linalg.norm(grams[a, i] - grams[b, j]) for i in (2, 3) for j in (2, 3))
        assert between > 1.5 * max(own[a], own[b]), (a, b, between, own[a], own[b])


def test_there_are_the_promised_painters_and_an_unknown_name_names_the_nearest() -> None:
    assert {"swirls", "stained_glass", "woodcut", "pointillism", "cubist"} <= set(PAINTINGS)
    with pytest.raises(ImageError, match="Did you mean 'woodcut'"):
        paint("wood_cut", 8)


@pytest.mark.parametrize(
    ("given", "named"),
    [({"size": size}, "size") for size in (0, (4, 0), (4,), (4, 4, 3), 3.5, (2.0, 3))]
    + [({"seed": seed}, "seed") for seed in (-1, 0.5, "3")],
)
def test_a_size_or_a_seed_that_is_none_is_refused(given, named) -> None:
    with pytest.raises(ImageError, match=named):
        paint("swirls", **({"size": 8} | given))
