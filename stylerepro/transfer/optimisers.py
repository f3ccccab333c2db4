"""Three ways to take a step (gradient descent, Adam, L-BFGS) over a batch of images, and one way to keep the books."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from stylerepro.errors import TransferError
from stylerepro.transfer.history import History, Progress
from stylerepro.transfer.objective import TERMS, Objective

OPTIMISERS = ("gradient_descent", "adam", "lbfgs")
# Adam's is a step in units of the picture's range. Gradient descent has no default: its step scales with the loss.
LEARNING_RATES = {"adam": 0.02, "lbfgs": 1.0}
# A CPU evaluates one picture as fast as several once a picture fills its caches.
_CHUNK_PIXELS = 128 * 128


@dataclass(frozen=True)
class Descent:
    """How to minimise. Checked when made; see `stylerepro.transfer.transfer.transfer` for what each knob means."""

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


@dataclass
class Outcome:
    """Image, history and the reason for stopping; fields as in `stylerepro.transfer.transfer.Result`."""

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
    turns = len(image) if descent.optimiser == "lbfgs" else 1
    advice = (
        f"The learning rate {descent.learning_rate:g} of {descent.optimiser} may be too large for this convention; "
        "lower it, or a weight."
    )
    history = History(descent.iterations, turns, advice, callback, progress)
    try:
        if descent.optimiser == "lbfgs":
            parts = [
                _lbfgs(objective, image[i : i + 1].clone(), slice(i, i + 1), descent, history)
                for i in range(len(image))
            ]
            image, stopped = torch.cat([p[0] for p in parts]), tuple(p[1] for p in parts)
        else:
            image = _first_order(objective, image.clone(), descent, history)
            stopped = ("iterations",) * len(image)
    finally:
        history.bar.close()
    return Outcome(image, history.table(), stopped, history.evaluations, history.seconds)


def _first_order(objective: Objective, image: Tensor, descent: Descent, history: History) -> Tensor:
    image.requires_grad_()
    method = torch.optim.Adam if descent.optimiser == "adam" else torch.optim.SGD
    steps = method([image], lr=descent.learning_rate)
    everything = slice(0, len(image))
    last_good = image.detach().clone()
    for step in range(descent.iterations):
        if step in (0, descent.iterations // 2):
            history.shares(lambda: gradient_shares(objective, image, everything, descent.chunk))
        losses, image.grad = evaluate(objective, image, everything, descent.chunk)
        history.record(step, losses, image, last_good, everything)
        last_good.copy_(image.detach())
        steps.step()
        if descent.clamp == "step":
            with torch.no_grad():
                image.clamp_(0, 1)
    return _finish(objective, image, last_good, descent.iterations, everything, descent, history)


def _finish(
    objective: Objective,
    image: Tensor,
    last_good: Tensor,
    step: int,
    settings: slice,
    descent: Descent,
    history: History,
) -> Tensor:
    final = image.detach()
    if descent.clamp == "end":
        final = final.clamp(0, 1)
    history.shares(lambda: gradient_shares(objective, final, settings, descent.chunk))
    losses, _ = evaluate(objective, final, settings, descent.chunk, gradient=False)
    history.record(step, losses, final, last_good, settings, counts=False)
    return final


class _BudgetSpentError(Exception):
    """L-BFGS has used all its evaluations."""


def _lbfgs(
    objective: Objective, image: Tensor, settings: slice, descent: Descent, history: History
) -> tuple[Tensor, str]:
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
            history.shares(lambda: gradient_shares(objective, image, settings, descent.chunk))
        losses, image.grad = evaluate(objective, image, settings, descent.chunk)
        history.record(spent, losses, image, best, settings)
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
    return _finish(objective, best, best, spent, settings, descent, history), stopped


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


def gradient_shares(objective: Objective, image: Tensor, settings: slice, chunk: int | None = None) -> Tensor:
    """Each weighted term's share of the gradient norm, ‖g_i‖ / Σ_j ‖g_j‖, at `image`: (terms, images), float64, CPU.

    Where every gradient is zero the shares are zero.
    """
    norms = torch.zeros(len(TERMS), len(image), dtype=torch.float64)
    at_once = chunk or _default_chunk(image)
    for begin in range(0, len(image), at_once):
        part = image[begin : begin + at_once].detach().requires_grad_()
        rows = slice(settings.start + begin, settings.start + begin + len(part))
        terms = objective.terms(part, rows)
        for index, name in enumerate(TERMS):
            weighted = objective.weights[name][rows] * terms[name]
            if weighted.requires_grad:
                gradient = torch.autograd.grad(weighted.sum(), part, retain_graph=True)[0]
                norms[index, begin : begin + len(part)] = gradient.flatten(1).double().norm(dim=1).cpu()
    return norms / norms.sum(0).clamp_min(torch.finfo(torch.float64).tiny)


def _default_chunk(image: Tensor) -> int:
    if image.device.type != "cpu":
        return len(image)
    return max(1, _CHUNK_PIXELS // (image.shape[-1] * image.shape[-2]))


def _gradient(total: Tensor, image: Tensor) -> Tensor:
    if not total.requires_grad:
        return torch.zeros_like(image)
    # The networks' channels-last layout is not handed on: the optimisers are fastest, and L-BFGS only works, when the
    # gradient lies in memory as the image does.
    return torch.autograd.grad(total.sum(), image)[0].contiguous()


def try_rates(rates: Sequence[float], descend: Callable[[float], pd.DataFrame]) -> pd.DataFrame:
    """How far the total loss falls with each step size: columns rate and fall.

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
    """The step size of `try_rates` with the lowest fall. Raises `TransferError` where none lowered the loss."""
    best = table.sort_values("fall").iloc[0]
    if not best["fall"] < 0:
        raise TransferError(
            f"None of the step sizes {', '.join(f'{rate:g}' for rate in table['rate'])} lowered the loss. "
            "Try smaller ones."
        )
    return float(best["rate"])
