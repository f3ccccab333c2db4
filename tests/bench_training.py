"""Images a second in training: this package against a plain float32 loop, in turn, with the same batches and weights.

    python tests/bench_training.py --size 128 --batch 4 --steps 8 --rounds 3
    python tests/bench_training.py --steps 200 --rounds 1 --size 64      # and the losses after 200 steps

The plain loop is what one writes without this package: PyTorch's own instance norm, contiguous memory, the whole loss
network for photographs and results alike, photographs read between the steps. No test: it reports, and asserts nothing.
"""

import argparse
import time
from statistics import median

import torch
from bench_evaluation import gram
from torch import Tensor, nn

from stylerepro.networks.feed_forward import InstanceNorm, StyleNetwork
from stylerepro.networks.loss_network import LossNetwork, layer_names
from stylerepro.pictures import images
from stylerepro.training.photographs import Photographs
from stylerepro.training.recipe import Recipe
from stylerepro.training.train import train
from stylerepro.transfer.objective import CONTENT_LAYERS, STYLE_LAYERS

WEIGHTS = {"content_weight": 2.0, "style_weight": 4.0, "tv_weight": 20.0}


def usual_norms(module: nn.Module) -> nn.Module:
    for name, child in module.named_children():
        if isinstance(child, InstanceNorm):
            setattr(module, name, nn.InstanceNorm2d(child.num_channels, affine=True))
        else:
            usual_norms(child)
    return module


def plain(recipe: Recipe, style: Tensor) -> list[tuple[float, float]]:
    """Loss and seconds of each step."""
    network = usual_norms(StyleNetwork(recipe.architecture, recipe.seed))
    content, *styles = layer_names([*CONTENT_LAYERS, *STYLE_LAYERS], rectified=True)
    judge = LossNetwork(recipe.loss_network, [content, *styles], scale="unit")
    optimiser = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    pictures = Photographs(recipe.photographs, size=recipe.size, seed=recipe.seed)
    with torch.no_grad():
        wanted = {layer: gram(judge(style)[layer]) for layer in styles}
    rows, clock = [], time.perf_counter()
    for step in range(recipe.steps):
        x = pictures.draw(range(step * recipe.batch, (step + 1) * recipe.batch)).contiguous()
        y = network(x)
        features = judge(y)
        with torch.no_grad():
            original = judge(x)[content]
        terms = [recipe.content_weight * (features[content] - original).square().mean()]
        terms += [
            recipe.style_weight / len(styles) * (gram(features[layer]) - wanted[layer]).square().sum((1, 2)).mean()
            for layer in styles
        ]
        down, right = y[..., 1:, :] - y[..., :-1, :], y[..., 1:] - y[..., :-1]
        variation = down.square().mean() + right.square().mean()
        loss = torch.stack([*terms, recipe.tv_weight * variation]).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        rows.append((float(loss.detach()), time.perf_counter() - clock))
        clock = time.perf_counter()
    return rows


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--architecture", default="johnson-in")
    options.add_argument("--photographs", default="embedded")
    for name, default in (("size", 128), ("batch", 4), ("steps", 8), ("rounds", 3)):
        options.add_argument(f"--{name}", type=int, default=default)
    given = options.parse_args()
    settings = {name: getattr(given, name) for name in ("photographs", "size", "batch", "steps")}
    recipe = Recipe(given.architecture, **settings, **WEIGHTS)
    style = images.read("swirls", 160)
    print(f"{given.architecture}, {given.size} px, batches of {given.batch}, {torch.get_num_threads()} threads")
    for _ in range(given.rounds):
        usual, ours = plain(recipe, style), train(style, recipe, device="cpu").history
        slow, quick = median(seconds for _, seconds in usual[2:]), ours["seconds"].iloc[2:].median()
        last = min(20, given.steps)
        before, after = sum(loss for loss, _ in usual[-last:]) / last, ours["total"].tail(last).mean()
        print(
            f"images a second {given.batch / slow:.2f} and {given.batch / quick:.2f}: {slow / quick:.2f} times; loss "
            f"of the last {last} steps {before:.4f} and {after:.4f} ({100 * (after / before - 1):+.2f} %)"
        )


if __name__ == "__main__":
    main()
