"""Compression against NumPy, the bound of Eckart and Young, and the figures known of the astronaut."""

import numpy as np
import pandas as pd
import pytest
import torch
from skimage import data
from threadpoolctl import threadpool_limits

from stylerepro.errors import CompressionError
from stylerepro.measures import image_metrics
from stylerepro.pictures import images
from stylerepro.studies.compression import READINGS, HonmfSvd, Hosvd, blurred, compress, fold, jpeg, shares, unfold

PORTRAIT = images.read("astronaut", 96)


@pytest.fixture(scope="module")
def picture():
    """40×48 pixels of a photograph, (H, W, 3) in [0, 1]."""
    return data.astronaut()[100:220:3, 150:294:3] / 255.0


@pytest.fixture(scope="module")
def nmf(picture):
    return HonmfSvd(picture, r=20, max_iter=30)


def test_unfolding_puts_the_channels_side_by_side(picture):
    matrix = unfold(picture)
    assert matrix.shape == (40, 144)
    np.testing.assert_array_equal(matrix, np.hstack([picture[..., c] for c in range(3)]))
    np.testing.assert_array_equal(fold(matrix), picture)
    assert unfold(np.full((2, 2, 3), 255, np.uint8)).max() == 1.0


def test_known_figures_of_the_astronaut():
    row = Hosvd(data.astronaut()).report([150]).iloc[0]
    assert row.sigma_share == pytest.approx(0.895, abs=0.001)
    assert row.sigma2_share == pytest.approx(0.9991, abs=0.0001)
    assert row.mse == pytest.approx(2.65e-4, abs=1e-6)
    assert row.psnr == pytest.approx(10 * np.log10(1 / row.mse))


def test_hosvd_agrees_with_numpy(picture):
    x = np.hstack([picture[..., c] for c in range(3)])
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    hosvd = Hosvd(picture)
    np.testing.assert_allclose(hosvd.singular_values, s)
    np.testing.assert_allclose(unfold(hosvd.reconstruct(7)), (u[:, :7] * s[:7]) @ vt[:7])
    row = hosvd.report([7]).iloc[0]
    assert row.mse == pytest.approx((s[7:] ** 2).sum() / x.size)
    centred = np.linalg.svd(x - x.mean(0), compute_uv=False)
    assert row.sigma2_share_centred == pytest.approx((centred[:7] ** 2).sum() / (centred**2).sum())
    assert row.sigma_share_centred == pytest.approx(centred[:7].sum() / centred.sum())
    np.testing.assert_allclose(hosvd.reconstruct(40), picture, atol=1e-12)


def test_shares_of_a_known_spectrum():
    assert shares(np.array([4.0, 3.0, 2.0, 1.0]), 2) == (0.7, pytest.approx(25 / 30))
    assert shares(np.zeros(3), 1) == (1.0, 1.0)


@pytest.mark.parametrize("reading", READINGS)
def test_no_reading_beats_eckart_and_young(picture, nmf, reading):
    ns = [1, 5, 10, 20]
    bound = Hosvd(picture).report(ns).mse
    measured = nmf.with_reading(reading).report(ns).mse
    assert (measured >= bound - 1e-15).all()
    assert (measured.diff().dropna() < 0).all() or reading in ("h", "normalised_w", "normalised_w_l1")


@pytest.mark.parametrize("reading", ["h", "normalised_w", "normalised_w_l1", "qr", "wh"])
def test_every_reading_with_all_values_gives_the_nmf_product(nmf, reading):
    np.testing.assert_allclose(unfold(nmf.with_reading(reading).reconstruct(20)), nmf._w @ nmf._h, atol=1e-10)


def test_normalised_columns_have_the_length_they_say(picture, nmf):
    direct, shared = HonmfSvd(picture, 20, "normalised_w", max_iter=30), nmf.with_reading("normalised_w")
    pd.testing.assert_series_equal(direct.report([10]).mse, shared.report([10]).mse)
    np.testing.assert_allclose(np.linalg.norm(nmf.with_reading("normalised_w")._left, axis=0), 1)
    np.testing.assert_allclose(nmf.with_reading("normalised_w_l1")._left.sum(0), 1)


def test_only_the_scale_free_readings_are_free_of_the_scale(picture, nmf):
    scale = np.geomspace(0.01, 100, 20)
    other = nmf.with_reading("h")
    for reading, same in {"h": False, "qr": True, "wh": True, "normalised_w": True}.items():
        other._read(unfold(picture), nmf._w * scale, nmf._h / scale[:, None], reading, 0.0)
        agrees = np.allclose(other.singular_values, nmf.with_reading(reading).singular_values)
        assert agrees is same


def test_qr_and_product_are_one_approximation_stored_differently(nmf):
    qr, product = (nmf.with_reading(reading).report([8]) for reading in ("qr", "wh"))
    np.testing.assert_allclose(qr.mse, product.mse)
    np.testing.assert_allclose(qr.sigma_share, product.sigma_share)
    assert qr.numbers_stored.item() == 40 * 20 + 8 * (20 + 144 + 1)
    assert product.numbers_stored.item() == 8 * (40 + 144 + 1)


def test_refitting_w_is_the_projection_on_the_kept_rows(picture, nmf):
    refit = nmf.with_reading("refit_w")
    x, v = unfold(picture), refit._vt[:6].T
    np.testing.assert_allclose(unfold(refit.reconstruct(6)), x @ v @ v.T, atol=1e-8)
    assert refit.report([6]).mse.item() < nmf.with_reading("h").report([6]).mse.item()


def test_storage_counts_numbers_and_bytes(picture):
    row = Hosvd(picture).report([10], bytes_per_number=2).iloc[0]
    assert row.numbers_stored == 10 * (40 + 144 + 1)
    assert row.bytes_stored == 2 * row.numbers_stored
    assert row.bytes_raw == 40 * 48 * 3
    assert Hosvd(picture).shape == (40, 48)


def test_an_nmf_cut_short_says_so_and_the_seed_decides_a_random_start(picture):
    short = HonmfSvd(picture, 3, max_iter=2)
    assert (short.converged, short.iterations) == (False, 2)
    assert HonmfSvd(picture, 3, init="random", max_iter=400, tol=1e-2).converged
    first, again, other = (
        HonmfSvd(picture, 8, "qr", seed, init="random", max_iter=5).report([4]).mse.item() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_the_number_of_threads_changes_nothing(picture):
    tables = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            tables.append(HonmfSvd(picture, 20, "h", max_iter=40).report([5]).drop(columns="seconds_factorisation"))
    pd.testing.assert_frame_equal(*tables, check_exact=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: Hosvd(p).reconstruct(41), "n=41 is out of range.*1 … 40"),
        (lambda p: Hosvd(p).report([0]), "n=0 is out of range"),
        (lambda p: HonmfSvd(p, 41), "r=41 is out of range.*1 … 40"),
        (lambda p: HonmfSvd(p, 5, max_iter=2).reconstruct(6), "n=6 is out of range.*r=5.*1 … 5"),
        (lambda p: HonmfSvd(p, 5, "qqr"), "Unknown reading 'qqr'.*normalised_w"),
        (lambda p: HonmfSvd(p - 0.5, 5), "at least 0"),
        (lambda p: Hosvd(p[..., 0]), r"must be \(H, W, 3\)"),
        (lambda p: Hosvd(p * np.nan), "NaN"),
        (lambda p: fold(np.zeros((3, 4))), r"must be \(H, 3W\)"),
        (lambda p: compress(torch.zeros(3, 8, 8)), r"must be \(N, 3, H, W\)"),
        (lambda p: compress(torch.zeros(1, 3, 8, 8), "svd"), "Unknown method 'svd'"),
        *((lambda p, error=error: blurred(PORTRAIT, error), "at most") for error in (0.0, -1.0, 5.0)),
    ],
)
def test_what_cannot_be_done_is_said(picture, make, words):
    with pytest.raises(CompressionError, match=words):
        make(picture)


def test_compress_keeps_shape_type_and_range(picture):
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    for method in ("hosvd", "honmf_svd"):
        small = compress(image, method, n=10, r=20, max_iter=20)
        assert small.shape == image.shape
        assert small.dtype == torch.float32
        assert 0 <= small.min() < small.max() <= 1
        assert 0 < (small - image).square().mean() < 0.01
    expected = np.clip(Hosvd(image[0].permute(1, 2, 0).double().numpy()).reconstruct(10), 0, 1)
    np.testing.assert_allclose(compress(image, n=10)[0].permute(1, 2, 0), expected, atol=1e-6)


def test_ssim_is_that_of_the_measures_and_missing_below_its_window(picture):
    hosvd = Hosvd(picture)
    pair = (x.transpose(2, 0, 1)[None] for x in (hosvd.reconstruct(10), picture))
    assert hosvd.report([10]).ssim.item() == pytest.approx(image_metrics.ssim(*pair), abs=1e-6)
    assert np.isnan(Hosvd(np.eye(4)[..., None].repeat(3, 2)).report([2]).ssim.item())


# ---- controls that lose as much, in their own way


@pytest.mark.parametrize("error", [1e-4, 1e-3])
def test_blur_meets_the_error_and_smooths(error):
    picture = blurred(PORTRAIT, error)
    assert image_metrics.mse(picture, PORTRAIT) == pytest.approx(error, rel=1e-2)
    assert image_metrics.total_variation(picture) < image_metrics.total_variation(PORTRAIT)


def test_jpeg_comes_as_close_as_any_quality():
    picture, quality = jpeg(PORTRAIT, 1e-3)
    error = image_metrics.mse(picture, PORTRAIT)
    assert error == pytest.approx(1e-3, rel=0.2)
    assert jpeg(PORTRAIT, error)[1] == quality
    neighbours = [image_metrics.mse(jpeg(PORTRAIT, wanted)[0], PORTRAIT) for wanted in (0.9 * error, 1.1 * error)]
    assert all(abs(error - 1e-3) <= abs(other - 1e-3) for other in neighbours)
    assert not torch.equal(picture, blurred(PORTRAIT, error))
