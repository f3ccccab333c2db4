"""Three ways to take a step (gradient descent, Adam, L-BFGS) over a batch of images, and one way to keep the books."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from stylerepro.errors import TransferError
from stylerepro.objective import TERMS, Objective

# Step sizes that lower the loss on the embedded pictures; a notebook that rests on one names it as a parameter.
LEARNING_RATES = {"gradient_descent": 1.0, "adam": 0.02, "lbfgs": 1.0}
# A CPU evaluates one picture as fast as several once a picture fills its caches.
_CHUNK_PIXELS = 128 * 128


@dataclass(frozen=True)
class Progress:
    """Handed to the callback after every evaluation.

    step: steps taken before it; evaluations: of the loss, this one counted in; settings: which of the batch the
    rest is about; losses: content, style, tv, total, each (settings,); image: (settings, 3, H, W), not to be changed.
    """

    step: int
    evaluations: int
    iterations: int
    settings: slice
    losses: dict[str, Tensor]
    image: Tensor


@dataclass(frozen=True)
class Descent:
    """How to minimise. Checked when made; see `stylerepro.transfer.transfer` for what each knob means."""

    optimiser: str
    learning_rate: float
    iterations: int
    clamp: str = "end"
    chunk: int | None = None

    def __post_init__(self) -> None:
        if self.optimiser not in LEARNING_RATES:
            raise TransferError(f"Unknown optimiser {self.optimiser!r}; expected one of {', '.join(LEARNING_RATES)}.")
        if self.clamp not in ("never", "step", "end"):
            raise TransferError(f"Unknown clamp {self.clamp!r}; expected 'never', 'step' or 'end'.")
        if self.iterations < 1:
            raise TransferError(f"iterations must be at least 1, got {self.iterations}.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise TransferError(f"learning_rate must be finite and above 0, got {self.learning_rate}.")
        if self.chunk is not None and self.chunk < 1:
            raise TransferError(f"chunk must be at least 1, got {self.chunk}.")


@dataclass
class Outcome:
    """Image, history and the reason for stopping; fields as in `stylerepro.transfer.Result`."""

    image: Tensor
    history: pd.DataFrame
    stopped: tuple[str, ...]
    evaluations: int
    seconds: float


def minimise(
    objective: Objective,
    image: Tensor,
    descent: Descent,
    callback: Callable[[Progress], None] | None = None,
    progress: bool = False,
) -> Outcome:
    """Minimise `objective` over `image` (B, 3, H, W), which is left unchanged."""
    book = _Book(descent, callback, progress, turns=len(image) if descent.optimiser == "lbfgs" else 1)
    try:
        if descent.optimiser == "lbfgs":
            parts = [
                _lbfgs(objective, image[i : i + 1].clone(), slice(i, i + 1), descent, book) for i in range(len(image))
            ]
            image, stopped = torch.cat([p[0] for p in parts]), tuple(p[1] for p in parts)
        else:
            image = _first_order(objective, image.clone(), descent, book)
            stopped = ("iterations",) * len(image)
    finally:
        book.bar.close()
    return Outcome(image, book.history(), stopped, book.evaluations, book.seconds)


def _first_order(objective: Objective, image: Tensor, descent: Descent, book: "_Book") -> Tensor:
    image.requires_grad_()
    rate = descent.learning_rate
    steps: torch.optim.Optimizer
    if descent.optimiser == "adam":
        steps = torch.optim.Adam([image], lr=rate)
    else:
        steps = torch.optim.SGD([image], lr=rate)
    everything = slice(0, len(image))
    last_good = image.detach().clone()
    for step in range(descent.iterations):
        if step in (0, descent.iterations // 2):
            book.shares(objective, image, everything)
        losses, image.grad = evaluate(objective, image, everything, descent.chunk)
        book.record(step, losses, image, last_good, everything)
        last_good.copy_(image.detach())
        steps.step()
        if descent.clamp == "step":
            with torch.no_grad():
                image.clamp_(0, 1)
    return _finish(objective, image, last_good, descent.iterations, everything, descent, book)


def _finish(
    objective: Objective,
    image: Tensor,
    last_good: Tensor,
    step: int,
    settings: slice,
    descent: Descent,
    book: "_Book",
) -> Tensor:
    final = image.detach()
    if descent.clamp == "end":
        final = final.clamp(0, 1)
    book.shares(objective, final, settings)
    losses, _ = evaluate(objective, final, settings, descent.chunk, gradient=False)
    book.record(step, losses, final, last_good, settings, counts=False)
    return final


class _BudgetSpentError(Exception):
    """L-BFGS has used all its evaluations."""


def _lbfgs(objective: Objective, image: Tensor, settings: slice, descent: Descent, book: "_Book") -> tuple[Tensor, str]:
    image.requires_grad_()
    # The budget is enforced in the closure: torch's own max_eval is only looked at between line searches.
    steps = torch.optim.LBFGS(
        [image],
        lr=descent.learning_rate,
        max_iter=descent.iterations,
        max_eval=10 * descent.iterations,
        history_size=100,
        line_search_fn="strong_wolfe",
    )
    best, best_total, spent = image.detach().clone(), math.inf, 0

    def closure() -> Tensor:
        nonlocal best_total, spent
        if spent == descent.iterations:
            raise _BudgetSpentError
        if descent.clamp == "step":
            with torch.no_grad():
                image.clamp_(0, 1)
        if spent in (0, descent.iterations // 2):
            book.shares(objective, image, settings)
        losses, image.grad = evaluate(objective, image, settings, descent.chunk)
        book.record(spent, losses, image, best, settings)
        spent += 1
        total = losses["total"][0]
        if float(total) < best_total:
            best_total = float(total)
            best.copy_(image.detach())
        return total

    stopped = "converged"
    try:
        steps.step(closure)
        if spent >= descent.iterations:
            stopped = "iterations"
    except _BudgetSpentError:
        stopped = "iterations"
    # A line search may end on a trial that is worse than where it set out: the best image seen is the result.
    return _finish(objective, best, best, spent, settings, descent, book), stopped


def evaluate(
    objective: Objective, image: Tensor, settings: slice, chunk: int | None = None, gradient: bool = True
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Loss terms (B,) with their total, and the gradient with respect to `image` (B, 3, H, W).

    The images are independent, so evaluating them chunk by chunk gives what evaluating them at once gives.
    """
    at_once = chunk or _default_chunk(image)
    losses: list[dict[str, Tensor]] = []
    gradients: list[Tensor] = []
    for begin in range(0, len(image), at_once):
        part = image[begin : begin + at_once].detach().requires_grad_(gradient)
        rows = slice(settings.start + begin, settings.start + begin + len(part))
        with torch.set_grad_enabled(gradient):
            terms = objective.terms(part, rows)
            total = objective.total(terms, rows)
        if gradient:
            gradients.append(_gradient(total, part))
        losses.append({**{n: t.detach() for n, t in terms.items()}, "total": total.detach()})
    joined = {name: torch.cat([one[name] for one in losses]) for name in losses[0]}
    return joined, torch.cat(gradients) if gradient else None


def _default_chunk(image: Tensor) -> int:
    if image.device.type != "cpu":
        return len(image)
    return max(1, _CHUNK_PIXELS // (image.shape[-1] * image.shape[-2]))


def _gradient(total: Tensor, image: Tensor) -> Tensor:
    if not total.requires_grad:
        return torch.zeros_like(image)
    return torch.autograd.grad(total.sum(), image)[0]


@dataclass
class _Book:
    """Keeps the history; a loss that leaves the finite numbers stops here, with nothing lost."""

    descent: Descent
    callback: Callable[[Progress], None] | None
    progress: bool
    turns: int
    evaluations: int = 0
    seconds: float = 0.0
    _clock: float = 0.0
    _steps: list[tuple[int, int, int, float]] = field(default_factory=list)
    _losses: list[Tensor] = field(default_factory=list)
    _shares: dict[tuple[int, int], list[float]] = field(default_factory=dict)
    _pending: list[list[float]] | None = None

    def __post_init__(self) -> None:
        self._clock = time.perf_counter()
        self.bar = tqdm(
            total=self.descent.iterations * self.turns,
            disable=not self.progress,
            desc="transfer",
            leave=False,
        )

    def shares(self, objective: Objective, image: Tensor, settings: slice) -> None:
        """Each weighted term's share of the gradient norm at `image`, for the next recorded step."""
        elapsed = time.perf_counter() - self._clock
        norms = torch.zeros(len(TERMS), len(image), dtype=torch.float64)
        at_once = self.descent.chunk or _default_chunk(image)
        for begin in range(0, len(image), at_once):
            part = image[begin : begin + at_once].detach().requires_grad_()
            rows = slice(settings.start + begin, settings.start + begin + len(part))
            terms = objective.terms(part, rows)
            for index, name in enumerate(TERMS):
                weighted = objective.weights[name][rows] * terms[name]
                if weighted.requires_grad:
                    grad = torch.autograd.grad(weighted.sum(), part, retain_graph=True)[0]
                    norms[index, begin : begin + len(part)] = grad.flatten(1).double().norm(dim=1).cpu()
        self._pending = (norms / norms.sum(0).clamp_min(torch.finfo(torch.float64).tiny)).T.tolist()
        self._clock = time.perf_counter() - elapsed  # shares are bookkeeping, not optimisation

    def record(
        self,
        step: int,
        losses: dict[str, Tensor],
        image: Tensor,
        last_good: Tensor,
        settings: slice,
        counts: bool = True,
    ) -> None:
        # One small copy a step: on a GPU this waits for the step to end, so that its seconds are true.
        values = torch.stack([losses[name] for name in (*TERMS, "total")]).double().cpu()
        seconds = time.perf_counter() - self._clock if counts else 0.0
        if counts:
            self.evaluations += values.shape[1]
            self.seconds += seconds
            self.bar.update()
        self._steps.append((settings.start, step, self.evaluations, seconds))
        self._losses.append(values)
        if self._pending is not None:
            for index, row in enumerate(self._pending):
                self._shares[len(self._steps) - 1, index] = row
            self._pending = None
        if not bool(torch.isfinite(values[-1]).all()):
            raise self._lost(step, values, last_good)
        if self.callback is not None:
            self.callback(Progress(step, self.evaluations, self.descent.iterations, settings, losses, image.detach()))
        # From here to the next record runs the next step: its update of the image, then its evaluation.
        self._clock = time.perf_counter()

    def _lost(self, step: int, values: Tensor, last_good: Tensor) -> TransferError:
        bad = int((~torch.isfinite(values[-1])).nonzero()[0, 0])
        named = ", ".join(f"{n} {v:.4g}" for n, v in zip((*TERMS, "total"), values[:, bad].tolist(), strict=True))
        error = TransferError(
            f"The loss left the finite numbers at step {step} of {self.descent.iterations} (setting {bad}): {named}. "
            f"The learning rate {self.descent.learning_rate:g} of {self.descent.optimiser} may be too large for this "
            "convention; lower it, or a weight. The last good image and the history are on this error as `.image` and "
            "`.history`."
        )
        error.image, error.history, error.step = last_good.cpu(), self.history(), step  # type: ignore[attr-defined]
        return error

    def history(self) -> pd.DataFrame:
        rows = []
        for number, (first, step, evaluations, seconds) in enumerate(self._steps):
            for index, values in enumerate(self._losses[number].T.tolist()):
                shares = self._shares.get((number, index), [math.nan] * len(TERMS))
                rows.append((first + index, step, evaluations, *values, seconds, *shares))
        columns = [
            "setting",
            "step",
            "evaluations",
            *TERMS,
            "total",
            "seconds",
            *(f"share_{t}" for t in TERMS),
        ]
        return pd.DataFrame(rows, columns=columns).sort_values(["setting", "step"], ignore_index=True)
