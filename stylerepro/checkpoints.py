"""Checkpoints of a training: one file, whole or not at all, and never code that runs on loading."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stylerepro.errors import TransferError
from stylerepro.files import atomic_path

FORMAT = "stylerepro.training/1"


@dataclass(frozen=True)
class Checkpoint:
    """A training after `step` steps.

    settings: what the training was, name → value; only a training with the same settings may go on from here.
    network, optimiser, scheduler: their state dictionaries. random: states of the random generators.
    history: (step, columns), float64. The position in the data needs no entry: it follows from `step`.
    """

    settings: Mapping[str, str]
    step: int
    network: Mapping[str, Tensor]
    optimiser: Mapping[str, Any]
    scheduler: Mapping[str, Any]
    random: Mapping[str, Any]
    history: Tensor


def write(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write `checkpoint` under a temporary name, then rename it: a kill leaves the previous one in place."""
    with atomic_path(path) as temporary:
        torch.save({"format": FORMAT, **vars(checkpoint)}, temporary)


def read(path: str | Path, settings: Mapping[str, str]) -> Checkpoint:
    """The checkpoint at `path`, its tensors on the CPU.

    Raises `TransferError` for a file that is damaged, is something else, or belongs to a training with other settings;
    the message names those that differ.
    """
    name = Path(path).name
    advice = "Give the name of another file, or remove it to start anew."
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise TransferError(f"{name} cannot be read as a checkpoint ({reason}). {advice}") from error
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise TransferError(f"{name} is not a checkpoint of a training. {advice}")
    try:
        found = Checkpoint(**content)
    except TypeError as error:
        raise TransferError(f"{name} is not a whole checkpoint ({error}). {advice}") from error
    different = [
        f"{key} ({found.settings.get(key)} there, {settings.get(key)} now)"
        for key in sorted(found.settings.keys() | settings.keys())
        if found.settings.get(key) != settings.get(key)
    ]
    if different:
        raise TransferError(
            f"{name} is of a training with other settings: {', '.join(different)}. Train with those of the "
            f"checkpoint to go on. {advice}"
        )
    return found


def random_states() -> dict[str, Any]:
    """States of PyTorch's random generators, of the CPU and of every GPU."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random(states: Mapping[str, Any]) -> None:
    """Set the random generators as `random_states` found them, as far as this machine has the same GPUs."""
    torch.set_rng_state(states["cpu"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
