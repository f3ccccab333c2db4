"""Learning a network from another: every step on networks small enough to know the answer."""

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image

from stylerepro.errors import AssetError, NetworkError
from stylerepro.measures.judges import relative_style_loss
from stylerepro.networks import weights
from stylerepro.networks.loss_network import LossNetwork
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.pictures import images
from stylerepro.pictures.paintings import PAINTINGS
from stylerepro.pictures.samples import CONTENTS
from stylerepro.studies import distillation
from stylerepro.studies import distillation_pictures as drawing
from stylerepro.studies.distillation_pictures import SIDE, Pictures, as_squares, photographs, squares
from stylerepro.studies.whitening import Frame, Recipe, Whitened
from stylerepro.training.photographs import as_bytes

TEACHER = NetworkSpec("teacher", (1, 2), (6, 8), None, "random", "zeros", "", "")
STUDENT = NetworkSpec("student", (1, 2), (6, 8), None, "layers", "zeros", "", "", trunk=(8, 12))
CONVOLUTIONS = ["conv1_1", "conv2_1", "conv2_2"]
RECIPE = Recipe(
    layer_pictures=16, layer_patches=4000, layer_steps=600, layer_batch=256, layer_rate=5e-3, rounds=2, steps=120,
    batch=8, rate=5e-3, trajectories=3, trajectory_steps=20, convolution_weight=0.1, kernel_weight=1.0, gram_weight=6.0,
    difference_weight=0.3, other_weight=0.3, others=1, ridge=1e-3, seed=0,
)  # fmt: skip
BYTES = [as_bytes(images.read(name, 64)) for name in ("chelsea", "coffee", "rocket")]
SQUARES = squares(BYTES, 48)


@pytest.fixture(scope="module")
def pictures():
    return Pictures(as_squares(BYTES), as_squares([]), size=32)


@pytest.fixture(scope="module")
def learned(pictures):
    """Weights and history of the student, learned from the teacher."""
    return distillation.learn(STUDENT, LossNetwork(TEACHER, CONVOLUTIONS), pictures, RECIPE)


def test_a_student_gives_its_teachers_features_at_their_scale(learned):
    state, history = learned
    assert all(tensor.isfinite().all() for tensor in state.values())
    student, teacher = LossNetwork(STUDENT, CONVOLUTIONS, state=state), LossNetwork(TEACHER, CONVOLUTIONS)
    for layer, wanted in teacher(SQUARES).items():
        error = (student(SQUARES)[layer] - wanted).square().sum() / (wanted - wanted.mean()).square().sum()
        assert error < (1e-4 if layer == "conv1_1" else 0.4), layer
    assert list(history["round"]) == [0, 1, 2]
    assert list(history["step"]) == [0, 120, 240]
    assert history["gram"].iloc[-1] < 0.9 * history["gram"].iloc[0], "learning together helps"


def test_learning_leaves_the_random_numbers_of_others_alone_and_goes_on_from_weights(learned, pictures):
    short = replace(RECIPE, rounds=1, steps=2)
    teacher = LossNetwork(TEACHER, CONVOLUTIONS)
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    once, history = distillation.learn(STUDENT, teacher, pictures, short, learned[0])
    assert torch.equal(torch.rand(3), wanted)
    again, _ = distillation.learn(STUDENT, teacher, pictures, short, learned[0])
    assert all(torch.equal(once[name], again[name]) for name in once)
    assert history["gram"].iloc[0] < 2 * learned[1]["gram"].iloc[-1], "layer by layer it would begin far above"
    with pytest.raises(NetworkError, match=r"left the finite numbers in round 1, at step \d+: the rate of 1e\+20"):
        distillation.learn(STUDENT, teacher, pictures, replace(short, rate=1e20, steps=60), learned[0])


def test_pictures_of_its_own_follow_the_students_losses(learned, pictures):
    made = distillation.on_policy(STUDENT, learned[0], pictures, replace(RECIPE, trajectories=4))
    assert made.shape == (16, 3, 48, 48)
    assert made.dtype == torch.float16
    first, last = made[:4].float(), made[-4:].float()
    assert (first - last).abs().mean() > 0.01
    assert -0.31 < float(made.min()) < float(made.max()) < 1.31


def test_whitened_inputs_are_white_and_a_step_of_zero_changes_nothing(learned):
    rows = torch.randn(4000, 5, dtype=torch.float64) @ torch.randn(5, 5, dtype=torch.float64) + 3
    frame = Frame.of(rows, 1e-6)
    white = (rows.float() - frame.mean) @ frame.whitening.T
    torch.testing.assert_close(torch.cov(white.T), torch.eye(5), rtol=0, atol=0.01)
    torch.testing.assert_close(frame.whitening @ frame.colouring, torch.eye(5), rtol=0, atol=1e-4)
    network = LossNetwork(STUDENT, CONVOLUTIONS, state=learned[0])
    method = Whitened(network, SQUARES, RECIPE)
    network.requires_grad_(True)

    def error():
        network.zero_grad()
        total = sum(values.square().mean() for values in network(SQUARES).values())
        total.backward()
        return float(total.detach())

    before = error()
    method.step(0.0)
    for name, tensor in distillation.weights_of(network).items():
        torch.testing.assert_close(tensor, learned[0][name], rtol=1e-3, atol=1e-4)
    for _ in range(30):
        error()
        method.step(0.02)
    assert error() < 0.9 * before


def test_held_out_photographs_are_never_learned_from():
    split = photographs("embedded")
    learned_from, held_out = ({one.numpy().tobytes() for one in part} for part in (split.training, split.held_out))
    assert len(learned_from | held_out) == len(CONTENTS)
    assert not learned_from & held_out
    assert split.source == "embedded"


def folder_of(path, number):
    for place in range(number):
        Image.new("RGB", (50, 40), (place * 5,) * 3).save(path / f"{place:03}.png")


def test_every_tenth_is_held_out_and_the_unreadable_is_named(tmp_path):
    folder_of(tmp_path, 30)
    (tmp_path / "005.png").write_bytes(b"no picture")
    split = photographs(str(tmp_path))
    assert (len(split.training), len(split.held_out), split.skipped) == (26, 3, ["005.png"])
    assert [int(picture[0, 0, 0, 0]) for picture in split.held_out] == [0, 50, 100]
    fewer = photographs(str(tmp_path), most=12)
    training, held_out = ({int(picture[0, 0, 0, 0]) for picture in part} for part in (fewer.training, fewer.held_out))
    assert (len(training), len(held_out)) == (10, 2)
    assert held_out <= {0, 50, 100}
    assert not training & {0, 50, 100}


def test_auto_takes_the_mirrors_photographs_or_the_embedded_and_too_few_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path))
    assert photographs("auto").source == "embedded"
    (tmp_path / "photos").mkdir()
    folder_of(tmp_path / "photos", 1)
    with pytest.raises(AssetError, match="at least 2"):
        photographs("auto")
    folder_of(tmp_path / "photos", 12)
    assert photographs("auto").source == "photos"


def test_crops_lie_in_their_pictures_and_disturbed_ones_are_a_share():
    drawn = drawing.crops(as_squares(BYTES), 5, 32)
    assert drawn.shape == (5, 3, 32, 32)
    assert 0 <= float(drawn.min()) <= float(drawn.max()) <= 1
    grey = torch.full((400, 3, 8, 8), 0.5)
    changed = (drawing.disturb(grey, 0.3) - grey).abs().mean((1, 2, 3)) > 1e-6
    assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.1)
    assert as_squares([]).shape == (0, 3, SIDE, SIDE)


def test_twins_differ_little_and_half_of_them_in_colour_alone():
    noise = drawing.twins(torch.full((200, 3, 16, 16), 0.5)) - 0.5
    size = noise.square().mean((1, 2, 3)).sqrt()
    assert 0.005 < float(size.min()) < float(size.max()) < 0.2
    luminance = (noise * torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)).sum(1)
    colour_alone = luminance.abs().amax((1, 2)) < 1e-6
    assert float(colour_alone.float().mean()) == pytest.approx(0.5, abs=0.12)


def test_paintings_take_their_share_and_seeds_of_their_own():
    white, black = (torch.full((1, 3, SIDE, SIDE), value, dtype=torch.uint8) for value in (255, 0))
    drawn = Pictures(black, white, size=32, painted=0.3, noisy=0, disturbed=0).draw(200)
    assert float((drawn.mean((1, 2, 3)) > 0.5).float().mean()) == pytest.approx(0.3, abs=0.12)
    painted = drawing.paintings(1, 24)
    assert len(painted) == len(PAINTINGS)
    assert torch.equal(painted[0], as_bytes(images.read(f"swirls:{drawing.FIRST_SEED}", 24)))


def test_style_removed_compares_both_results_with_the_content_image():
    judge = LossNetwork("tiny", ["relu1_1", "relu2_1", "relu3_1", "relu2_2"])
    settings = {"style_layers": ["conv1_1", "conv2_1", "conv3_1"], "content_layers": ["conv2_2"], "iterations": 8}
    settings["content_layer"] = "relu2_2"
    content, style = SQUARES[:1], SQUARES[1:2]
    same = distillation.style_removed("tiny", "tiny", judge, content, style, **settings)
    assert same["removed"] == pytest.approx(1)
    assert same["style_content"] == relative_style_loss(judge, content, style, judge.layers[:3])
    assert same["style_teacher"] < same["style_content"]


def test_metadata_tells_teacher_licence_recipe_and_history(learned, tmp_path):
    split = photographs("embedded")
    said = distillation.metadata(NETWORKS["compact-vgg16"], "vgg16-caffe", split, RECIPE, learned[1])
    assert said["teacher"].startswith("vgg16-caffe")
    assert said["teacher_licence"] == "CC BY 4.0"
    assert json.loads(said["recipe"])["rounds"] == RECIPE.rounds
    path = weights.save(learned[0], tmp_path / "own.safetensors", said)
    assert weights.describe(path)["trunk"] == "24 64 120 184 200"
    assert [row["step"] for row in json.loads(said["history"])] == [0, 120, 240]


def test_a_loss_evaluation_gives_a_gradient_without_any_weights(monkeypatch):
    monkeypatch.setattr("stylerepro.networks.weights.network_at_hand", lambda name: False)
    gradient = distillation.loss_evaluation("vgg16-caffe", 32, ["relu1_1", "relu2_1"])()
    assert gradient.shape == (1, 3, 32, 32)
    assert gradient.abs().sum() > 0
