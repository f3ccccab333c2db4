"""Weights of the loss networks, read from wherever they are: this folder, a mirror, the cache, an address.

`compact.safetensors` comes with the package; what it is, and how good, stands in `compact.md` beside it.
"""

import dataclasses
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stylerepro.errors import AssetError, NetworkError
from stylerepro.files import atomic_path
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.pictures import assets

PARALLEL = "module."  # what PyTorch's DataParallel puts before every name


def load(spec: NetworkSpec) -> dict[str, Tensor]:
    """Return the weights of `spec` by the names in its file, float32 on the CPU; empty for a random network.

    Raises `NetworkError` where the file cannot be had (it names the networks that work now) or cannot be read.
    """
    if spec.keys == "random":
        return {}
    if spec.file:
        return read_safetensors(spec.file)
    assert spec.asset is not None, f"{spec.name} has neither an asset nor a packaged file"
    if spec.mirrored and assets.available(spec.mirrored):
        return read_safetensors(assets.fetch(spec.mirrored))
    downloaded = _torch_hub_file(spec)
    try:
        path = downloaded if downloaded and not assets.available(spec.asset) else assets.fetch(spec.asset)
    except AssetError as error:
        raise NetworkError(
            f"The weights of {spec.name} cannot be had. {error} "
            f"Networks that work now: {', '.join(filter(network_at_hand, NETWORKS))}."
        ) from error
    state = read_weights(path)
    return state["model"] if spec.keys == "distilled" else state


def network_at_hand(name: str) -> bool:
    """Return true where the network's weights are on this machine already, so that nothing would be downloaded."""
    spec = NETWORKS[name]
    named = [asset for asset in (spec.mirrored, spec.asset) if asset]
    return not named or any(map(assets.available, named)) or _torch_hub_file(spec) is not None


def with_any_weights(name: str) -> NetworkSpec:
    """Return the network as it is, or with seeded random weights where its own would have to be downloaded."""
    spec = NETWORKS[name]
    return spec if network_at_hand(name) else dataclasses.replace(spec, asset=None, keys="random")


def read_weights(path: Path) -> dict[str, Any]:
    """Read a weights file of tensors and plain containers, on the CPU.

    A file that is damaged, or a pickle that would run code, is a `NetworkError`: nothing in it is executed.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise NetworkError(
            f"{path.name} was refused: it is not a file of plain tensors. It may be damaged, or hold code that would "
            f"run on loading. Expected a state dictionary written by torch.save; remove the file and fetch it again."
        ) from error
    except (OSError, MemoryError):
        raise
    except Exception as error:
        # Nearly anything comes out of torch's reader for a damaged file: IndexError, UnicodeDecodeError, KeyError …
        raise NetworkError(
            f"{path.name} cannot be read as weights ({error}). Remove the file and fetch it again."
        ) from error


@contextmanager
def opened(path: str | Path, advice: str) -> Iterator[Any]:
    """Open a safetensors file; a missing or damaged one is a `NetworkError` that ends with `advice`."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError) as error:
        raise NetworkError(f"{Path(path).name} cannot be read as safetensors ({error}). {advice}") from error


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file, float32 on the CPU; a missing or damaged one is a `NetworkError`."""
    with opened(
        path, f"It comes with the package: install that again, or give a file that `{__name__}.save` wrote."
    ) as file:
        return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (no mapping)


def describe(path: str | Path, advice: str = "") -> dict[str, str]:
    """Read what a safetensors file says of itself: teacher, data, recipe, licence; `NetworkError` for another file."""
    with opened(path, advice) as file:
        return dict(file.metadata() or {})


def save(weights: Mapping[str, Tensor], path: str | Path, metadata: Mapping[str, str]) -> Path:
    """Write `weights` to a safetensors file, whole or not at all, in the precision they have."""
    with atomic_path(path) as temporary:
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, temporary, dict(metadata))
    return Path(path)


def _torch_hub_file(spec: NetworkSpec) -> Path | None:
    """Return the file that torchvision has already downloaded on this machine, so that it is not downloaded again."""
    if spec.keys != "torchvision" or spec.asset is None:
        return None
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(assets.REGISTRY[spec.asset].path).name
    return path if path.is_file() else None
