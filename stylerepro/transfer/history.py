"""History of an optimisation: losses, seconds and gradient shares step by step, as one table."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from stylerepro.errors import TransferError


@dataclass(frozen=True)
class Progress:
    """The state of an optimisation, handed to the callback after every evaluation.

    step: steps taken before it; evaluations: of the loss, this one counted in; settings: which of the batch the
    rest is about; losses: each term and total, each (settings,); image: (settings, 3, H, W), not to be changed.
    """

    step: int
    evaluations: int
    iterations: int
    settings: slice
    losses: dict[str, Tensor]
    image: Tensor


@dataclass(frozen=True)
class Result:
    """A finished transfer.

    image: (B, 3, H, W), on the CPU, one image a setting.
    history: one row a setting and step. Columns: setting, step, evaluations (of the loss, so far), content, style, tv
    and any term that was added (unweighted), total (weighted), seconds (of this step, over all settings of the batch),
    share_content, share_style, share_tv, …: each weighted term's share of the gradient norm, ‖g_i‖ / Σ_j ‖g_j‖, at the
    first, middle and last row of a setting, empty elsewhere. Row `step` k describes the image after k steps; the last
    row describes `image` itself. Of several scales: each scale's steps, counted on, and its last row; column scale.
    stopped: why, one entry a setting: "iterations" or "converged". evaluations: of the loss with its gradient, for the
    whole batch. seconds: of optimisation, targets and shares left out. dtype: of the network's convolutions.
    moments: Adam's, first and second (2, B, 3, H, W), and its steps; None for other optimisers.
    """

    image: Tensor
    history: pd.DataFrame
    stopped: tuple[str, ...]
    evaluations: int
    seconds: float
    dtype: str = "float32"
    moments: tuple[Tensor, int] | None = None


@dataclass
class History:
    """Losses, seconds and shares so far; a loss that leaves the finite numbers stops here, with nothing lost.

    terms: names of the loss terms. iterations: planned in each turn; turns: how many optimisations follow each other;
    advice: what to do on overflow.
    """

    terms: Sequence[str]
    iterations: int
    turns: int
    advice: str
    callback: Callable[[Progress], None] | None = None
    progress: bool = False
    evaluations: int = 0
    seconds: float = 0.0
    _clock: float = field(default_factory=time.perf_counter)
    _steps: list[tuple[int, int, int, float]] = field(default_factory=list)
    _losses: list[Tensor] = field(default_factory=list)
    _shares: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    _pending: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        total = self.iterations * self.turns
        self.bar = tqdm(total=total, disable=not self.progress, desc="transfer", leave=False)

    def shares(self, measure: Callable[[], Tensor]) -> None:
        """Keep gradient shares (terms, images) for the next recorded step; the clock stands still meanwhile."""
        elapsed = time.perf_counter() - self._clock
        self._pending = measure().T.tolist()
        self._clock = time.perf_counter() - elapsed

    def record(
        self,
        step: int,
        losses: dict[str, Tensor],
        image: Tensor,
        last_good: Tensor,
        settings: slice,
        counts: bool = True,
    ) -> None:
        """Note one evaluation: losses term → (settings,) at `image`; `last_good` goes onto the error if one is lost.

        counts: false for the closing look at the result, which is no step of the optimisation.
        """
        # One small copy a step: on a GPU this waits for the step to end, so that its seconds are true.
        values = torch.stack([losses[name] for name in (*self.terms, "total")]).double().cpu()
        seconds = time.perf_counter() - self._clock if counts else 0.0
        if counts:
            self.evaluations += values.shape[1]
            self.seconds += seconds
            self.bar.update()
        self._steps.append((settings.start, step, self.evaluations, seconds))
        self._losses.append(values)
        for index, shares in enumerate(self._pending):
            self._shares[len(self._steps) - 1, index] = shares
        self._pending = []
        if not bool(torch.isfinite(values[-1]).all()):
            raise self._lost(step, values, last_good)
        if self.callback is not None:
            self.callback(Progress(step, self.evaluations, self.iterations, settings, losses, image.detach()))
        # From here to the next record runs the next step: its update of the image, then its evaluation.
        self._clock = time.perf_counter()

    def _lost(self, step: int, values: Tensor, last_good: Tensor) -> TransferError:
        bad = int((~torch.isfinite(values[-1])).nonzero()[0, 0])
        named = zip((*self.terms, "total"), values[:, bad].tolist(), strict=True)
        error = TransferError(
            f"The loss left the finite numbers at step {step} of {self.iterations} (setting {bad}): "
            f"{', '.join(f'{name} {value:.4g}' for name, value in named)}. "
            f"{self.advice} The last good image and the history are on this error as `.image` and `.history`."
        )
        error.image, error.history, error.step = last_good.cpu(), self.table(), step
        return error

    def table(self) -> pd.DataFrame:
        """Return the table so far; columns as in `Result`."""
        rows = []
        for number, (first, step, evaluations, seconds) in enumerate(self._steps):
            for index, values in enumerate(self._losses[number].T.tolist()):
                shares = self._shares.get((number, index), [math.nan] * len(self.terms))
                rows.append((first + index, step, evaluations, *values, seconds, *shares))
        shares_of = [f"share_{term}" for term in self.terms]
        columns = ["setting", "step", "evaluations", *self.terms, "total", "seconds", *shares_of]
        return pd.DataFrame(rows, columns=columns).sort_values(["setting", "step"], ignore_index=True)


def gradient_shares(history: pd.DataFrame, terms: Sequence[str] = ("content", "style")) -> pd.DataFrame:
    """Return each term's share of the gradient norm at the first, middle and last step, for tables.

    history: of `stylerepro.transfer.transfer.transfer`. One row a setting, in order; columns content_share_start,
    content_share_middle, content_share_end, and so on for each of `terms`. An `IndexError` for a run that ended before
    its middle, as one that diverges may.
    """
    kept = history.dropna(subset="share_content").groupby("setting")
    columns: dict[str, pd.Series] = {}
    for term in terms:
        share = kept[f"share_{term}"]
        columns[f"{term}_share_start"] = share.first()
        columns[f"{term}_share_middle"] = share.apply(lambda shares: shares.iloc[1])
        columns[f"{term}_share_end"] = share.last()
    return pd.DataFrame(columns)
