"""Seconds of one loss evaluation with its gradient: this package against a bare loop of the same arithmetic, in turn.

    make bench
    python tests/bench_evaluation.py --sizes 128 256 --networks compact vgg16-caffe --repeats 5

The bare loop is convolutions, ReLUs, poolings and Gram matrices in plain PyTorch, without conventions, settings or
checks. Beside the ratio stands the share of this machine's peak, that of a product of float32 matrices, that the
package reaches. Random weights take the place of those that are not at hand. No test: it reports, and asserts nothing.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from stylerepro.measures import timing
from stylerepro.networks.feed_forward import multiply_adds
from stylerepro.networks.specs import NETWORKS
from stylerepro.studies import costs
from stylerepro.transfer.objective import CONTENT_LAYERS, STYLE_LAYERS


def gram(features: Tensor) -> Tensor:
    flat = features.flatten(2)
    return flat @ flat.mT / flat[0].numel()


def bare(name: str, size: int) -> Callable[[], object]:
    """The same layers and losses in a plain loop, with random weights."""
    spec = NETWORKS[name]
    inner = spec.trunk or spec.widths
    deepest = max(spec.layers.index(layer) for layer in (*STYLE_LAYERS, *CONTENT_LAYERS))
    steps, heads, before = [], {}, 3
    for layer in spec.layers[: deepest + 2]:
        if layer.startswith("conv"):
            block = int(layer[4]) - 1
            steps.append((layer, nn.Conv2d(before, inner[block], 3, padding=1, padding_mode="zeros")))
            before = inner[block]
            if inner is not spec.widths:
                heads[layer] = nn.Conv2d(before, spec.widths[block], 1)
        elif layer.startswith("pool"):
            steps.append((layer, nn.MaxPool2d(2)))
    picture = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    nn.ModuleList([*(step for _, step in steps), *heads.values()]).requires_grad_(False)

    def features(image: Tensor) -> dict[str, Tensor]:
        found = {}
        for layer, step in steps:
            image = functional.relu(step(image)) if layer.startswith("conv") else step(image)
            if layer in (*STYLE_LAYERS, *CONTENT_LAYERS):
                found[layer] = functional.relu(heads[layer](image)) if layer in heads else image
        return found

    with torch.no_grad():
        wanted = features(picture.flip(2))
        targets = {layer: gram(wanted[layer]) for layer in STYLE_LAYERS}

    def evaluate() -> object:
        image = picture.clone().requires_grad_()
        found = features(image)
        loss = sum((gram(found[layer]) - targets[layer]).square().sum() for layer in STYLE_LAYERS)
        loss = loss + sum((found[layer] - wanted[layer]).square().mean() for layer in CONTENT_LAYERS)
        loss.backward()
        return image.grad

    return evaluate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["compact", "vgg16-caffe", "vgg19"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 256, 512])
    parser.add_argument("--repeats", type=int, default=3)
    wanted = parser.parse_args()
    machine, peak = timing.hardware(), costs.ceilings().multiply_adds
    print("{cpu}, {cores} cores, {threads} threads, float32, torch {torch}".format(**machine))
    print(f"peak: {2e-9 * peak:.0f} GFLOP/s of a matrix product")
    print(f"{'network':14}{'px':>5}{'seconds':>10}{'bare':>10}{'ratio':>8}{'of peak':>9}")
    for name in wanted.networks:
        for size in wanted.sizes:
            own = costs.evaluation(name, size, STYLE_LAYERS, CONTENT_LAYERS)
            seconds = timing.in_turn({"own": own, "bare": bare(name, size)}, wanted.repeats)["seconds"]
            share = multiply_adds(own) / seconds["own"] / peak
            ratio = seconds["own"] / seconds["bare"]
            print(f"{name:14}{size:5}{seconds['own']:10.3f}{seconds['bare']:10.3f}{ratio:8.2f}{share:9.0%}", flush=True)


if __name__ == "__main__":
    main()
