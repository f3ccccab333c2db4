"""Files of feed-forward networks: safetensors that describe themselves, and ONNX for other programs to run."""

import json
import logging
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as to_bytes
from torch import Tensor

from stylerepro.errors import NetworkError
from stylerepro.files import atomic_path
from stylerepro.networks import naming, weights
from stylerepro.networks.feed_forward import LEAST_SIZE, Architecture, StyleNetwork, architecture

FORMAT = "stylerepro.transformer/1"  # the first name of these networks here; committed files carry it
_ADVICE = "Give a file that `checkpoints.save` wrote."
_LARGEST = 16384  # pixels of a side, for the exported graph


@dataclass(frozen=True)
class Description:
    """A network as its file describes it. trained: on what, with which settings; free, as `save` was given it."""

    architecture: Architecture
    trained: Mapping[str, Any] = field(default_factory=dict)


def save(
    network: StyleNetwork, path: str | Path, trained: Mapping[str, Any] | None = None, *, half: bool = False
) -> Path:
    """Write a network to a safetensors file, whole or not at all; returns the path.

    trained: what the network was trained on and how, anything that JSON can hold. half: store float16, half the bytes;
    `load` gives float32 again. Raises `NetworkError` for weights that are not finite, or would not be in float16.
    """
    tensors, metadata = _content(network, trained, half)
    return weights.save(tensors, path, metadata)


def file_size(network: StyleNetwork, trained: Mapping[str, Any] | None = None, *, half: bool = False) -> int:
    """Return bytes of the file that `save` would write."""
    return len(to_bytes(*_content(network, trained, half)))


def load(path: str | Path) -> StyleNetwork:
    """Return the network of a file that `save` wrote: float32, on the CPU, in eval mode.

    Nothing in the file is executed, and nothing is allocated by what it claims. A missing, damaged or foreign file is
    a `NetworkError`.
    """
    description = describe(path)
    with torch.device("meta"):
        network = StyleNetwork(description.architecture)
    with weights.opened(path, _ADVICE) as file:
        names = {name.removeprefix(weights.PARALLEL): name for name in file.keys()}  # noqa: SIM118 (no mapping)
        shapes = {name: tuple(file.get_slice(stored).get_shape()) for name, stored in names.items()}
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        if shapes != expected:
            odd = sorted(name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name))
            raise NetworkError(
                f"{Path(path).name} does not hold the weights of the {naming.label(description.architecture)} that it "
                f"describes: {len(odd)} of {len(expected)} tensors are missing, unknown or of another shape, {odd[0]} "
                "among them. Save the network again with `checkpoints.save`."
            )
        state = {name: file.get_tensor(names[name]) for name in expected}
    # Counters of batches stay whole numbers.
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    _check_finite(state, f"{Path(path).name} holds")
    network.load_state_dict(state, assign=True)
    return network.eval()


def describe(path: str | Path) -> Description:
    """Return architecture and training of a file that `save` wrote; a `NetworkError` for any other file."""
    name, metadata = Path(path).name, weights.describe(path, _ADVICE)
    if metadata.get("format") != FORMAT:
        raise NetworkError(
            f"{name} is a safetensors file, but not of a feed-forward network: its format is "
            f"{metadata.get('format')!r}, expected {FORMAT!r}. {_ADVICE}"
        )
    try:
        fields, trained = json.loads(metadata["architecture"]), json.loads(metadata["trained"])
        if not isinstance(fields, dict) or not isinstance(trained, dict):
            raise ValueError("a mapping is expected")
        return Description(architecture(Architecture(), **fields), trained)
    except (KeyError, ValueError, TypeError) as error:
        raise NetworkError(
            f"{name} describes its network in a way that cannot be read ({error}). Save the network again with "
            "`checkpoints.save`."
        ) from error


def _content(
    network: StyleNetwork, trained: Mapping[str, Any] | None, half: bool
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a network's file, and what it says of them."""
    # Contiguous, so that a network in channels-last memory gives the same bytes.
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    _check_finite(state, "The network was not saved: it has")
    if half:
        state = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
        _check_finite(state, "The network was not saved: in float16 it would have")
    return state, {
        "format": FORMAT,
        "architecture": json.dumps(asdict(network.architecture)),
        "trained": json.dumps(dict(trained or {}), ensure_ascii=False, allow_nan=False),
    }


def _check_finite(state: Mapping[str, Tensor], whose: str) -> None:
    bad = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if bad:
        raise NetworkError(
            f"{whose} NaN or infinite weights, in {', '.join(bad[:3])}. A training that diverged leaves such; "
            "train again with a smaller learning rate, or take an earlier checkpoint."
        )


def export_onnx(network: StyleNetwork, path: str | Path) -> Path:
    """Write the network as an ONNX graph, whole or not at all; returns the path.

    Input `pictures` and output `stylised`, both float32 (N, 3, H, W) in [0, 1]; N, H and W are free, H and W from
    `LEAST_SIZE` to 16384 px; the padding to a multiple of 4 and the cut are part of the graph. Needs the packages onnx
    and onnxscript; a graph that PyTorch cannot write is a `NetworkError`.
    """
    side = {name: torch.export.Dim(name, min=LEAST_SIZE, max=_LARGEST) for name in ("height", "width")}
    free = {0: torch.export.Dim("pictures", max=4096), 2: side["height"], 3: side["width"]}
    # On the CPU and in the usual memory order, wherever the network lives.
    still = StyleNetwork(network.architecture).eval()
    still.load_state_dict(network.state_dict())
    # Two pictures of an odd size: a 1 or a multiple of 4 would be taken for a constant.
    example = torch.zeros(2, 3, 33, 46)
    try:
        logging.disable(logging.WARNING)  # the exporter tells of its passes, and PyTorch warns of its own internals
        with warnings.catch_warnings(action="ignore"), atomic_path(path) as temporary:
            torch.onnx.export(
                still, (example,), temporary, dynamo=True, verbose=False, external_data=False,
                input_names=["pictures"], output_names=["stylised"], dynamic_shapes=(free,),
            )  # fmt: skip
    except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
        raise NetworkError(
            f"{Path(path).name} was not written: PyTorch could not export the network ({error}). Install onnx and "
            "onnxscript at the versions of requirements.txt."
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    return Path(path)


class OnnxNetwork:
    """An exported network under ONNX Runtime, on the CPU: pictures (N, 3, H, W) in [0, 1] in and out, as tensors.

    threads: that it computes with; None takes PyTorch's. A file that is no ONNX graph, or that of another kind of
    network, is a `NetworkError`, and so is a picture smaller than `LEAST_SIZE` or larger than 16384 px.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.log_severity_level = 4  # what goes wrong comes as an error
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has a class of error for each of its states, and no common one
            raise NetworkError(
                f"{Path(path).name} cannot be read as an ONNX graph ({error}). Give a file that "
                "`checkpoints.export_onnx` wrote."
            ) from error
        asked = [f"{each.name} {each.shape}" for each in self._session.get_inputs()]
        if not (len(asked) == len(self._session.get_outputs()) == 1 and asked[0].startswith("pictures [")):
            raise NetworkError(
                f"{Path(path).name} is the ONNX graph of another kind of network: it takes {', '.join(asked)}, not "
                "pictures [N, 3, H, W]. Give a file that `checkpoints.export_onnx` wrote."
            )

    def __call__(self, pictures: Tensor) -> Tensor:
        """Stylise pictures (N, 3, H, W), float32 in [0, 1], to the same shape."""
        height, width = pictures.shape[-2:]
        if not LEAST_SIZE <= min(height, width) <= max(height, width) <= _LARGEST:
            raise NetworkError(
                f"A picture of {width}×{height} px does not go through this graph: a side has {LEAST_SIZE} to "
                f"{_LARGEST} px. Use another picture, or another size."
            )
        (stylised,) = self._session.run(None, {"pictures": pictures.detach().float().cpu().numpy()})
        return torch.from_numpy(stylised)
