"""Optimisers: gradient descent, Adam and L-BFGS over a batch of images, and the choice of a step size."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from stylerepro.errors import TransferError
from stylerepro.transfer.history import History, Progress, Result
from stylerepro.transfer.objective import Objective

OPTIMISERS = ("gradient_descent", "adam", "lbfgs")
# Adam's is a step in units of the picture's range. Gradient descent has no default: its step scales with the loss.
LEARNING_RATES = {"adam": 0.02, "lbfgs": 1.0}
# A CPU evaluates one picture as fast as several once a picture fills its caches.
_CHUNK_PIXELS = 128 * 128


@dataclass(frozen=True)
class Descent:
    """The settings of an optimiser, as `stylerepro.transfer.transfer.transfer` explains them; checked when made."""

    optimiser: str
    learning_rate: float
    iterations: int
    clamp: str = "end"
    chunk: int | None = None

    def __post_init__(self) -> None:
        if self.optimiser not in OPTIMISERS:
            raise TransferError(f"Unknown optimiser {self.optimiser!r}; expected one of {', '.join(OPTIMISERS)}.")
        if self.clamp not in ("never", "step", "end"):
            raise TransferError(f"Unknown clamp {self.clamp!r}; expected 'never', 'step' or 'end'.")
        if self.iterations < 1:
            raise TransferError(f"iterations must be at least 1, got {self.iterations}.")
        if self.optimiser == "gradient_descent" and math.isnan(self.learning_rate):
            raise TransferError(
                "gradient_descent needs a learning_rate: the right size depends on the convention and the weights. "
                "Try one that changes the picture by about 0.01 at the first step."
            )
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise TransferError(f"learning_rate must be finite and above 0, got {self.learning_rate}.")
        if self.chunk is not None and self.chunk < 1:
            raise TransferError(f"chunk must be at least 1, got {self.chunk}.")


def minimise(
    objective: Objective,
    image: Tensor,
    descent: Descent,
    callback: Callable[[Progress], None] | None = None,
    progress: bool = False,
    moments: tuple[Tensor, int] | None = None,
) -> Result:
    """Minimise `objective` over `image` (B, 3, H, W), which is left unchanged.

    moments: Adam's, of an earlier `Result` at this size, with which it goes on.
    """
    turns = len(image) if descent.optimiser == "lbfgs" else 1
    advice = (
        f"The learning rate {descent.learning_rate:g} of {descent.optimiser} may be too large for this convention; "
        "lower it, or a weight."
    )
    history = History(objective.names, descent.iterations, turns, advice, callback, progress)
    try:
        if descent.optimiser == "lbfgs":
            turn = [_lbfgs(_Path(objective, descent, history, slice(i, i + 1)), image[i : i + 1]) for i in range(turns)]
            image, stopped = torch.cat([made for made, _ in turn]), tuple(reason for _, reason in turn)
        else:
            path = _Path(objective, descent, history, slice(0, len(image)))
            image, moments = _first_order(path, image, moments)
            stopped = ("iterations",) * len(image)
    finally:
        history.bar.close()
    dtype = str(objective.network.dtype).removeprefix("torch.")
    return Result(image.cpu(), history.table(), stopped, history.evaluations, history.seconds, dtype, moments)


@dataclass(frozen=True)
class _Path:
    """The way of `settings` down the objective, looked at step by step and recorded."""

    objective: Objective
    descent: Descent
    history: History
    settings: slice

    def look(self, step: int, image: Tensor, last_good: Tensor, last: bool = False) -> tuple[Tensor, Tensor | None]:
        """Evaluate and record `image` before step `step`: total loss (images,) and gradient, none at the last look."""
        chunk = self.descent.chunk
        if last or step in (0, self.descent.iterations // 2):
            self.history.shares(lambda: gradient_shares(self.objective, image, self.settings, chunk))
        losses, gradient = evaluate(self.objective, image, self.settings, chunk, gradient=not last)
        self.history.record(step, losses, image, last_good, self.settings, counts=not last)
        return losses["total"], gradient

    def finish(self, step: int, image: Tensor, last_good: Tensor) -> Tensor:
        """Return the image to hand out, as the last row of the history describes it."""
        final = image.detach()
        if self.descent.clamp == "end":
            final = final.clamp(0, 1)
        self.look(step, final, last_good, last=True)
        return final


def _first_order(
    path: _Path, image: Tensor, moments: tuple[Tensor, int] | None
) -> tuple[Tensor, tuple[Tensor, int] | None]:
    descent, image = path.descent, image.clone().requires_grad_()
    method = torch.optim.Adam if descent.optimiser == "adam" else torch.optim.SGD
    steps = method([image], lr=descent.learning_rate)
    if moments is not None and descent.optimiser == "adam":
        (first, second), taken = moments
        steps.state[image] = {
            "exp_avg": first.clone(),
            "exp_avg_sq": second.clone(),
            "step": torch.tensor(float(taken)),
        }
    last_good = image.detach().clone()
    for step in range(descent.iterations):
        _, image.grad = path.look(step, image, last_good)
        last_good.copy_(image.detach())
        steps.step()
        if descent.clamp == "step":
            with torch.no_grad():
                image.clamp_(0, 1)
    state = steps.state[image] if descent.optimiser == "adam" else {}
    moments = (torch.stack([state["exp_avg"], state["exp_avg_sq"]]), int(state["step"])) if state else None
    return path.finish(descent.iterations, image, last_good), moments


class _BudgetSpentError(Exception):
    """L-BFGS has used all its evaluations."""


_LARGEST = 2.0**20  # of the loss that L-BFGS is shown: its line search takes products of slopes, which overflow


def _lbfgs(path: _Path, image: Tensor) -> tuple[Tensor, str]:
    descent, image = path.descent, image.clone().requires_grad_()
    # The budget is enforced in the closure: torch's own max_eval is only looked at between line searches.
    steps = torch.optim.LBFGS(
        [image],
        lr=descent.learning_rate,
        max_iter=descent.iterations,
        max_eval=2 * descent.iterations,
        line_search_fn="strong_wolfe",
    )
    spent, best_total, factor = 0, math.inf, 1.0
    best = image.detach().clone()

    def closure() -> Tensor:
        nonlocal spent, best_total, factor
        if spent == descent.iterations:
            raise _BudgetSpentError
        if descent.clamp == "step":
            with torch.no_grad():
                image.clamp_(0, 1)
        total, gradient = path.look(spent, image, best)
        spent += 1
        if float(total[0]) < best_total:
            best_total = float(total[0])
            best.copy_(image.detach())
        if spent == 1 and float(total[0]) > _LARGEST:
            # A power of two: the same digits, and so the same steps.
            factor = 2.0 ** -math.ceil(math.log2(float(total[0]) / _LARGEST))
        image.grad = None if gradient is None else factor * gradient
        return factor * total[0]

    stopped = "converged"
    try:
        steps.step(closure)
        if spent >= descent.iterations:
            stopped = "iterations"
    except _BudgetSpentError:
        stopped = "iterations"
    # A line search may end on a trial that is worse than where it set out: the best image seen is the result.
    return path.finish(spent, best, best), stopped


def evaluate(
    objective: Objective, image: Tensor, settings: slice, chunk: int | None = None, gradient: bool = True
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Return the loss terms (B,) with their total, and the gradient with respect to `image` (B, 3, H, W).

    The images are independent, so evaluating them chunk by chunk gives what evaluating them at once gives.
    """
    losses: list[dict[str, Tensor]] = []
    gradients: list[Tensor] = []
    for part, rows in _chunks(image, settings, chunk):
        part.requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            terms = objective.terms(part, rows)
            total = objective.total(terms, rows)
        if gradient:
            gradients.append(_gradient(total, part))
        losses.append({**{name: term.detach() for name, term in terms.items()}, "total": total.detach()})
    joined = {name: torch.cat([terms[name] for terms in losses]) for name in losses[0]}
    return joined, torch.cat(gradients) if gradient else None


def gradient_shares(objective: Objective, image: Tensor, settings: slice, chunk: int | None = None) -> Tensor:
    """Return each weighted term's share of the gradient norm, ‖g_i‖ / Σ_j ‖g_j‖: (terms, images), float64, CPU.

    Where every gradient is zero the shares are zero.
    """
    parts = []
    for part, rows in _chunks(image, settings, chunk):
        terms = objective.terms(part.requires_grad_(), rows)
        norms = torch.zeros(len(terms), len(part), dtype=torch.float64)
        for index, name in enumerate(objective.names):
            weighted = objective.weights[name][rows] * terms[name]
            if weighted.requires_grad:
                gradient = torch.autograd.grad(weighted.sum(), part, retain_graph=True)[0]
                norms[index] = gradient.flatten(1).double().norm(dim=1).cpu()
        parts.append(norms)
    norms = torch.cat(parts, dim=1)
    return norms / norms.sum(0).clamp_min(torch.finfo(torch.float64).tiny)


def _chunks(image: Tensor, settings: slice, chunk: int | None) -> Iterator[tuple[Tensor, slice]]:
    """Yield the images that are evaluated at once, detached, and which settings they are."""
    if chunk is None:
        on_cpu = image.device.type == "cpu"
        chunk = max(1, _CHUNK_PIXELS // (image.shape[-1] * image.shape[-2])) if on_cpu else len(image)
    for begin in range(0, len(image), chunk):
        part = image[begin : begin + chunk].detach()
        yield part, slice(settings.start + begin, settings.start + begin + len(part))


def _gradient(total: Tensor, image: Tensor) -> Tensor:
    if not total.requires_grad:
        return torch.zeros_like(image)
    # The networks' channels-last layout is not handed on: the optimisers are fastest, and L-BFGS only works, when the
    # gradient lies in memory as the image does.
    return torch.autograd.grad(total.sum(), image)[0].contiguous()


def try_rates(rates: Sequence[float], descend: Callable[[float], pd.DataFrame]) -> pd.DataFrame:
    """Return how far the total loss falls with each step size: columns rate and fall.

    descend: takes a step size, gives the `history` of a transfer with it. fall: ln(last ÷ first total loss), mean over
    the settings of that transfer; infinite where the transfer diverged, or a loss that is not positive has no
    logarithm.
    """
    rows = []
    for rate in rates:
        try:
            totals = descend(rate).groupby("setting")["total"].agg(["first", "last"])
            usable = bool((totals > 0).to_numpy().all())
            fall = float((totals["last"] / totals["first"]).map(math.log).mean()) if usable else math.inf
        except TransferError:
            fall = math.inf
        rows.append({"rate": rate, "fall": fall})
    return pd.DataFrame(rows)


def best_rate(table: pd.DataFrame) -> float:
    """Return the step size of `try_rates` with the lowest fall. Raises `TransferError` where none lowered the loss."""
    best = table.sort_values("fall").iloc[0]
    if not best["fall"] < 0:
        raise TransferError(
            f"None of the step sizes {', '.join(f'{rate:g}' for rate in table['rate'])} lowered the loss. "
            "Try smaller ones."
        )
    return float(best["rate"])
