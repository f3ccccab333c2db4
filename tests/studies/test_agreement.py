"""Gram distances and explained variance on networks small enough to know the answer."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from stylerepro.measures import judges
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.networks.specs import NetworkSpec
from stylerepro.pictures import images
from stylerepro.studies import agreement

TEACHER = NetworkSpec("teacher", (1, 1), (4, 6), None, "random", "reflect", "", "")
PICTURES = [images.read(name, 48) for name in ("chelsea", "coffee", "rocket")]
SQUARES = torch.cat([images.centre_crop(picture, 48, 48) for picture in PICTURES])


def test_a_network_explains_itself_and_noise_explains_nothing():
    network = LossNetwork(TEACHER, ["relu2_1"])
    assert agreement.explained_variance(network, network, SQUARES, SQUARES)["explained"].item() > 0.9999
    other = LossNetwork(replace(TEACHER, widths=(1, 1)), ["relu2_1"])
    (row,) = agreement.explained_variance(other, network, SQUARES[:2], SQUARES[2:]).itertuples()
    assert row.explained < 0.9
    assert (row.layer, row.channels_student, row.channels_teacher) == ("relu2_1", 1, 6)


def test_gram_distances_are_free_of_scale_and_zero_for_twins():
    network = LossNetwork(TEACHER, ["relu1_1", "relu2_1"])
    shown = [SQUARES[:1], SQUARES[1:2], SQUARES[:1]]
    distances = agreement.gram_distances(network, shown)
    assert distances.shape == (3,)
    assert distances[1] == pytest.approx(0, abs=1e-6)
    loud = {
        f"{layer}.{kind}": getattr(network.convolutions[layer], kind) * (10 if layer == "conv1_1" else 1)
        for layer in ("conv1_1", "conv2_1")
        for kind in ("weight", "bias")
    }
    louder = LossNetwork(replace(TEACHER, keys="layers"), ["relu1_1"], state=loud)
    quiet = LossNetwork(TEACHER, ["relu1_1"])
    np.testing.assert_allclose(*(agreement.gram_distances(one, shown) for one in (louder, quiet)), rtol=1e-4)
    correlation = agreement.gram_correlation(network, network, shown)
    assert correlation["layer"].tolist() == ["relu1_1", "relu2_1", "all"]
    assert correlation["spearman"].tolist() == pytest.approx([1, 1, 1])


def test_a_style_is_no_distance_from_itself():
    judge = LossNetwork("tiny", ["relu1_1", "relu2_1"])
    assert judges.relative_style_loss(judge, SQUARES[:1], SQUARES[:1]) == 0
    assert judges.relative_style_loss(judge, SQUARES[:1], SQUARES[1:2]) > 0.01
    how = [judge(picture) for picture in SQUARES[:2].split(1)]
    grams = [[torch.einsum("chw,dhw->cd", layers[name][0], layers[name][0]) for layers in how] for name in judge.layers]
    by_hand = np.mean([float((g - a).square().sum() / a.square().sum()) for g, a in grams])
    assert judges.relative_style_loss(judge, SQUARES[:1], SQUARES[1:2]) == pytest.approx(by_hand, rel=1e-4)
