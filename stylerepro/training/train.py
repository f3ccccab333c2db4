"""Training a feed-forward network on a style: the network is the parameter, photographs come and go.

    trained = train(images.read("swirls", 256), Recipe("johnson-in", steps=500), checkpoint="swirls.pt", progress=True)
    trained.save("swirls.safetensors")

Killed at any step and called again, `train` goes on from its checkpoint as if nothing had happened. Under
`accelerate launch` the processes share each batch. The loop reads from top to bottom in `train`.
"""

import hashlib
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from tqdm.auto import tqdm

from stylerepro.errors import TransferError
from stylerepro.files import atomic_path
from stylerepro.networks import checkpoints
from stylerepro.networks.feed_forward import StyleNetwork
from stylerepro.training.photographs import ahead
from stylerepro.training.recipe import Criterion, Recipe
from stylerepro.transfer.objective import TERMS

if TYPE_CHECKING:
    from accelerate import Accelerator

COLUMNS = ("step", *TERMS, "total", "learning_rate", "seconds")  # of a history
FORMAT = "stylerepro.training.train/1"  # of a checkpoint


@dataclass(frozen=True)
class Progress:
    """A state of the training, handed to the callback after every step, in the main process.

    step: updates so far; steps: planned; losses: content, style, tv (unweighted) and total (weighted), means over the
    batch before this update; stylise: the network as it is now, pictures (N, 3, H, W) in, the same out, on the CPU.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    stylise: Callable[[Tensor], Tensor]


@dataclass
class Snapshots:
    """A callback that keeps what becomes of one `picture` (1, 3, H, W) every so many steps: `kept`, step → picture."""

    picture: Tensor
    every: int
    kept: dict[int, Tensor] = field(default_factory=dict)

    def __call__(self, progress: Progress) -> None:
        if progress.step % self.every == 0:
            self.kept[progress.step] = progress.stylise(self.picture)


@dataclass(frozen=True)
class Trained:
    """A network and how its training went.

    network: on the CPU, in eval mode. history: one row a step, the steps before a resumption too. Columns: step (from
    1), content, style, tv (unweighted) and total (weighted), means over the batch before the step's update,
    learning_rate, seconds (of the step, waiting for its pictures included, callback and checkpoint not). skipped: files
    that could not be read, and why, in all processes. finished: false where `until` came before the recipe's last step.
    """

    network: StyleNetwork
    recipe: Recipe
    history: pd.DataFrame
    skipped: Mapping[str, str]
    finished: bool

    @property
    def blew_up(self) -> bool:
        """Whether the loss left for good: finite, yet more than three times the first in each of the last ten steps.

        An output cut to [0, 1] keeps it finite, at ten to thirty times the first.
        """
        first, *others = self.history["total"]
        return bool(others) and min(others[-10:]) > 3 * first

    def save(self, path: str | Path, style: str = "", *, half: bool = False, **more: Any) -> Path:
        """Write the network as `checkpoints.save` does, with recipe, style's name, last losses and `more`."""
        last = {name: float(self.history[name].iloc[-1]) for name in (*TERMS, "total")}
        trained = {"style": style, "step": int(self.history["step"].iloc[-1]), "last": last, **more}
        return checkpoints.save(self.network, path, trained | {"recipe": self.recipe.described()}, half=half)


def train(
    style: Tensor,
    recipe: Recipe,
    *,
    checkpoint: str | Path | None = None,
    save_every: int = 100,
    until: int | None = None,
    callback: Callable[[Progress], None] | None = None,
    progress: bool = False,
    device: str = "auto",
) -> Trained:
    """Train a network of `recipe` on one style picture (1, 3, h, w), sRGB in [0, 1] (document 003, section 3).

    checkpoint: a file written every `save_every` steps, on Ctrl-C and at the end; where it exists already, training
    goes on from it, if it is of the same recipe, style and photographs. On one CPU an interrupted training ends with
    the same weights, bit for bit, as one that was not.
    until: stop (with a checkpoint) after so many steps, counted from the start of training.
    callback: called with a `Progress` after every step; progress: show a bar. Both in the main process alone.
    device: "auto" is accelerate's choice, or "cpu".

    Several processes (`accelerate launch`) share each batch and give, for networks with instance norm, the losses that
    one process gives; a batch norm sees only its own process's pictures.

    Raises `TransferError` for a batch that cannot be shared out, a checkpoint of another training, and a loss that
    leaves the finite numbers: the error carries the `history` and the `step`, the last checkpoint stays as it was.
    On Ctrl-C the step is ended, and `KeyboardInterrupt` says which it was and what is kept.
    """
    if style.ndim != 4 or len(style) != 1:
        raise TransferError(f"style must be one picture (1, 3, H, W) in [0, 1], got shape {tuple(style.shape)}.")
    pictures = recipe.pictures()
    runner = _accelerator(recipe.precision, device)
    shares = _shares(recipe, runner.num_processes, runner.process_index)

    network = StyleNetwork(recipe.architecture, recipe.seed).to(memory_format=torch.channels_last)
    method, scheduler = _optimiser(network, recipe)
    settings = {**recipe.settings(), "pictures": pictures.identity, "style picture": picture_digest(style)}
    parts: dict[str, Any] = {"network": network, "optimiser": method, "scheduler": scheduler}
    rows: list[list[float]] = []
    if checkpoint is not None and Path(checkpoint).is_file():
        rows = _resume(Path(checkpoint), settings, parts)
    done = len(rows)
    prepared, optimiser = runner.prepare(network, method)
    criterion = Criterion(style, recipe, runner.device)
    last = min(recipe.steps, recipe.steps if until is None else until)
    main = runner.is_main_process

    def stylise(inputs: Tensor) -> Tensor:
        network.eval()
        with torch.no_grad():
            made = network(inputs.to(runner.device))
        network.train()
        return made.float().cpu()

    def draw(step: int) -> list[Tensor]:
        return [pictures.draw([step * recipe.batch + place for place in share]) for share in shares]

    bar = tqdm(total=last, initial=done, disable=not (progress and main), desc="training", leave=False)
    network.train()
    clock = time.perf_counter()
    with bar, _on_interrupt() as interrupted:
        for step, batches in zip(range(done, last), ahead(draw, range(done, last)), strict=True):
            sums: list[Tensor] = []
            for place, batch in enumerate(batches):
                photographs = batch.to(runner.device, memory_format=torch.channels_last)
                # Processes exchange gradients once a step, not once a part.
                with nullcontext() if place == len(batches) - 1 else runner.no_sync(prepared):
                    terms = criterion(prepared(photographs), photographs)
                    runner.backward(terms["total"].mean() / len(batches))
                sums.append(torch.stack([terms[name].detach().mean() for name in (*TERMS, "total")]))
            values = runner.reduce(torch.stack(sums).mean(0), "mean").tolist()
            rows.append([*values, float(method.param_groups[0]["lr"]), math.nan])
            if not math.isfinite(values[-1]):
                raise _lost(step, recipe, rows)
            optimiser.step()
            optimiser.zero_grad()
            scheduler.step()
            rows[-1][-1] = time.perf_counter() - clock
            bar.update()
            bar.set_postfix(total=f"{values[-1]:.3g}", refresh=False)
            if callback is not None and main:
                callback(Progress(step + 1, recipe.steps, dict(zip((*TERMS, "total"), values, strict=True)), stylise))
            stop = bool(interrupted)
            if checkpoint is not None and main and (stop or (step + 1) % save_every == 0 or step + 1 == last):
                _write(checkpoint, settings, rows, parts)
            if stop:
                kept = f"; kept in {checkpoint}" if checkpoint is not None else ""
                raise KeyboardInterrupt(f"interrupted at step {step + 1} of {recipe.steps}{kept}")
            clock = time.perf_counter()
    runner.wait_for_everyone()
    result = StyleNetwork(recipe.architecture).eval()
    result.load_state_dict(network.state_dict())
    skipped = list(pictures.skipped.items())
    if runner.num_processes > 1:
        from accelerate.utils import gather_object

        skipped = gather_object(skipped)
    return Trained(result, recipe, _table(rows), dict(sorted(skipped)), len(rows) >= recipe.steps)


@contextmanager
def _on_interrupt() -> Iterator[list[int]]:
    """Yield what is empty until Ctrl-C is pressed: half a step could not be kept. Pressed twice, it ends at once."""
    pressed: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    # Only the main thread hears signals, and a job in the background of a shell is to ignore this one.
    heard = callable(before) and threading.current_thread() is threading.main_thread()

    def note(number: int, _: Any) -> None:
        pressed.append(number)
        signal.signal(signal.SIGINT, before)

    if heard:
        signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        if heard:
            signal.signal(signal.SIGINT, before)


def _accelerator(precision: str, device: str) -> "Accelerator":
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState

    # accelerate keeps one state a process and refuses another precision or device; a training is on its own here.
    if not PartialState._shared_state or PartialState().num_processes == 1:
        AcceleratorState._reset_state(reset_partial_state=True)
    if device not in ("auto", "cpu"):
        raise TransferError(f"Unknown device {device!r}; expected 'auto' or 'cpu'.")
    return Accelerator(cpu=device == "cpu", mixed_precision=precision)


def _shares(recipe: Recipe, processes: int, process: int) -> list[range]:
    """Places in the batch that this process computes, part by part; together the processes' first parts come first."""
    each, left = divmod(recipe.batch, processes * recipe.accumulation)
    if left:
        raise TransferError(
            f"A batch of {recipe.batch} cannot be shared by {processes} processes in {recipe.accumulation} parts each. "
            f"Give a batch that is a multiple of {processes * recipe.accumulation}."
        )
    starts = [(part * processes + process) * each for part in range(recipe.accumulation)]
    return [range(start, start + each) for start in starts]


def _optimiser(network: nn.Module, recipe: Recipe) -> tuple[torch.optim.Optimizer, LambdaLR]:
    adam = partial(torch.optim.Adam, betas=recipe.betas)
    kind: Callable[..., torch.optim.Optimizer] = adam if recipe.optimiser == "adam" else torch.optim.SGD
    method = kind(network.parameters(), lr=recipe.learning_rate, fused=True)

    def factor(step: int) -> float:
        return 1.0 if recipe.rate == "constant" else (1 + math.cos(math.pi * step / recipe.steps)) / 2

    return method, LambdaLR(method, factor)


def picture_digest(picture: Tensor) -> str:
    """Return 16 hex digits that tell this picture from any other."""
    return hashlib.sha256(picture.detach().float().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def _table(rows: list[list[float]]) -> pd.DataFrame:
    return pd.DataFrame([[step, *row] for step, row in enumerate(rows, 1)], columns=COLUMNS)


def _lost(step: int, recipe: Recipe, rows: list[list[float]]) -> TransferError:
    named = ", ".join(f"{name} {value:.4g}" for name, value in zip((*TERMS, "total"), rows[-1], strict=False))
    error = TransferError(
        f"The loss left the finite numbers at step {step + 1} of {recipe.steps}: {named}. The learning rate "
        f"{recipe.learning_rate:g} of {recipe.optimiser} may be too large; lower it, or a weight. The history is on "
        "this error as `.history`; the last checkpoint, if there is one, is as it was."
    )
    error.history, error.step = _table(rows), step
    return error


def _write(path: str | Path, settings: Mapping[str, str], rows: list[list[float]], parts: Mapping[str, Any]) -> None:
    """Write a checkpoint whole or not at all: a kill leaves the previous one in place.

    Of the position in the data nothing is kept: it follows from the step.
    """
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    random = {"cpu": torch.get_rng_state(), "cuda": gpus}
    state = {"format": FORMAT, "settings": settings, "step": len(rows), "random": random}
    state |= {"history": torch.tensor(rows, dtype=torch.float64)}
    with atomic_path(path) as temporary:
        torch.save(state | {name: part.state_dict() for name, part in parts.items()}, temporary)


def _resume(path: Path, settings: Mapping[str, str], parts: Mapping[str, Any]) -> list[list[float]]:
    """Bring `parts` and PyTorch's random generators to where a checkpoint left them; returns its history's rows.

    No code in the file is run; generators of GPUs are set as far as this machine has the same.
    Raises `TransferError` for a file that is damaged, is something else, or belongs to a training with other settings;
    the message names those that differ.
    """
    advice = "Give the name of another file, or remove it to start anew."
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch's reader of a damaged file raises nearly anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TransferError(f"{path.name} cannot be read as a checkpoint ({reason}). {advice}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise TransferError(f"{path.name} is not a checkpoint of a training. {advice}")
    theirs = state["settings"]
    different = [
        f"{name} ({theirs.get(name)} there, {settings.get(name)} now)"
        for name in sorted(theirs.keys() | settings.keys())
        if theirs.get(name) != settings.get(name)
    ]
    if different:
        raise TransferError(
            f"{path.name} is of a training with other settings: {', '.join(different)}. Train with those of the "
            f"checkpoint to go on. {advice}"
        )
    for name, part in parts.items():
        part.load_state_dict(state[name])
    random = state["random"]
    torch.set_rng_state(random["cpu"])
    if torch.cuda.is_available() and len(random["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(random["cuda"])
    return state["history"].tolist()
