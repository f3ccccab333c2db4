"""Several scales: what each gets from the one before, one history of all, and refusals."""

import pytest
import torch
from torch.nn import functional

from stylerepro.errors import TransferError
from stylerepro.pictures import images
from stylerepro.transfer.transfer import transfer

GENERATOR = torch.Generator().manual_seed(5)
CONTENT, STYLE = (torch.rand(1, 3, 32, 40, generator=GENERATOR) for _ in range(2))
TINY = {
    "network": "tiny", "device": "cpu", "convention": "johnson", "style_weight": 1e3, "content_layers": ["conv2_2"],
    "style_layers": ["conv1_1", "conv2_1"], "dtype": "float64",
}  # fmt: skip


def run(**settings):
    return transfer(CONTENT, STYLE, **{**TINY, "iterations": 4, **settings})


@pytest.mark.parametrize("optimiser", ["adam", "lbfgs"])
def test_the_picture_s_own_size_alone_is_no_other_transfer(optimiser):
    plain, scaled = run(optimiser=optimiser), run(optimiser=optimiser, scales=[32])
    torch.testing.assert_close(scaled.image, plain.image, rtol=0, atol=0)
    assert list(scaled.history["total"]) == list(plain.history["total"])


def test_each_scale_goes_on_from_the_one_before():
    settings = {"optimiser": "gradient_descent", "learning_rate": 1e-3, "clamp": "never"}
    coarse = transfer(small(CONTENT), small(STYLE), **TINY, **settings, iterations=3).image
    alone = run(start=enlarged(coarse), **settings, iterations=2)
    result = run(scales=[16, 32], iterations=[3, 2], **settings)
    torch.testing.assert_close(result.image, alone.image, rtol=0, atol=1e-12)


def small(picture):
    return images.resize(picture.double(), 16)


def enlarged(picture):
    return functional.interpolate(picture, CONTENT.shape[-2:], mode="bicubic", antialias=True)


def test_the_history_is_one_of_all_scales():
    result = run(scales=[16, 24, 32], iterations=[2, 3, 4], style_weight=[1.0, 1e3])
    first = result.history[result.history["setting"] == 0]
    assert list(first["step"]) == [0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 9]
    assert list(first["scale"].unique()) == [16, 24, 32]
    assert result.evaluations == sum(run(iterations=n, style_weight=[1.0, 1e3]).evaluations for n in (2, 3, 4))
    assert first["total"].iloc[-1] < first["total"].iloc[7], "the last scale lowers its own loss"


def test_adam_s_moments_are_carried_on():
    """With them the first step of a scale is not the full step that Adam takes where it knows nothing."""
    start = enlarged(transfer(small(CONTENT), small(STYLE), **TINY, iterations=20, clamp="never").image)
    both = {"scales": [16, 32], "iterations": [20, 1]}, {"start": start, "iterations": 1}
    carried, fresh = ((run(clamp="never", **settings).image - start).abs().mean() for settings in both)
    assert 0 < carried < 0.8 * fresh


def test_noise_is_drawn_at_the_first_scale():
    first = run(scales=[16, 32], iterations=1, start="noise", clamp="never").image
    assert first.std() > 0.15, "noise of the full size, shrunk, is grey"


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"scales": [32, 16]}, "coarse to fine"), ({"scales": [16, 16]}, "coarse to fine"),
        ({"scales": [16, 64]}, "64 is above"), ({"scales": [16, 32], "iterations": [3]}, "as many iterations"),
        ({"iterations": [3, 4]}, "as many scales"),
    ],
)  # fmt: skip
def test_scales_that_make_no_plan_are_refused(settings, match):
    with pytest.raises(TransferError, match=match):
        run(**settings)


def test_a_transfer_that_blows_up_keeps_the_history_of_the_scales_before():
    with pytest.raises(TransferError) as caught:
        run(scales=[16, 32], iterations=[2, 50], optimiser="gradient_descent", learning_rate=1e9, style_weight=1e12)
    assert caught.value.history is not None
    assert set(caught.value.history["scale"]) >= {16}
