"""Loss networks: the right layer under the right name, cut off, frozen, and clear about what it cannot do."""

import numpy as np
import pytest
import torch
import torchvision
from small import NEEDS_REAL
from torch import nn
from torch.nn import functional

from stylerepro.errors import NetworkError
from stylerepro.networks import weights
from stylerepro.networks.loss_network import SCALES, LossNetwork, convolve, pick_device
from stylerepro.networks.specs import NETWORKS, NetworkSpec
from stylerepro.pictures import assets, images
from stylerepro.transfer.objective import conventions
from stylerepro.transfer.transfer import transfer

STYLE = [f"relu{block}_1" for block in range(1, 6)]
PICTURES = torch.rand(2, 3, 33, 40, generator=torch.Generator().manual_seed(0))
CAFFE = 255 * PICTURES - torch.tensor([123.68, 116.779, 103.939]).reshape(3, 1, 1)
MEAN, DEVIATION = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 3, 1, 1)
IMAGENET = (PICTURES - MEAN) / DEVIATION


def test_features_by_name_in_the_order_asked_for_and_cut_off_behind_the_deepest():
    network = LossNetwork("tiny", layers=["relu2_1", "conv1_1", "pool1"])
    shapes = {name: tuple(features.shape) for name, features in network(PICTURES).items()}
    assert shapes == {"relu2_1": (2, 8, 16, 20), "conv1_1": (2, 8, 33, 40), "pool1": (2, 8, 16, 20)}
    assert list(shapes) == ["relu2_1", "conv1_1", "pool1"]
    assert list(LossNetwork("tiny", layers=["conv1_2", "relu1_1"]).convolutions) == ["conv1_1", "conv1_2"]
    assert list(LossNetwork("tiny", layers=["conv1_2", "conv3_1"]).convolutions)[-1] == "conv3_1"


def test_relu_never_turns_a_convolution_into_its_rectified_self():
    """An in-place ReLU would: the convolution's features keep their negative values, whatever else is asked for."""
    alone = LossNetwork("tiny", layers=["conv2_2"])(PICTURES)["conv2_2"]
    both = LossNetwork("tiny", layers=["conv2_2", "relu2_2", "relu3_1"])(PICTURES)
    assert float(both["conv2_2"].min()) < 0
    assert torch.equal(both["conv2_2"], alone)
    assert torch.equal(both["relu2_2"], both["conv2_2"].clamp_min(0))


def test_frozen_but_the_picture_gets_a_gradient():
    network = LossNetwork("tiny", layers=["relu3_2"])
    assert not any(p.requires_grad for p in network.parameters())
    picture = PICTURES.clone().requires_grad_()
    network(picture)["relu3_2"].sum().backward()
    assert picture.grad.abs().sum() > 0


def test_a_network_of_ones_own_needs_a_specification_and_weights():
    """As the book's page on a new experiment shows it."""
    spec = NetworkSpec("mine", (2, 2), (4, 6), None, "layers", "reflect", "as trained", "my own training")
    generator = torch.Generator().manual_seed(0)
    weights, channels = {}, 3
    for layer, width in (("conv1_1", 4), ("conv1_2", 4), ("conv2_1", 6), ("conv2_2", 6)):
        weights[f"{layer}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) / 5
        weights[f"{layer}.bias"] = torch.zeros(width)
        channels = width
    vgg = LossNetwork(spec, ["relu1_1", "relu2_2"], state=weights)
    content, style = torch.rand(2, 1, 3, 16, 16, generator=generator)
    layers = {"content_layers": ["relu2_2"], "style_layers": ["relu1_1", "relu2_2"]}
    losses = transfer(content, style, network=vgg, iterations=20, **layers).history["total"]
    assert losses.iloc[-1] < 0.9 * losses.iloc[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weights: weights.pop("conv1_1.weight"), "no tensor 'conv1_1.weight'; there are conv1_1.bias"),
        (lambda weights: weights.clear(), "there are none"),
        (lambda weights: weights.update({"conv1_1.bias": torch.zeros(5)}), r"\(4, 3, 3, 3\) and \(5,\); expected"),
    ],
)
def test_weights_of_ones_own_that_lack_a_tensor_or_its_shape_are_named(change, words):
    spec = NetworkSpec("mine", (1,), (4,), None, "layers", "reflect", "as trained", "my own training")
    weights = {"conv1_1.weight": torch.zeros(4, 3, 3, 3), "conv1_1.bias": torch.zeros(4)}
    LossNetwork(spec, ["relu1_1"], state={f"module.{name}": tensor for name, tensor in weights.items()})
    change(weights)
    with pytest.raises(NetworkError, match=words):
        LossNetwork(spec, ["relu1_1"], state=weights)


@pytest.mark.parametrize("device", ["cuda:99", "gpu", "CPU", ""])
def test_a_device_that_this_machine_lacks_is_told_beside_those_that_it_has(device):
    assert pick_device("cpu:0") == torch.device("cpu:0")
    with pytest.raises(NetworkError, match=rf"no device '{device}'\. It has: .*cpu; auto takes the first"):
        pick_device(device)
    with pytest.raises(NetworkError, match="It has: "):
        transfer(*torch.rand(2, 1, 3, 16, 16), network="tiny", device=device)


def test_average_pooling_is_the_average():
    network = LossNetwork("tiny", layers=["relu1_2", "pool1"], pooling="average")
    features = network(PICTURES)
    torch.testing.assert_close(features["pool1"], functional.avg_pool2d(features["relu1_2"], 2))
    assert not torch.allclose(features["pool1"], LossNetwork("tiny", layers=["pool1"])(PICTURES)["pool1"])


@pytest.mark.parametrize(("name", "scale", "kind"), [("tiny", "unit", ("conv", "relu")), ("compact", "native", "relu")])
def test_unit_scale_and_the_packaged_network_have_unit_mean_square_over_the_photographs(name, scale, kind):
    """So scale "unit" changes nothing for the packaged one, whose half precision costs the fourth digit."""
    layers = [layer for layer in NETWORKS[name].layers if layer.startswith(kind)]
    sizes = LossNetwork(name, layers, scale=scale).root_mean_squares()
    assert list(sizes.values()) == pytest.approx([1] * len(layers), rel=1e-4 if scale == "unit" else 1e-3)
    assert LossNetwork("tiny", ["relu2_1"]).root_mean_squares()["relu2_1"] != pytest.approx(1, rel=1e-2)


def test_bfloat16_stays_within_two_hundredths():
    """The error bfloat16 brings to the features, relative to their size: stated here, and kept."""
    exact, rough = (
        LossNetwork("tiny", ["relu3_2"], dtype=dtype)(PICTURES)["relu3_2"] for dtype in (torch.float32, torch.bfloat16)
    )
    assert rough.dtype == torch.float32
    assert float((rough - exact).norm() / exact.norm()) < 0.02


@pytest.mark.parametrize(
    ("name", "asset", "layers", "x", "atol"),
    [
        ("vgg16", "vgg16", "D", IMAGENET, 1e-5),
        ("vgg19", "vgg19", "E", IMAGENET, 1e-5),
        ("vgg16-caffe", "vgg16_features", "D", CAFFE, 1e-2),
        ("vgg16-caffe", "vgg16_caffe", "D", CAFFE, 1e-2),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_published_weights_give_torchvisions_features(name, asset, layers, x, atol, monkeypatch, tmp_path):
    """The real loading code on the one file that is at hand, of the same format, with random weights and its input."""
    torch.manual_seed(0)
    reference = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs[layers]).eval()
    state = {f"features.{key}": value for key, value in reference.state_dict().items()}
    if asset == "vgg16_features":
        weights.save(state, tmp_path / asset, {})
    else:
        torch.save(state, tmp_path / asset)
    monkeypatch.setattr(assets, "fetch", lambda wanted, **_: {asset: tmp_path / asset}[wanted])
    monkeypatch.setattr(assets, "available", lambda wanted: wanted == asset)
    for layer, values in LossNetwork(name, layers=["conv1_1", "relu3_3", "conv5_3"])(PICTURES).items():
        # torchvision rectifies in place: each of its layers is computed by a pass that stops right behind it.
        upto = NETWORKS[name].layers.index(layer) + 1
        torch.testing.assert_close(values, reference[:upto](x), rtol=1e-4, atol=atol)


@NEEDS_REAL
def test_the_original_network_against_numpy():
    """The first four convolutions of two blocks, in float64, with none of PyTorch."""
    layers = ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    network = LossNetwork("vgg16-caffe", layers)
    given = network(PICTURES[:1])
    x = CAFFE[0].double().numpy()
    for layer in layers:
        weight, bias = (tensor.double().numpy() for tensor in network.convolutions[layer].state_dict().values())
        if layer == "conv2_1":
            x = x[:, :-1].reshape(len(x), x.shape[1] // 2, 2, -1, 2).max((2, 4))  # 33 rows: the last is left over
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1))), (3, 3), (1, 2))
        x = np.einsum("oiab,ihwab->ohw", weight, windows, optimize=True) + bias[:, None, None]
        np.testing.assert_allclose(given[layer][0].numpy(), x, rtol=1e-3, atol=0.05)
        x = np.maximum(x, 0)


@NEEDS_REAL
def test_the_original_networks_features_are_those_that_were_published():
    """First kernel and last biases as published, and root mean squares of one picture's features, kept here."""
    state = weights.load(NETWORKS["vgg16-caffe"])
    assert state["features.0.weight"][:3, 2, 0, 0].tolist() == pytest.approx([0.42947057, 0.11727387, 0.03401296])
    assert float(state["features.28.bias"].mean()) == pytest.approx(0.14986369, rel=1e-5)
    layers = dict(zip((*STYLE, "relu4_2"), (70.138, 529.162, 944.435, 686.594, 127.116, 427.746), strict=True))
    features = LossNetwork("vgg16-caffe", list(layers))(images.read("astronaut", 96))
    sizes = {layer: float(values.square().mean().sqrt()) for layer, values in features.items()}
    assert sizes == pytest.approx(layers, rel=1e-3)


@pytest.mark.parametrize(("name", "divisor"), [("compact-vgg16", 58), ("tiny", 1), ("compact", 1)])
def test_in_deviations_features_are_those_of_an_input_in_standard_deviations(name, divisor):
    """Content losses go with the square of the scale, style losses with the fourth power: another experiment."""
    native, scaled = (LossNetwork(name, ["relu1_2"], scale=scale)(PICTURES)["relu1_2"] for scale in SCALES[:2])
    torch.testing.assert_close(native / divisor, scaled)
    assert conventions("gatys/deviations") == conventions("gatys", scale="deviations")


@pytest.mark.parametrize(("padding", "least"), [("zeros", 4), ("reflect", 8)])
def test_too_small_a_picture_names_the_least_size(padding, least):
    """On a network of one's own: a spec works wherever a name does."""
    spec = NetworkSpec("small", (1, 1, 1), (4, 4, 4), None, "random", padding, "", "")
    network = LossNetwork(spec, layers=["relu3_1"])
    assert network(torch.rand(1, 3, least, least))["relu3_1"].isfinite().all()
    with pytest.raises(NetworkError, match=f"least size is {least}×{least} px"):
        network(torch.rand(1, 3, least - 1, 50))


@pytest.mark.parametrize(
    ("arguments", "shape", "named"),
    [
        ({"name": "vgg91"}, (1, 3, 32, 32), "vgg19"),
        ({"layers": ["conv4_2"]}, (1, 3, 32, 32), "no layer 'conv4_2'"),
        ({"layers": []}, (1, 3, 32, 32), "at least one layer"),
        ({"pooling": "min"}, (1, 3, 32, 32), "average"),
        ({"scale": "big"}, (1, 3, 32, 32), "unit"),
        *(({}, shape, r"\(N, 3, H, W\)") for shape in ((3, 32, 32), (1, 1, 32, 32), (1, 32, 32, 3))),
    ],
)
def test_what_it_does_not_have_and_pictures_of_a_wrong_shape_are_named(arguments, shape, named):
    with pytest.raises(NetworkError, match=named):
        LossNetwork(**{"name": "tiny", "layers": ["conv1_1"]} | arguments)(torch.rand(shape))


def test_weights_that_cannot_be_had(monkeypatch, tmp_path):
    """Names the file, its address, the mirror variable and the networks that work now."""
    monkeypatch.setenv("STYLEREPRO_MIRROR", str(tmp_path / "nothing-here"))
    monkeypatch.setenv("STYLEREPRO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(NetworkError) as caught:
        LossNetwork("vgg19", layers=["relu1_1"])
    for part in ("vgg19-dcbb9e9d.pth", "https://", "STYLEREPRO_MIRROR", "work now: compact, compact-vgg16, tiny"):
        assert part in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not weights at all, but a page that says: not found"])
def test_weights_that_are_no_weights_are_refused_by_name(tmp_path, content):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(NetworkError, match=r"weights\.pth"):
        weights.read_weights(tmp_path / "weights.pth")


# ---- frozen convolutions: the same numbers, the same gradient, less kept


def layer(padding, frozen=True):
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 5, 3, padding=1, padding_mode=padding, dtype=torch.float64)
    return convolution.requires_grad_(not frozen)


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_features_and_gradient_are_the_convolutions_own(padding, memory_format):
    convolution = layer(padding).to(memory_format=memory_format)
    pictures = torch.rand(2, 3, 7, 9, dtype=torch.float64).to(memory_format=memory_format)
    first, other = (pictures.clone().requires_grad_() for _ in range(2))
    ours, wanted = convolve(convolution, first), convolution(other)
    torch.testing.assert_close(ours, wanted)
    weights = torch.rand(wanted.shape, dtype=torch.float64)
    (ours * weights).sum().backward()
    (wanted * weights).sum().backward()
    torch.testing.assert_close(first.grad, other.grad)
    assert torch.autograd.gradcheck(lambda x: convolve(convolution, x), pictures.requires_grad_())


def test_only_the_weights_are_kept_for_the_way_back():
    def kept(function):
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: (sizes.append(x.shape), x)[1], lambda x: x):
            function(picture)
        return sizes

    convolution = layer("reflect")
    picture = torch.rand(1, 3, 20, 20, dtype=torch.float64, requires_grad=True)
    own = kept(lambda x: convolve(convolution, x))
    assert torch.Size([1, 3, 22, 22]) in kept(convolution)  # what torch keeps: the padded copy
    assert torch.Size([1, 3, 22, 22]) not in own
    assert convolution.weight.shape in own
    learning = layer("reflect", frozen=False)
    convolve(learning, picture).sum().backward()
    assert learning.weight.grad.abs().sum() > 0


def test_second_derivatives_are_refused_not_wrong():
    picture = torch.rand(1, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(convolve(layer("zeros"), picture).square().sum(), picture, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
