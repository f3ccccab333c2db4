"""Compressed pictures: HOSVD and HONMF+SVD along mode one, and what each keeps.

A picture of H×W×3 is unfolded along its first mode into X = [R G B], H×3W (document 000, section "Compression").
HOSVD keeps n singular values of X. HONMF+SVD factors X ≈ W·H with r non-negative terms and keeps n singular values
"from H_r". The factors of an NMF have a free scale (W·D and D⁻¹·H give the same product), so the document does not
say which numbers its 92.1 % refers to; `READINGS` lists what it can mean.

Everything is computed in float64, on one thread: the iterations of an NMF magnify rounding errors, from 10⁻¹² to 10⁻²
within thirty of them, so that the result would change with the number of threads. Reconstructions are not clipped to
[0, 1] here, so that Eckart and Young's bound holds exactly: no matrix of rank n comes nearer to X, in mean squared
error, than HOSVD's.
"""

import io
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy import linalg, ndimage, optimize
from skimage.metrics import structural_similarity
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor

from stylerepro.errors import CompressionError
from stylerepro.measures.image_metrics import mse
from stylerepro.pictures import images

Array = NDArray[np.float64]
NMF_INIT, NMF_ITERATIONS, NMF_TOLERANCE = "nndsvda", 200, 1e-4  # see HonmfSvd

READINGS = MappingProxyType(
    {
        "h": "SVD of H as scikit-learn's NMF scales it",
        "refit_w": "SVD of H as factored, then W' = X·H⁺ (least squares): the document's primed W",
        "normalised_w": "W's columns brought to length 1 (Euclidean), H scaled by the inverse, SVD of that H",
        "normalised_w_l1": "W's columns brought to sum 1, H scaled by the inverse, SVD of that H",
        "qr": "W = Q·R with orthonormal Q, SVD of R·H: free of the scale",
        "wh": "SVD of the product W·H: the same singular values as qr, stored without W",
    }
)


def unfold(image: ArrayLike) -> Array:
    """Unfold a picture (H, W, 3) along mode one, X = [R G B], as an (H, 3W) float64 matrix.

    uint8 is brought to [0, 1]; floats are taken as they are. Document 000, "one-mode method".
    Raises `CompressionError` for any other shape and for values that are not finite.
    """
    array = np.asarray(image)
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise CompressionError(f"A picture to unfold must be (H, W, 3), got shape {array.shape}.")
    scale = 255.0 if array.dtype == np.uint8 else 1.0
    matrix = array.astype(np.float64).transpose(0, 2, 1).reshape(array.shape[0], -1) / scale
    if not np.isfinite(matrix).all():
        raise CompressionError("The picture holds NaN or infinite values; compress finite values in [0, 1].")
    return matrix


def fold(matrix: Array) -> Array:
    """Fold an (H, 3W) matrix back into a picture (H, W, 3): the inverse of `unfold`."""
    if matrix.ndim != 2 or matrix.shape[1] % 3:
        raise CompressionError(f"A matrix to fold must be (H, 3W), got shape {matrix.shape}.")
    return matrix.reshape(matrix.shape[0], 3, -1).transpose(0, 2, 1)


def shares(singular_values: Array, n: int) -> tuple[float, float]:
    """Return the share of the first n singular values in Σσ, and in Σσ²; both are 1 for a matrix of zeros."""
    squares = singular_values**2
    total, total2 = singular_values.sum(), squares.sum()
    if total == 0:
        return 1.0, 1.0
    return float(singular_values[:n].sum() / total), float(squares[:n].sum() / total2)


class _TruncatedSvd:
    """X ≈ left · (U_n Σ_n V_nᵀ), where U Σ Vᵀ is the whole SVD of `matrix`; without `left`, X ≈ U_n Σ_n V_nᵀ."""

    method = ""
    reading = "-"
    r: int | None = None

    def __init__(self, unfolded: Array, matrix: Array, left: Array | None, seconds_before: float) -> None:
        start = time.perf_counter()
        self._unfolded, self._left = unfolded, left
        with threadpool_limits(1):
            self._u, self.singular_values, self._vt = linalg.svd(matrix, full_matrices=False, check_finite=False)
            self.seconds = seconds_before + time.perf_counter() - start
            self.singular_values_centred: Array = linalg.svdvals(matrix - matrix.mean(0), check_finite=False)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return len(self._unfolded), self._unfolded.shape[1] // 3

    @property
    def largest_n(self) -> int:
        """The number of singular values there are: the largest n."""
        return len(self.singular_values)

    def reconstruct(self, n: int) -> Array:
        """Reconstruct the picture from n singular values, (H, W, 3) float64, not clipped.

        Raises `CompressionError`, stating the range, for an n that the factorisation does not have.
        """
        _in_range("n", n, self.largest_n, f"singular values of {self._label}")
        with threadpool_limits(1):
            kept = (self._u[:, :n] * self.singular_values[:n]) @ self._vt[:n]
            return fold(kept if self._left is None else self._left @ kept)

    def numbers_stored(self, n: int) -> int:
        """Count the numbers kept: n(H + 3W + 1), or H·r + n(r + 3W + 1) where W is kept beside H's factors."""
        rows, columns = len(self._u), self._vt.shape[1]
        return (0 if self._left is None else self._left.size) + n * (rows + columns + 1)

    def report(self, ns: Iterable[int], bytes_per_number: int = 4) -> pd.DataFrame:
        """Tabulate one row for each n, all from the one factorisation.

        sigma_share, sigma2_share: share of the first n in Σσ and in Σσ² of the matrix that was decomposed: X for
        HOSVD, and for HONMF+SVD the H, R·H or W·H of the reading, never X. The `_centred` ones are those of the
        same matrix with its column means taken away, where Σσ² is a variance in the statistical sense.
        mse, psnr (dB), ssim: of the whole picture against the original, range 1, not clipped.
        numbers_stored, bytes_stored (bytes_per_number each, 4 for float32), bytes_raw (8-bit RGB).
        seconds_factorisation: wall time of the factorisation on one thread, the NMF included.
        """
        original, rows = fold(self._unfolded), []
        for n in map(int, ns):
            image = self.reconstruct(n)
            mse = float(np.mean((image - original) ** 2))
            sigma, sigma2 = shares(self.singular_values, n)
            centred, centred2 = shares(self.singular_values_centred, n)
            rows.append({
                "method": self.method, "reading": self.reading, "r": self.r, "n": n,
                "sigma_share": sigma, "sigma2_share": sigma2,
                "sigma_share_centred": centred, "sigma2_share_centred": centred2,
                # 10⁻³² is the squared rounding error of float64: a complete reconstruction has a finite PSNR.
                "mse": mse, "psnr": -10 * np.log10(max(mse, 1e-32)), "ssim": _ssim(original, image),
                "numbers_stored": self.numbers_stored(n), "bytes_stored": bytes_per_number * self.numbers_stored(n),
                "bytes_raw": original.size, "seconds_factorisation": self.seconds,
            })  # fmt: skip
        return pd.DataFrame(rows)

    @property
    def _label(self) -> str:
        height, width = self.shape
        return f"a picture of {width}×{height} px" + (f" with r={self.r}" if self.r else "")


class Hosvd(_TruncatedSvd):
    """HOSVD along mode one: X = U Σ Vᵀ, cut to n singular values. Document 000, section "HOSVD".

    image: (H, W, 3), floats in [0, 1] or uint8. n ranges from 1 to min(H, 3W).
    """

    method = "hosvd"

    def __init__(self, image: ArrayLike) -> None:
        unfolded = unfold(image)
        super().__init__(unfolded, unfolded, None, 0.0)


class HonmfSvd(_TruncatedSvd):
    """HONMF+SVD: X ≈ W·H with r non-negative terms, then n singular values. Document 000, section "HONMF+SVD".

    image: (H, W, 3), floats in [0, 1] or uint8. r ranges from 1 to min(H, 3W), n from 1 to r.
    reading: a key of `READINGS`. The shares of `report` are those of the matrix the reading decomposes.
    init, max_iter, tol, seed: as in scikit-learn's NMF (coordinate descent, Frobenius loss). The document gives
    none of them; max_iter and tol are scikit-learn's defaults, and nndsvda reached the lower error in our trials.

    Attributes: `converged` (False where the NMF stopped at max_iter; scikit-learn's warning is not passed on) and
    `iterations`. `with_reading` gives another reading of the same NMF, at the price of one SVD.
    Raises `CompressionError` for an r out of range, an unknown reading and negative values.
    """

    method = "honmf_svd"

    def __init__(
        self,
        image: ArrayLike,
        r: int,
        reading: str = "h",
        seed: int = 0,
        *,
        init: str = NMF_INIT,
        max_iter: int = NMF_ITERATIONS,
        tol: float = NMF_TOLERANCE,
    ) -> None:
        _known_reading(reading)
        unfolded = unfold(image)
        height, width = len(unfolded), unfolded.shape[1] // 3
        _in_range("r", r, min(unfolded.shape), f"terms of an NMF of a picture of {width}×{height} px")
        if unfolded.min() < 0:
            raise CompressionError(
                f"NMF needs values of at least 0, the least here is {unfolded.min():.3g}; clip the picture to [0, 1]."
            )
        start = time.perf_counter()
        model = NMF(r, init=init, max_iter=max_iter, tol=tol, random_state=seed)
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("ignore", ConvergenceWarning)
            w: Array = model.fit_transform(unfolded)
        self.iterations = int(model.n_iter_)
        # scikit-learn warns under the same condition.
        self.converged = self.iterations < max_iter
        self._read(unfolded, w, model.components_, reading, time.perf_counter() - start)

    def _read(self, unfolded: Array, w: Array, h: Array, reading: str, seconds: float) -> None:
        self.r, self.reading, self._w, self._h, self._seconds_nmf = w.shape[1], reading, w, h, seconds
        start = time.perf_counter()
        with threadpool_limits(1):
            matrix, left = _interpret(unfolded, w, h, reading)
        super().__init__(unfolded, matrix, left, seconds + time.perf_counter() - start)

    def with_reading(self, reading: str) -> "HonmfSvd":
        """Read the same W and H another way; its `seconds` count the NMF as well."""
        _known_reading(reading)
        other = object.__new__(HonmfSvd)
        other.iterations, other.converged = self.iterations, self.converged
        other._read(self._unfolded, self._w, self._h, reading, self._seconds_nmf)
        return other


def _interpret(x: Array, w: Array, h: Array, reading: str) -> tuple[Array, Array | None]:
    """The matrix whose SVD is cut, and what is multiplied from the left afterwards (None: nothing)."""
    if reading == "h":
        return h, w
    if reading == "refit_w":
        return h, x @ linalg.pinv(h)
    if reading == "qr":
        q, triangle = linalg.qr(w, mode="economic")
        return triangle @ h, q
    if reading == "wh":
        return w @ h, None
    lengths = linalg.norm(w, axis=0) if reading == "normalised_w" else w.sum(0)
    lengths = np.where(lengths > 0, lengths, 1.0)  # a term that the NMF has switched off stays as it is
    return lengths[:, None] * h, w / lengths


def compress(
    image: Tensor,
    method: str = "hosvd",
    *,
    n: int = 150,
    r: int = 300,
    reading: str = "qr",
    seed: int = 0,
    init: str = NMF_INIT,
    max_iter: int = NMF_ITERATIONS,
    tol: float = NMF_TOLERANCE,
) -> Tensor:
    """Compress pictures, to be used as content images: (N, 3, H, W) in, the same out, clamped to [0, 1].

    method: "hosvd" (n) or "honmf_svd" (n, r, reading and the NMF's parameters, see `HonmfSvd`). The defaults n=150
    and r=300 are document 000's.
    """
    if image.ndim != 4 or image.shape[1] != 3:
        raise CompressionError(f"Pictures to compress must be (N, 3, H, W), got shape {tuple(image.shape)}.")
    methods: dict[str, Callable[[Array], _TruncatedSvd]] = {
        "hosvd": Hosvd,
        "honmf_svd": partial(HonmfSvd, r=r, reading=reading, seed=seed, init=init, max_iter=max_iter, tol=tol),
    }
    if method not in methods:
        raise CompressionError(f"Unknown method {method!r}; expected 'hosvd' or 'honmf_svd'.")
    arrays = image.detach().cpu().double().permute(0, 2, 3, 1).numpy()
    pictures = [torch.from_numpy(methods[method](array).reconstruct(n)).permute(2, 0, 1) for array in arrays]
    return torch.stack(pictures).clamp(0, 1).to(image)


def _in_range(name: str, value: int, largest: int, what: str) -> None:
    if not 1 <= value <= largest:
        raise CompressionError(
            f"{name}={value} is out of range: there are {largest} {what}, so {name} = 1 … {largest}."
        )


def _known_reading(reading: str) -> None:
    if reading not in READINGS:
        raise CompressionError(f"Unknown reading {reading!r} of HONMF+SVD; expected one of {', '.join(READINGS)}.")


def _ssim(original: Array, image: Array) -> float:
    """SSIM (Wang et al. 2004) over the three channels; NaN for pictures smaller than its 7×7 window."""
    if min(original.shape[:2]) < 7:
        return float("nan")
    # float32 is within 10⁻⁶ of float64 and more than twice as fast; this is the dearest part of a report.
    pair = original.astype(np.float32), image.astype(np.float32)
    return float(structural_similarity(*pair, channel_axis=2, data_range=1.0))


_WIDEST_BLUR = 50.0


def blurred(image: Tensor, error: float) -> Tensor:
    """Blur the picture (1, 3, H, W) by the Gaussian whose mean squared error is `error`, in [0, 1]² units.

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
    """Take the picture (1, 3, H, W) through the JPEG quality whose mean squared error comes closest to `error`.

    Returns it with its quality, 1 to 95. Quality is a whole number, so the error is met only nearly: report it.
    """
    pictures = {quality: _through_jpeg(image, quality) for quality in range(1, 96)}
    best = min(pictures, key=lambda quality: abs(mse(pictures[quality], image) - error))
    return pictures[best], best


def _through_jpeg(image: Tensor, quality: int) -> Tensor:
    stream = io.BytesIO()
    pixels = np.rint(images.to_array(image).clip(0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    with Image.open(stream) as decoded:
        return images.from_array(np.asarray(decoded, dtype=np.float64) / 255)
