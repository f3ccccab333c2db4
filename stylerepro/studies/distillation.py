"""Distillation: the compact loss network is learned from a real one, first layer by layer, then on its own pictures.

A network that matches its teacher on photographs alone is free elsewhere, and an optimiser goes exactly there. So the
second part learns *on-policy*: pictures are optimised against the student as it is, the teacher is asked for its
features on them, the student learns from both, and again.
"""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from stylerepro.errors import NetworkError
from stylerepro.measures.judges import relative_style_loss
from stylerepro.networks import weights as weights_of_file
from stylerepro.networks.loss_network import LossNetwork, layer_names
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.pictures import assets
from stylerepro.studies.distillation_pictures import SIDE, Pictures, Split, crops, disturb, random_each, twins
from stylerepro.studies.whitening import Recipe, Whitened, fit_layer
from stylerepro.transfer import losses
from stylerepro.transfer.objective import CONTENT_LAYERS, STYLE_LAYERS
from stylerepro.transfer.transfer import transfer

_FLOOR = 1e-3  # of a layer's variance, below which a difference or a Gram matrix is not divided by its own size


@dataclass
class Learner:
    """A student on its way: the network, its teacher, and what both are compared on.

    variances: layer → variance of the teacher's features over crops, mean over channels. weights: convolution → how
    much its errors count.
    """

    student: LossNetwork
    teacher: LossNetwork
    pictures: Pictures
    recipe: Recipe
    variances: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        with torch.no_grad():
            seen = self.teacher(self.pictures.draw(max(self.recipe.batch, 8)))
        seen |= {layer.replace("conv", "relu"): before.relu() for layer, before in seen.items()}
        self.variances = {name: float(values.var((0, 2, 3)).mean()) for name, values in seen.items()}

    @property
    def weights(self) -> dict[str, float]:
        """How much each convolution's errors count: those that losses of the documents rest on most."""
        main = {*CONTENT_LAYERS, *STYLE_LAYERS}
        return {layer: 1.0 if layer in main else self.recipe.other_weight for layer in self.student.layers}

    def errors(self, pictures: Tensor, twinned: int = 0, layers: Sequence[str] = ()) -> dict[str, Tensor]:
        """Compare student and teacher on `pictures`, of which the last `twinned` are twins of the first.

        Returns means over `layers` (all by default), weighted: behind (the ReLU), before, gram, difference: squared
        errors as shares of the teacher's variance, squared Gram matrix, and squared difference between twins.
        """
        with torch.no_grad():
            wanted = self.teacher(pictures)
        given = self.student(pictures)
        sums = dict.fromkeys(("behind", "before", "gram", "difference"), pictures.new_zeros(()))
        chosen = {layer: self.weights[layer] for layer in layers or self.student.layers}
        for layer, weight in chosen.items():
            share, variance = weight / sum(chosen.values()), self.variances[layer.replace("conv", "relu")]
            own, its = given[layer].relu(), wanted[layer].relu()
            sums["behind"] = sums["behind"] + share * (own - its).square().mean() / variance
            apart = (given[layer] - wanted[layer]).square()
            sums["before"] = sums["before"] + share * apart.mean() / self.variances[layer]
            gram, target = losses.gram(own, "positions"), losses.gram(its, "positions")
            least = _FLOOR * own.shape[1] * variance**2
            apart = (gram - target).square().sum((1, 2)) / (target.square().sum((1, 2)) + least)
            sums["gram"] = sums["gram"] + share * apart.mean()
            if twinned:
                change, target = own[:twinned] - own[-twinned:], its[:twinned] - its[-twinned:]
                least = _FLOOR * variance
                apart = (change - target).square().mean((1, 2, 3)) / (target.square().mean((1, 2, 3)) + least)
                sums["difference"] = sums["difference"] + share * apart.mean()
        return sums


def learn(
    spec: NetworkSpec,
    teacher: LossNetwork,
    pictures: Pictures,
    recipe: Recipe,
    start: Mapping[str, Tensor] | None = None,
    progress: bool = False,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Learn the weights of `spec`, a network with a trunk and heads, from `teacher`, which hands out all convolutions.

    start: weights to go on from, in place of those that are learned layer by layer.
    Returns the weights by name, float32 on the CPU, and the history, one row a round (0 is before the first): round,
    step, seconds, behind, before, gram, difference (means over the round's last steps).
    Raises `NetworkError` where the student left the finite numbers.
    """
    device = pictures.photographs.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(recipe.seed)
        return _learn(spec, teacher, pictures, recipe, start, progress)


def _learn(
    spec: NetworkSpec, teacher: LossNetwork, pictures: Pictures, recipe: Recipe, start: Mapping[str, Tensor] | None,
    progress: bool,
) -> tuple[dict[str, Tensor], pd.DataFrame]:  # fmt: skip
    convolutions = [layer for layer in spec.layers if layer.startswith("conv")]
    device = pictures.photographs.device
    # What is learned layer by layer replaces all of the random weights.
    state = start or weights_of(LossNetwork(replace(spec, keys="random"), convolutions, state={}))
    student = LossNetwork(spec, convolutions, state=state, device=device)
    learner = Learner(student, teacher, pictures, recipe)
    started = time.perf_counter()
    for layer in tqdm([] if start else convolutions, disable=not progress, desc="layer by layer", leave=False):
        fit_layer(layer, student, teacher, pictures, recipe)
    rows: list[dict[str, Any]] = []

    def told(number: int, last: Sequence[Mapping[str, float]]) -> None:
        means: dict[Any, Any] = pd.DataFrame(last).mean().to_dict()
        seconds = time.perf_counter() - started
        rows.append({"round": number, "step": number * recipe.steps, "seconds": seconds} | means)

    with torch.no_grad():
        told(0, [{name: float(value) for name, value in learner.errors(pictures.draw(recipe.batch)).items()}])
    student.requires_grad_(True)
    own: list[Tensor] = []  # on-policy pictures, by round
    quarter = recipe.batch // 4
    fresh = recipe.batch - quarter
    for number in range(1, recipe.rounds + 1):
        seen = pictures.draw(2 * recipe.batch)
        if own:
            seen = torch.cat([seen, crops(own[-1], recipe.batch, pictures.size)])
        in_turn = [own[-1], torch.cat(own)] if own else []  # those of the last round, and of all
        method = Whitened(student, seen, recipe)
        recent: list[dict[str, float]] = []
        for step in tqdm(range(recipe.steps), disable=not progress, desc=f"round {number}", leave=False):
            shown = pictures.draw(fresh - fresh // 2 if own else fresh)
            if own:
                shown = torch.cat([crops(in_turn[step % 2], fresh // 2, pictures.size), shown])
            shown = shown[torch.randperm(len(shown), device=device)]
            errors = learner.errors(torch.cat([shown, twins(shown[:quarter])]), quarter, _some_layers(learner))
            total = errors["behind"] + recipe.convolution_weight * errors["before"]
            total = total + recipe.gram_weight * errors["gram"] + recipe.difference_weight * errors["difference"]
            student.zero_grad()
            total.backward()
            done = ((number - 1) * recipe.steps + step) / (recipe.rounds * recipe.steps)
            method.step(recipe.rate * (1 + math.cos(math.pi * done)) / 2)
            if step % 50 == 0 or step == recipe.steps - 1:
                recent.append({name: float(value.detach()) for name, value in errors.items()})
                if not math.isfinite(recent[-1]["behind"]):
                    raise NetworkError(
                        f"The student left the finite numbers in round {number}, at step {step + 1}: the rate of "
                        f"{recipe.rate:g} is too large. Lower it."
                    )
        told(number, recent[-4:])
        if number < recipe.rounds:
            own.append(on_policy(spec, weights_of(student), pictures, recipe))
    return weights_of(student), pd.DataFrame(rows)


def on_policy(spec: NetworkSpec, weights: Mapping[str, Tensor], pictures: Pictures, recipe: Recipe) -> Tensor:
    """Optimise pictures against a student: what an optimiser makes of it, on the way and at the end.

    Each of `recipe.trajectories` has a content, a style, a start (content, noise, or grey with a little noise), layer
    weights, a content weight and a step size of its own. Returns float16 (4 · trajectories, 3, h, w).
    """
    device, size = pictures.photographs.device, min(SIDE, pictures.size + 16)
    style_layers = [layer for layer in layer_names(STYLE_LAYERS, rectified=True) if layer in spec.layers]
    content_layer = next(iter(layer_names(CONTENT_LAYERS, rectified=True)))
    content_layer = content_layer if content_layer in spec.layers else style_layers[-1]
    asked = list(dict.fromkeys([*style_layers, content_layer]))
    network = LossNetwork(spec, asked, state=weights, device=device)
    kept: list[Tensor] = []
    for number in [min(48, recipe.trajectories)] * max(recipe.trajectories // 48, 1):
        content = crops(pictures.photographs, number, size)
        style = disturb(crops(pictures.photographs, number, size), 0.5)
        if len(pictures.paintings):
            painted = crops(pictures.paintings, number, size)
            style = torch.where(random_each(style) < 0.25, disturb(painted, 0.2), style)
        with torch.no_grad():
            of_style = network(style)
            grams = {layer: losses.gram(of_style[layer], "positions") for layer in style_layers}
            target = network(content)[content_layer]
        share = torch.randn(number, len(style_layers), device=device).softmax(1)
        share = share / torch.stack([grams[layer].square().sum((1, 2)) for layer in style_layers], 1)
        weight = torch.exp(1.2 * torch.randn(number, device=device) - 2) * (torch.rand(number, device=device) > 0.25)
        weight = weight / target.square().sum((1, 2, 3))
        kind = random_each(content)
        grey = 0.5 + 0.02 * torch.randn_like(content)
        image = torch.where(kind < 0.6, content, torch.where(kind < 0.8, torch.rand_like(content), grey))
        beyond = 0.3 * (random_each(image) < 0.5)
        rate = 0.004 * 10 ** random_each(image)
        first, second = torch.zeros_like(image), torch.zeros_like(image)
        snapshots = [max(int(recipe.trajectory_steps * part), 1) for part in (0.05, 0.25, 0.6, 1.0)]
        for step in range(1, recipe.trajectory_steps + 1):
            image.requires_grad_(True)
            features = network(image)
            loss = (weight * (features[content_layer] - target).square().sum((1, 2, 3))).sum()
            for place, layer in enumerate(style_layers):
                apart = losses.gram(features[layer], "positions") - grams[layer]
                loss = loss + (share[:, place] * apart.square().sum((1, 2))).sum()
            (gradient,) = torch.autograd.grad(loss, image)
            image = image.detach()
            first.lerp_(gradient, 0.1)
            second.lerp_(gradient.square(), 0.01)
            image = image - rate * (first / (1 - 0.9**step)) / ((second / (1 - 0.99**step)).sqrt() + 1e-12)
            image = image.clamp(-beyond, 1 + beyond)
            kept += [image.half()] * snapshots.count(step)
    return torch.cat(kept)


def weights_of(network: LossNetwork) -> dict[str, Tensor]:
    """Return a network's weights by the names of its file, float32 on the CPU."""
    own = {**network.convolutions, **network.heads}
    return {
        f"{name}.{what}": tensor.detach().float().cpu().clone(memory_format=torch.contiguous_format)
        for name, convolution in own.items() for what, tensor in convolution.named_parameters()
    }  # fmt: skip


def _some_layers(learner: Learner) -> list[str]:
    """The layers that losses rest on, and some of the others."""
    others = [layer for layer, weight in learner.weights.items() if weight < 1]
    chosen = {others[place] for place in torch.randperm(len(others))[: learner.recipe.others].tolist()}
    return [layer for layer, weight in learner.weights.items() if weight == 1 or layer in chosen]


def history_of(spec: NetworkSpec) -> pd.DataFrame:
    """Return the history of the training of a packaged network, as `learn` gave it, out of its file."""
    assert spec.file is not None, f"{spec.name} does not come with the package"
    return pd.DataFrame(json.loads(weights_of_file.describe(spec.file)["history"]))


def metadata(spec: NetworkSpec, teacher: str, pictures: Split, recipe: Recipe, history: pd.DataFrame) -> dict[str, str]:
    """Describe learned weights for their file, as safetensors keeps it: text by name."""
    asset = assets.REGISTRY.get(NETWORKS[teacher].asset or "")
    return {
        "network": spec.name,
        "trunk": " ".join(map(str, spec.trunk or ())),
        "scale": spec.scale,
        "teacher": f"{teacher}: {NETWORKS[teacher].source}",
        "teacher_licence": asset.licence if asset else "as the teacher's",
        "photographs": f"{len(pictures.training)} of {pictures.source}, {len(pictures.held_out)} more held out",
        "recipe": json.dumps(asdict(recipe)),
        "history": history.round(6).to_json(orient="records"),
        "licence": "MIT, as the project; see compact_vgg16.md for the teacher's attribution",
    }


def style_removed(
    student: str | LossNetwork, teacher: str | LossNetwork, judge: LossNetwork, content: Tensor, style: Tensor,
    content_layer: str = "relu4_2", **settings: Any,
) -> dict[str, Any]:  # fmt: skip
    """Make one picture with each network, by the same `settings` of `transfer`, and let the judge compare them.

    judge: hands out the content layer, and the layers of the style loss. Gives its relative style loss of the content
    image and of both results; removed, what the student's run takes off the content image's as a share of what
    the teacher's run takes off; content_student and content_teacher, its content loss of both; and both `Result`s.
    """
    layers = [layer for layer in judge.layers if layer != content_layer]
    own = transfer(content, style, network=student, **settings)
    reference = transfer(content, style, network=teacher, **settings)
    shown = (content, own.image, reference.image)
    before, by_student, by_teacher = (relative_style_loss(judge, image, style, layers) for image in shown)
    with torch.no_grad():
        seen = [judge(image)[content_layer] for image in shown]
    of_content = [float(losses.content_loss(features, seen[0], "mean")) for features in seen[1:]]
    return {
        "style_content": before, "style_student": by_student, "style_teacher": by_teacher,
        "removed": (before - by_student) / (before - by_teacher), "content_student": of_content[0],
        "content_teacher": of_content[1], "student": own, "teacher": reference,
    }  # fmt: skip


def loss_evaluation(network: str, size: int, layers: Sequence[str]) -> Callable[[], object]:
    """Prepare one style loss of a `size`² picture with its gradient, to be timed: the argument for `timing.compare`.

    Weights that are not on this machine are replaced by random ones: the arithmetic, and so its cost, is the same.
    """
    ready = LossNetwork(weights_of_file.with_any_weights(network), list(layers))
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))

    def evaluate() -> object:
        image = picture.clone().requires_grad_()
        grams = [losses.gram(features, "all") for features in ready(image).values()]
        torch.stack([gram.square().sum() for gram in grams]).sum().backward()
        return image.grad

    return evaluate
