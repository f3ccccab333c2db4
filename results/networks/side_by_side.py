"""How the networks of the chapters' profile `reference` were trained: many side by side on one GPU.

    python results/networks/side_by_side.py       # trains those that the library lacks, and keeps them there
    stylerepro run fast_transfer --profile reference

One small network leaves a GPU idle between its thousand short kernels. Here a group of them shares each batch of
photographs and the loss network's passes, and its step is recorded once as a CUDA graph. Each network takes the steps
of `training.train`: on a CPU, where nothing is recorded, Johnson's have its losses digit for digit.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stylerepro.errors import TransferError
from stylerepro.files import atomic_path, hash_of, make_folder
from stylerepro.networks.feed_forward import StyleNetwork, architecture
from stylerepro.networks.loss_network import pick_device
from stylerepro.pictures import images
from stylerepro.runs.experiments import load, resolve_parameters
from stylerepro.training import library
from stylerepro.training.photographs import ahead
from stylerepro.training.recipe import Criterion, Recipe, chapter_recipe
from stylerepro.training.train import Trained, _table, picture_digest
from stylerepro.transfer.objective import TERMS, build_objective

CHAPTERS = ("fast_transfer", "efficient_networks")
_SHARED = (
    "loss_network",
    "convention",
    "photographs",
    "leave_out",
    "size",
    "crop",
    "batch",
    "steps",
    "seed",
    "precision",
)
_STREAMS = 7  # side by side within a group; more gained nothing on an H200


def reference() -> list[tuple[str, Recipe]]:
    """Return the networks that the chapters ask for: style picture and recipe, each."""
    return [job for name in CHAPTERS for job in _jobs(resolve_parameters(load(name), "reference"))]


def _jobs(given: Mapping[str, Any]) -> Iterator[tuple[str, Recipe]]:
    centre, seeds = (given["lambda_c"], given["lambda_s"]), given["seeds"]
    if "architectures" in given:  # all networks are compared, each on each seed
        kinds = [architecture("johnson-in"), *(architecture(name, multiplier=4) for name in given["architectures"])]
        kinds += [architecture(name, multiplier=1) for name in given["trained_small"]]
        wanted = [(style, kind, *centre, seed) for seed in seeds for style in given["styles"] for kind in kinds]
    else:  # one network, over its weights
        sweep = [centre, *((one, centre[1]) for one in given["lambda_c_values"])]
        sweep += [(centre[0], one) for one in given["lambda_s_values"]]
        kind, every = given["architecture"], [*given["styles"], *given["more_styles"]]
        wanted = [(style, kind, *weights, seed) for seed in seeds for style in given["styles"] for weights in sweep]
        wanted += [(style, kind, *centre, seeds[0]) for style in given["more_styles"]]
        wanted += [(style, other, *centre, seeds[0]) for other in given["readings"] for style in every]
    same = ("photographs", "batch", "steps", "learning_rate", "convention", "precision")
    settings = {name: given[name] for name in same} | {"held_out": given["contents"], "size": given["crop"]}
    layer, smooth = {"style_layer_weight": given["style_layer_weight"]}, {"tv_weight": given["lambda_tv"]}
    trained_with = given.get("trained_with", given["network"])
    jobs = [(*job, layer, smooth) for job in wanted]
    if given.get("as_printed"):
        jobs.append((given["styles"][0], given["architecture"], *centre, seeds[0], {"style_layer_weight": 0.2}, smooth))
    for style, kind, content_weight, style_weight, seed, *more in jobs:
        weights = {"content_weight": content_weight, "style_weight": style_weight, "seed": seed}
        yield style, chapter_recipe(kind, trained_with, **weights, **settings, **more[0], **more[1])


def train_all(
    jobs: Sequence[tuple[str, Recipe]], style_size: int, *, device: str = "auto", most: int = 14, log: bool = True
) -> list[Path]:
    """Train the networks that this machine's library lacks, and keep them there, as `library.obtain` finds them.

    jobs: style picture (a name or path) and recipe, each. Those of a group differ in style, architecture, weights and
    optimiser alone; `most` networks make a group, since the GPU's memory holds the activations of all of them.
    Returns the files. Raises `TransferError` for a loss that leaves the finite numbers, after the others of its
    group were kept, and what `images.read` and `Recipe.pictures` raise.
    """
    place = pick_device(device)
    wanted = [(style, recipe, *_kept_as(style, recipe, style_size)) for style, recipe in jobs]
    lacking = sorted((job for job in wanted if not job[2].is_file()), key=lambda job: _shared(job[1]))
    lost = []
    for _, alike in groupby(lacking, key=lambda job: _shared(job[1])):
        waiting = list(alike)
        for at in range(0, len(waiting), most):
            group = _Group(waiting[at : at + most], style_size, place)
            lost += group.keep(group.train(log), style_size)
    if lost:
        raise TransferError(
            f"The loss left the finite numbers for {', '.join(lost)}. Lower the learning rate or a weight."
        )
    return [job[2] for job in wanted]


class _Group:
    """Networks of one batch of photographs: their copies on the device, the losses of all as rows of one objective."""

    def __init__(
        self, jobs: Sequence[tuple[str, Recipe, Path, Mapping[str, Any]]], style_size: int, device: torch.device
    ):
        self.jobs, self.recipes, self.device = jobs, [job[1] for job in jobs], device
        first = self.recipes[0]
        made = [StyleNetwork(one.architecture, one.seed) for one in self.recipes]
        self.networks = [_prepared(one).to(device, memory_format=torch.channels_last).train() for one in made]  # type: ignore[call-overload]
        styles = {job[0]: images.read(job[0], style_size).to(device) for job in jobs}
        criterion = Criterion(styles[jobs[0][0]], first, device)
        self.objective, self.of_photographs = criterion._objective, criterion._of_photographs
        layers = first.layer_weights["style"]
        targets = {
            style: build_objective(
                self.objective.network, first.convention, picture, [picture], self.objective.weights, {}, layers
            ).style_targets
            for style, picture in styles.items()
        }  # fmt: skip
        rows = {name: torch.tensor([getattr(one, f"{name}_weight") for one in self.recipes]).float() for name in TERMS}
        self.objective.weights = {
            name: values.to(device).repeat_interleave(first.batch) for name, values in rows.items()
        }
        self.objective.used = {name: (values > 0).cpu() for name, values in self.objective.weights.items()}
        self.objective.style_targets = {
            layer: torch.cat([targets[job[0]][layer].expand(first.batch, -1, -1) for job in jobs]) for layer in layers
        }
        self.photographs = torch.zeros(first.batch, 3, first.size, first.size, device=device)
        self.streams = [torch.cuda.Stream() for _ in range(_STREAMS)] if device.type == "cuda" else []
        self.optimisers = list(self._optimisers())

    def _optimisers(self) -> Iterator[torch.optim.Optimizer]:
        recorded = {"capturable": True} if self.device.type == "cuda" else {}
        for kind in ("adam", "sgd"):
            own = [pair for pair in zip(self.networks, self.recipes, strict=True) if pair[1].optimiser == kind]
            parameters = [
                {"params": list(network.parameters()), "lr": recipe.learning_rate}
                | ({"betas": recipe.betas} if kind == "adam" else {})
                for network, recipe in own
            ]
            if parameters and kind == "adam":
                yield torch.optim.Adam(parameters, fused=True, **recorded)
            elif parameters:
                yield torch.optim.SGD(parameters, fused=True)

    def compute(self) -> Tensor:
        """Return content, style, tv and total of each network, (networks, 4), and update all of them."""
        here = torch.cuda.current_stream() if self.streams else None
        for stream in self.streams:
            stream.wait_stream(here)  # type: ignore[arg-type]
        outputs = []
        precision = {"dtype": torch.bfloat16, "enabled": self.recipes[0].precision == "bf16", "cache_enabled": False}
        for place, network in enumerate(self.networks):
            side = torch.cuda.stream(self.streams[place % _STREAMS]) if self.streams else nullcontext()
            with side, torch.autocast(self.device.type, **precision):  # type: ignore[arg-type]
                outputs.append(network(self.photographs).float())
        for stream in self.streams:
            here.wait_stream(stream)  # type: ignore[union-attr]
        if self.of_photographs is not None:
            with torch.no_grad():
                seen = self.of_photographs(self.photographs).items()
                self.objective.content_targets = {name: row.repeat(len(outputs), 1, 1, 1) for name, row in seen}
        terms = self.objective.terms(torch.cat(outputs))
        total = self.objective.total(terms)
        (total.sum() / len(self.photographs)).backward()
        for optimiser in self.optimisers:
            optimiser.step()
        told = torch.stack([*(terms[name] for name in TERMS), total], 1).detach()
        return told.reshape(len(outputs), -1, len(TERMS) + 1).mean(1)

    def _recorded(self) -> Callable[[], Tensor]:
        """Return a call that takes one step; on a GPU by a graph, whose recording leaves no trace in the networks."""
        if self.device.type != "cuda":
            return self._eager
        kept = [[value.clone() for value in network.state_dict().values()] for network in self.networks]
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self._eager()
            for optimiser in self.optimisers:
                optimiser.zero_grad()
        torch.cuda.synchronize()
        with torch.cuda.graph(graph, stream=stream):
            told = self.compute()
        with torch.no_grad():
            for network, values in zip(self.networks, kept, strict=True):
                for now, before in zip(network.state_dict().values(), values, strict=True):
                    now.copy_(before)
            for optimiser in self.optimisers:
                for state in optimiser.state.values():
                    for value in state.values():
                        value.zero_()

        def replay() -> Tensor:
            graph.replay()
            return told

        return replay

    def _eager(self) -> Tensor:
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        return self.compute()

    def train(self, log: bool) -> Tensor:
        """Return the history of all steps, (steps, networks, 4)."""
        first = self.recipes[0]
        pictures, step = first.pictures(), self._recorded()
        history = torch.zeros(first.steps, len(self.jobs), 4, device=self.device)

        def draw(number: int) -> Tensor:
            return pictures.draw(range(number * first.batch, (number + 1) * first.batch))

        for number, batch in enumerate(ahead(draw, range(first.steps))):
            self.photographs.copy_(batch, non_blocking=True)
            history[number].copy_(step())
            if log and number % 500 == 0:
                print(f"{len(self.jobs)} networks: step {number} of {first.steps}", flush=True)
        return history.cpu()

    def keep(self, history: Tensor, style_size: int) -> list[str]:
        """Write each network, as `library.obtain` does; returns the names of those whose loss was lost, not written."""
        lost = []
        for place, (style, recipe, path, settings) in enumerate(self.jobs):
            if not torch.isfinite(history[:, place]).all():
                lost.append(library.label(style, recipe))
                continue
            network = StyleNetwork(recipe.architecture).eval()
            with torch.no_grad():
                for own, other in (
                    ("parameters", self.networks[place].parameters()),
                    ("buffers", self.networks[place].buffers()),
                ):
                    for mine, theirs in zip(getattr(network, own)(), other, strict=True):
                        mine.copy_(theirs)
            rows = [[*values, recipe.learning_rate, math.nan] for values in history[:, place].tolist()]
            trained = Trained(network, recipe, _table(rows), {}, True)
            with atomic_path(path.with_suffix(".csv")) as temporary:
                trained.history.to_csv(temporary, index=False)
            trained.save(path, Path(style).name, settings=settings, style_size=style_size, side_by_side=len(self.jobs))
        return lost


class _Composed(nn.Module):
    """A depthwise and a pointwise convolution with nothing between, as the full one that they make: faster on a GPU."""

    def __init__(self, depthwise: nn.Conv2d | nn.ConvTranspose2d, pointwise: nn.Conv2d) -> None:
        super().__init__()
        self.depthwise, self.pointwise = depthwise, pointwise

    def forward(self, x: Tensor) -> Tensor:
        one, bias = self.depthwise, self.pointwise.bias
        with torch.autocast(x.device.type, enabled=False):
            kernel = one.weight.shape[-2:]
            down = one.weight.reshape(one.groups, -1, math.prod(kernel))
            up = self.pointwise.weight.reshape(-1, one.groups, down.shape[1])
            whole = torch.bmm(up.permute(1, 0, 2), down).reshape(one.groups, -1, *kernel)
        if isinstance(one, nn.ConvTranspose2d):
            return F.conv_transpose2d(x, whole, bias, one.stride, one.padding, one.output_padding)  # type: ignore[arg-type]
        return F.conv2d(F.pad(x, (int(one.padding[0]),) * 4, "reflect"), whole.transpose(0, 1), bias, one.stride)  # type: ignore[arg-type]


def _prepared(module: nn.Module) -> nn.Module:
    """Return the network with its depthwise convolutions composed; parameters and buffers keep their order."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Sequential):
            setattr(module, name, _prepared(nn.Sequential(*_exchanged(list(child)))))
        elif not isinstance(child, _Composed):
            _prepared(child)
    return module


def _exchanged(layers: list[nn.Module]) -> Iterator[nn.Module]:
    while layers:
        layer = layers.pop(0)
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.groups > 1 and isinstance(layers[0], nn.Conv2d):
            yield _Composed(layer, layers.pop(0))  # type: ignore[arg-type]
        else:
            yield layer


def _shared(recipe: Recipe) -> str:
    return str([getattr(recipe, name) for name in _SHARED])


def _kept_as(style: str, recipe: Recipe, style_size: int) -> tuple[Path, dict[str, Any]]:
    settings = recipe.described() | {"style picture": picture_digest(images.read(style, style_size))}
    del settings["accumulation"]
    key = hash_of([settings, recipe.pictures().identity, library._code()])
    folder = make_folder(library.own_folder())
    return folder / f"{library.label(style, recipe)}-{key[:8]}.safetensors", settings


if __name__ == "__main__":
    print("\n".join(map(str, train_all(reference(), style_size=256))))
