"""Learning a network from another: every step on networks small enough to know the answer."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from stylerepro.errors import AssetError
from stylerepro.measures.features import explained_variance, relative_style_loss
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.pictures import images
from stylerepro.pictures.samples import CONTENTS
from stylerepro.studies import distillation
from stylerepro.studies.distillation import Crops, Recipe, fit_layer, metadata, normalised, unit_scale
from stylerepro.training.photographs import as_bytes

TEACHER = NetworkSpec("teacher", (1, 1), (4, 6), None, "random", "reflect", "", "")
STUDENT = NetworkSpec("student", (1, 1), (6, 9), None, "layers", "reflect", "", "")
RECIPE = Recipe(
    rounds=14, steps=80, batch=512, memory=8000, crops=6, positions=400,
    learning_rate=5e-3, convolution_weight=0.3, kernel_weight=1.0, ridge=1e-3, seed=0,
)  # fmt: skip
BYTES = [as_bytes(images.read(name, 64)) for name in ("chelsea", "coffee", "rocket")]
SQUARES = distillation.squares(BYTES, 48)


@pytest.fixture(scope="module")
def crops():
    return Crops(BYTES, [], size=32)


@pytest.fixture(scope="module")
def learned(crops):
    """Weights of the student, learned from the teacher, and what `fit_layer` gave for each layer."""
    teacher, weights, parts = LossNetwork(TEACHER, ["conv1_1", "conv2_1"]), {}, {}
    for layer in ("conv1_1", "conv2_1"):
        parts[layer] = fit_layer(layer, STUDENT, weights, teacher, crops, RECIPE)
        weights |= {f"{layer}.weight": parts[layer]["weight"], f"{layer}.bias": parts[layer]["bias"]}
    return weights, parts


def test_a_wider_student_explains_its_teacher(learned):
    """Judged by features on pictures, not by the loss that was minimised: folding back must be right for that."""
    weights, parts = learned
    student = LossNetwork(STUDENT, ["relu1_1", "relu2_1"], state=weights)
    teacher = LossNetwork(TEACHER, ["relu1_1", "relu2_1"])
    shares = explained_variance(student, teacher, SQUARES[:2], SQUARES[2:]).set_index("layer")["explained"]
    assert (shares > [0.95, 0.75]).all(), shares
    for layer, part in parts.items():
        name = layer.replace("conv", "relu")
        features = student(SQUARES)[name].movedim(1, -1)
        predicted = features @ part["head"].T + part["head_bias"]
        wanted = teacher(SQUARES)[name].movedim(1, -1)
        share = 1 - (predicted - wanted).square().sum() / (wanted - wanted.mean((0, 1, 2))).square().sum()
        assert share > 0.7, (layer, share)
    curve = parts["conv1_1"]["history"]
    assert list(curve["step"]) == [RECIPE.steps * (number + 1) for number in range(RECIPE.rounds)]
    assert curve["explained"].iloc[-1] > 0.9 > curve["explained"].iloc[0]
    assert curve["learning_rate"].iloc[-1] < RECIPE.learning_rate / 100


def test_inner_products_are_the_teachers(learned, crops):
    """Not asked for, they are not: the features could be any linear image of the teacher's."""

    def error(weights):
        student, teacher = LossNetwork(STUDENT, ["relu1_1"], state=weights), LossNetwork(TEACHER, ["relu1_1"])
        features = [network(SQUARES)["relu1_1"].movedim(1, -1).flatten(0, 2)[::20] for network in (student, teacher)]
        kernels = [rows @ rows.T for rows in features]
        own, its = (kernel / kernel.norm() for kernel in kernels)
        return float((own - its).norm())

    teacher, recipe = LossNetwork(TEACHER, ["conv1_1"]), replace(RECIPE, rounds=8, kernel_weight=0.0)
    free = fit_layer("conv1_1", STUDENT, {}, teacher, crops, recipe)
    without = error({"conv1_1.weight": free["weight"], "conv1_1.bias": free["bias"]})
    assert error(learned[0]) < 0.05 < without


def test_the_same_seed_learns_the_same_and_another_another(crops):
    short = replace(RECIPE, rounds=2, steps=3)
    teacher = LossNetwork(TEACHER, ["conv1_1"])
    once, again = (fit_layer("conv1_1", STUDENT, {}, teacher, crops, short) for _ in range(2))
    other = fit_layer("conv1_1", STUDENT, {}, teacher, crops, replace(short, seed=1))
    assert torch.equal(once["weight"], again["weight"])
    pd.testing.assert_frame_equal(once["history"], again["history"])
    assert not torch.allclose(once["weight"], other["weight"])


def test_unit_scale_is_one_over_the_embedded_photographs_and_changes_nothing_else(learned):
    weights, _ = learned
    layers = ["relu1_1", "relu2_1"]
    before, after = (LossNetwork(STUDENT, layers, state=w) for w in (weights, unit_scale(STUDENT, weights)))
    assert list(after.root_mean_squares().values()) == pytest.approx([1, 1], rel=1e-4)
    sizes = before.root_mean_squares()
    for layer in layers:
        torch.testing.assert_close(
            after(SQUARES)[layer], before(SQUARES)[layer] / sizes[layer], rtol=1e-3, atol=1e-4
        )  # fmt: skip


def test_the_first_layer_sees_what_the_network_sees():
    """`normalised` stands for the network's own normalisation while the first convolution is learned."""
    network = LossNetwork(replace(TEACHER, depths=(1,), widths=(4,)), ["conv1_1"])
    by_hand = network.convolutions["conv1_1"](normalised(SQUARES))
    torch.testing.assert_close(network(SQUARES)["conv1_1"], by_hand, rtol=1e-4, atol=1e-5)


def test_held_out_photographs_are_never_learned_from():
    split = distillation.photographs("embedded")
    learned_from, held_out = (
        {picture.numpy().tobytes() for picture in part} for part in (split.training, split.held_out)
    )
    assert len(learned_from | held_out) == len(CONTENTS)
    assert not learned_from & held_out
    assert split.source == "embedded"


def folder_of(path, number):
    for place in range(number):
        Image.new("RGB", (50, 40), (place * 5,) * 3).save(path / f"{place:03}.png")


def test_every_tenth_is_held_out_and_the_unreadable_is_named(tmp_path):
    folder_of(tmp_path, 30)
    (tmp_path / "005.png").write_bytes(b"no picture")
    split = distillation.photographs(str(tmp_path))
    assert (len(split.training), len(split.held_out), split.skipped) == (26, 3, ["005.png"])
    assert [int(picture[0, 0, 0, 0]) for picture in split.held_out] == [0, 50, 100]
    fewer = distillation.photographs(str(tmp_path), most=12)
    training, held_out = ({int(picture[0, 0, 0, 0]) for picture in part} for part in (fewer.training, fewer.held_out))
    assert (len(training), len(held_out)) == (10, 2)
    assert held_out <= {0, 50, 100}
    assert not training & {0, 50, 100}


def test_auto_takes_the_mirrors_photographs_or_the_embedded_and_too_few_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path))
    assert distillation.photographs("auto").source == "embedded"
    (tmp_path / "photos").mkdir()
    folder_of(tmp_path / "photos", 1)
    with pytest.raises(AssetError, match="at least 2"):
        distillation.photographs("auto")
    folder_of(tmp_path / "photos", 12)
    assert distillation.photographs("auto").source == "photos"


def test_crops_are_pictures_and_repeat_with_their_seed(crops):
    once, again, other = (crops.draw(5, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert once.shape == (5, 3, 32, 32)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert 0 <= float(once.min()) <= float(once.max()) <= 1
    # A picture smaller than the crop is enlarged.
    small = Crops([torch.zeros(1, 3, 20, 30, dtype=torch.uint8)], [], size=32, disturbed=0)
    assert small.draw(2, np.random.default_rng(0)).shape == (2, 3, 32, 32)


def test_paintings_take_their_share_and_seeds_of_their_own():
    white = [torch.full((1, 3, 40, 40), 255, dtype=torch.uint8)]
    black = [torch.zeros(1, 3, 40, 40, dtype=torch.uint8)]
    drawn = Crops(black, white, size=32, painted=0.3, disturbed=0).draw(200, np.random.default_rng(0))
    assert float((drawn.mean((1, 2, 3)) > 0.5).float().mean()) == pytest.approx(0.3, abs=0.1)
    painted = distillation.paintings(1, 24)
    assert len(painted) == len(distillation.PAINTINGS)
    first = images.read(f"swirls:{distillation.FIRST_SEED}", 24)
    assert torch.equal(painted[0], as_bytes(first))


def test_style_removed_compares_both_results_with_the_content_image():
    layers = ["relu1_1", "relu2_1", "relu3_1"]
    judge = LossNetwork("tiny", layers)
    settings = {"style_layers": ["conv1_1", "conv2_1", "conv3_1"], "content_layers": ["conv2_2"], "iterations": 8}
    content, style = SQUARES[:1], SQUARES[1:2]
    same = distillation.style_removed("tiny", "tiny", judge, content, style, **settings)
    assert same["removed"] == pytest.approx(1)
    assert same["style_content"] == relative_style_loss(judge, content, style)
    assert same["style_teacher"] < same["style_content"]


def test_metadata_names_teacher_licence_and_recipe():
    said = metadata(NETWORKS["compact"], "vgg19-16x", distillation.photographs("embedded"), RECIPE)
    assert said["teacher"].startswith("vgg19-16x")
    assert said["teacher_licence"] == "MIT"
    assert json.loads(said["recipe"])["rounds"] == RECIPE.rounds
    assert all(isinstance(value, str) for value in said.values())


def test_a_loss_evaluation_gives_a_gradient_without_any_weights(monkeypatch):
    monkeypatch.setattr("stylerepro.networks.weights.network_at_hand", lambda name: False)
    gradient = distillation.loss_evaluation("vgg19-16x", 32, ["relu1_1", "relu2_1"])()
    assert gradient.shape == (1, 3, 32, 32)
    assert gradient.abs().sum() > 0
