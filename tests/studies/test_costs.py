"""What a step costs and what a network asks of a machine, against counts by hand."""

import pytest

from stylerepro.measures import timing
from stylerepro.networks.feed_forward import architecture, count, multiply_adds
from stylerepro.networks.specs import NETWORKS
from stylerepro.studies import costs

PLAIN = architecture("johnson-in", widths=(4, 4, 6), residual_blocks=0)


def test_multiply_adds_are_those_of_the_convolutions_there_and_back():
    spec, size, deepest = NETWORKS["tiny"], 16, "conv2_1"
    counted = multiply_adds(costs.evaluation("tiny", size, [deepest]))
    side, before, once = size, 3, 9 * size**2  # the 1×1 convolution that normalises the picture
    for layer in spec.layers[: spec.layers.index(deepest) + 1]:
        if layer.startswith("conv"):
            width = spec.widths[int(layer[4]) - 1]
            once, before = once + 9 * before * width * side**2, width
        side = side // 2 if layer.startswith("pool") else side
    # A Gram matrix of 8 channels over its positions, and its gradient.
    assert counted == 2 * once + 2 * 8 * 8 * (size // 2) ** 2


def test_a_step_costs_no_more_than_its_layers_ask_for():
    deep, shallow, both = (
        multiply_adds(costs.evaluation("tiny", 16, layers))
        for layers in (["conv3_2"], ["conv1_1"], ["conv1_1", "conv3_2"])
    )
    assert shallow < deep < both < shallow + deep
    content = costs.evaluation("tiny", 16, ["conv1_1"], ["conv3_2"])
    assert multiply_adds(content) > shallow, "content may be compared at other layers"
    assert content().shape == (1, 3, 16, 16)


def test_memory_is_that_of_the_features_and_the_weights(monkeypatch):
    """Pictures large enough that the features of a layer outweigh what a process's memory wavers by."""
    features = 4 * 8 * 256**2
    assert costs.peak("tiny", 256, ["conv1_1", "conv1_2", "conv2_1"]) > 2 * features
    monkeypatch.setattr(costs.timing, "peak_memory", lambda *_, **__: 5)
    weights = sum(tensor.numel() for tensor in costs._network("tiny", ("relu1_1",), "cpu").parameters())
    assert costs.peak("tiny", 16, ["conv1_1"]) == 5 + 4 * weights


def test_demand_counts_every_layers_pictures_and_weights():
    """An architecture without residual blocks, each layer by hand: pictures in and out, weights and biases."""

    def layer(before, after, kernel, at, to, norm=True):
        # In a layer that reflects, the border is a part of the convolution.
        convolution = before * at**2 + after * to**2 + before * after * kernel**2 + (0 if norm else after)
        behind = (2 * after * to**2 + 2 * after) + 2 * after * to**2 if norm else 0
        return convolution + behind

    numbers = layer(3, 4, 9, 16, 16) + layer(4, 4, 3, 16, 8) + layer(4, 6, 3, 8, 4)
    numbers += layer(6, 4, 3, 4, 8) + layer(4, 4, 3, 8, 16) + layer(4, 3, 9, 16, 16, norm=False)
    assert costs.demand(PLAIN, 16, 16) == (count(PLAIN, 16, 16).multiply_adds, 4 * numbers)


def test_ceilings_are_rates_and_turn_into_the_least_times(monkeypatch):
    ceilings = costs.ceilings(repeats=1)
    assert ceilings.multiply_adds > 1e8
    assert ceilings.bytes > 1e8
    # A product of two 1024×1024 matrices, and 256 MiB read and as many written, each in half a second.
    half = timing.Timing(0.7, 0.5, 0.9, 7)
    monkeypatch.setattr(costs.timing, "measure", lambda function, **settings: half)
    assert costs.ceilings() == costs.Ceilings(2 * 1024**3, 2 * 2 * 256 * 2**20)
    monkeypatch.setattr(costs, "demand", lambda *_: (500_000_000, 500_000_000))
    (row,) = costs.floors(costs.Ceilings(multiply_adds=1e9, bytes=2e9), {"plain": PLAIN}, 16).itertuples()
    assert (row.network, row.by_operations, row.by_bytes) == ("plain", pytest.approx(0.5), pytest.approx(0.25))
