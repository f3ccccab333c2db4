"""The loss network that comes with the package: its file, its scale, and how near it is to its teacher."""

import json
import re

import pandas as pd
import pytest
import torch
from small import NEEDS_REAL
from torch.nn import functional

from stylerepro.errors import NetworkError
from stylerepro.files import reference_root
from stylerepro.networks import weights
from stylerepro.networks.loss_network import LossNetwork, layer_names
from stylerepro.networks.specs import DEFAULT_NETWORK, NETWORKS, resolve, substitutes
from stylerepro.pictures import images
from stylerepro.studies import distillation
from stylerepro.studies.whitening import Recipe
from stylerepro.transfer.objective import STYLE_LAYERS

SPEC = NETWORKS["compact"]
CARD = SPEC.file.with_suffix(".md")
STYLE = layer_names(STYLE_LAYERS, rectified=True)
SECOND = NETWORKS["compact-vgg16"]


def test_it_is_the_default_small_half_precision_and_says_what_it_is():
    assert resolve("default") == DEFAULT_NETWORK == "compact"
    assert SPEC.file.stat().st_size <= 4e6
    said = weights.describe(SPEC.file)
    assert said["teacher"].startswith("vgg19-16x")
    assert tuple(map(int, said["widths"].split())) == SPEC.widths
    convolutions = [layer for layer in SPEC.layers if layer.startswith("conv")]
    tensors = weights.read_safetensors(SPEC.file)
    assert set(tensors) == {f"{layer}.{kind}" for layer in convolutions for kind in ("weight", "bias")}
    assert all(torch.equal(tensor, tensor.half().float()) for tensor in tensors.values())


def test_the_second_one_has_vgg16s_layers_by_heads_on_a_narrow_trunk():
    assert SECOND.layers == NETWORKS["vgg16-caffe"].layers
    assert SECOND.file.stat().st_size <= 6e6
    said = weights.describe(SECOND.file)
    assert said["teacher"].startswith("vgg16-caffe")
    assert tuple(map(int, said["trunk"].split())) == SECOND.trunk
    for recipe in json.loads(said["recipe"]):
        Recipe(**recipe)
    history = distillation.history_of(SECOND)
    assert history["gram"].iloc[-1] < 0.5 * history["gram"].iloc[0]
    assert history["step"].iloc[-1] == 4225


def test_a_head_gives_the_same_whatever_else_is_asked_for():
    picture = images.read("chelsea", 48)
    asked = ["conv1_1", "relu1_1", "pool1", "relu2_2", "conv3_1", "pool2"]
    together = LossNetwork("compact-vgg16", asked)(picture)
    for layer in asked:
        torch.testing.assert_close(LossNetwork("compact-vgg16", [layer])(picture)[layer], together[layer])
    assert float(together["conv1_1"].min()) < 0, "a ReLU in place would have gone over it"
    assert torch.equal(together["conv1_1"].relu(), together["relu1_1"])
    assert torch.equal(functional.max_pool2d(together["relu2_2"], 2), together["pool2"])
    assert together["pool1"].shape[1] == together["conv1_1"].shape[1] == 64


@NEEDS_REAL
def test_the_second_ones_features_have_the_real_networks_scale_and_its_pictures_its_style():
    layers = [*STYLE, "relu4_2"]
    sizes = [LossNetwork(name, layers).root_mean_squares(128) for name in ("compact-vgg16", "vgg16-caffe")]
    assert all(sizes[0][layer] == pytest.approx(sizes[1][layer], rel=0.25) for layer in layers), sizes
    content, style = (images.centre_crop(images.read(name, 96), 96, 96) for name in ("chelsea", "stained_glass"))
    judge = LossNetwork("vgg16-caffe", layers)
    settings = {"optimiser": "lbfgs", "iterations": 40}
    row = distillation.style_removed("compact-vgg16", "vgg16-caffe", judge, content, style, **settings)
    assert 0.75 < row["removed"] < 1.05


def test_a_layer_that_is_missing_is_lent_by_its_block():
    asked = ["conv1_2", "conv3_3", "conv5_3"]
    assert substitutes("compact", asked) == dict(zip(asked, ["conv1_2", "conv3_3", "conv5_1"], strict=True))
    assert substitutes("vgg16", ["relu3_4", "relu5_3"]) == {"relu3_4": "relu3_3", "relu5_3": "relu5_3"}
    for wrong in ("conv6_1", "conv5_9", "fc7", "conv5"):
        with pytest.raises(NetworkError, match=f"stand for layer {wrong!r}"):
            substitutes("compact", [wrong])


def test_saved_weights_come_back_and_a_damaged_file_is_refused_by_name(tmp_path):
    state = {"conv1_1.weight": torch.rand(2, 3, 3, 3).half(), "conv1_1.bias": torch.rand(2).half()}
    path = weights.save(state, tmp_path / "own.safetensors", {"teacher": "none"})
    assert weights.describe(path) == {"teacher": "none"}
    assert all(torch.equal(tensor, state[name].float()) for name, tensor in weights.read_safetensors(path).items())
    path.write_bytes(SPEC.file.read_bytes()[:5000])
    for read in (weights.read_safetensors, weights.describe):
        with pytest.raises(NetworkError, match=r"own\.safetensors cannot be read"):
            read(path)


@pytest.mark.parametrize(
    ("name", "run"), [("compact", "compact_network"), ("compact-vgg16", "compact_network-crosscheck")]
)
def test_the_cards_figures_are_those_of_the_committed_run(name, run):
    """To mend: write the run's numbers between the two marks of the network's card."""
    table = pd.read_csv(reference_root() / run / "metrics.csv")
    measured, asked = [], []
    for measure, rows in table.groupby("measured", sort=False):
        if rows["content"].notna().any():  # of pairs the card shows the range
            rows = rows.sort_values("value").iloc[[0, -1]].assign(asked=[rows["asked"].iloc[0], None])
        measured += [f"{value:.3f}" for value in rows["value"]]
        asked += [f"{value:.2f}" if "memory" in measure else f"{value:g}" for value in rows["asked"].dropna()]
    card = NETWORKS[name].file.with_suffix(".md").read_text(encoding="utf-8")
    figures = card.split("test_compact.py -->\n")[1].split("<!-- /figures -->")[0]
    assert re.findall(r"-?\d+\.\d{3}\b", figures) == measured
    assert re.findall(r"at (?:least|most) ([\d.]+)", figures) == asked
    assert set(table["network"]) == {name}
    assert set(table["teacher"]) == {"vgg16-caffe"}


def test_the_card_says_what_the_file_says():
    text = " ".join(CARD.read_text(encoding="utf-8").split())
    said = weights.describe(SPEC.file)
    learned_from, held_out = (number for number in said["photographs"].split() if number.isdigit())
    assert f"{int(learned_from):,} photographs" in text
    assert f"{held_out} photographs, every tenth" in text
    assert "14, 36, 72, 144 and 144 channels" in text
    assert SPEC.widths == (14, 36, 72, 144, 144)
