"""Feed-forward networks: what the documents say of them, counted by hand; any size; files; ONNX."""

import json

import onnx
import pytest
import torch
from safetensors.torch import save_file
from small import SMALL, kinds, pictures, small
from torch import nn

from stylerepro.errors import NetworkError
from stylerepro.networks import checkpoints, feed_forward, weights
from stylerepro.networks.feed_forward import ARCHITECTURES, LEAST_SIZE, InstanceNorm, StyleNetwork, architecture, count
from stylerepro.networks.naming import label

NAMES = list(ARCHITECTURES)


def test_johnson_has_the_parameters_of_the_document():
    """Two 9×9 ends, two convolutions down and two up, ten of 128 → 128; two numbers a channel of each norm."""
    convolutions = 81 * 3 * 32 + 9 * (32 * 64 + 64 * 128) + 10 * 9 * 128 * 128 + 9 * (128 * 64 + 64 * 32) + 81 * 32 * 3
    norms = 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32)
    bias_of_the_last = 3
    assert count("johnson").parameters == convolutions + norms + bias_of_the_last == 1_677_635
    assert sum(weights.numel() for weights in StyleNetwork("johnson").parameters()) == count("johnson-in").parameters
    # Document 004 promises fewer; a multiplier of 4 gives about half of Johnson's.
    assert 1.9 < count("johnson-in").parameters / count("depsep").parameters < 2.2


@pytest.mark.parametrize("multiplier", [1, 4])
def test_a_multiplier_changes_the_parameters_as_by_hand(multiplier):
    def separable(before, after, kernel=3):
        return multiplier * before * (kernel**2 + after)

    norms = 2 * (32 + 64 + 128 + 10 * 128 + 64 + 32)
    shared = separable(3, 32, 9) + separable(32, 64) + separable(64, 128) + 10 * separable(128, 128)
    shared += separable(32, 3, 9) + 3 + norms
    up = separable(128, 64) + separable(64, 32)
    expected = {"depsep": up, "depsep-nn": up, "depsep-nn-bil": 2 * up}
    for name, of_up in expected.items():
        assert count(architecture(name, multiplier=multiplier)).parameters == shared + of_up


def test_the_open_fields_change_what_they_say():
    def parameters(**changes):
        return count(architecture("depsep", **SMALL, **changes)).parameters

    literal = parameters()
    full_ends = 81 * (3 * 4 + 4 * 3) - 4 * (3 * (81 + 4) + 4 * (81 + 3))
    assert parameters(separable_ends=False) - literal == full_ends
    assert literal - parameters(multiplier_at="inner") == 3 * (3 * (81 + 4) + 4 * (81 + 3))
    assert parameters(transposed="full") - literal == 9 * (8 * 6 + 6 * 4) - 4 * (8 * (9 + 6) + 6 * (9 + 4))
    middles = 4 * (3 + 4 + 6 + 2 * 8 + 8 + 6 + 4)
    assert parameters(norm_between=True) - literal == 2 * middles
    # A norm behind the last convolution takes the place of its bias.
    assert parameters(norm_last=True) - literal == 2 * 3 - 3
    # With the activation in between, a bias is no longer taken out again.
    assert parameters(order="activation-norm") - literal == 4 + 6 + 8 + 8 + 6 + 4
    usual, other = small("johnson"), small("johnson", order="activation-norm")
    assert [type(layer) for layer in usual.body[0]] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    assert [type(layer) for layer in other.body[0]] == [nn.Conv2d, nn.ReLU, nn.BatchNorm2d]


@pytest.mark.parametrize("name", NAMES)
def test_each_architecture_is_made_of_its_kinds_of_layers(name):
    network = StyleNetwork(name)
    transposed, convolutions = kinds(network, nn.ConvTranspose2d), kinds(network, nn.Conv2d)
    assert len(transposed) == (0 if "-nn" in name else 2)
    assert len(kinds(network, feed_forward.Upsample)) == (2 if "-nn" in name else 0)
    assert all(layer.bilinear == (name == "depsep-nn-bil") for layer in kinds(network, feed_forward.Upsample))
    assert len(kinds(network, nn.BatchNorm2d)) == (15 if name == "johnson" else 0)
    assert len(kinds(network, InstanceNorm)) == (0 if name == "johnson" else 15)
    assert len(kinds(network, nn.ReLU)) == 10
    assert sum(layer.stride == (2, 2) for layer in convolutions) == 2
    assert {layer.padding_mode for layer in convolutions if layer.kernel_size != (1, 1)} == {"reflect"}


@pytest.mark.parametrize("name", NAMES)
def test_any_size_gives_the_same_size_in_range(name):
    network = small(name)
    for height, width in [(LEAST_SIZE, LEAST_SIZE), (6, 37), (32, 32), (33, 31), (18, 7), (21, 64)]:
        with torch.no_grad():
            made = network(pictures(height, width, 2) * 20 - 10)  # far out of range too
        assert made.shape == (2, 3, height, width)
        assert 0 <= made.min() <= made.max() <= 1


def test_what_is_cut_off_is_only_what_was_reflected():
    """Padding by hand to a multiple of 4, at the bottom and the right, changes nothing."""
    network, picture = small("depsep-nn-bil"), pictures(30, 33)
    by_hand = nn.functional.pad(picture, (0, 3, 0, 2), mode="reflect")
    with torch.no_grad():
        assert torch.equal(network(picture), network(by_hand)[..., :30, :33])


def test_instance_norm_is_pytorchs():
    norm, theirs = InstanceNorm(5), nn.InstanceNorm2d(5, affine=True)
    with torch.no_grad():
        for either in (norm, theirs):
            either.weight.copy_(torch.linspace(0.5, 2, 5))
            either.bias.copy_(torch.linspace(-1, 1, 5))
    x = torch.randn(3, 5, 9, 7, generator=torch.Generator().manual_seed(0))
    slope = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    results = []
    for layer, memory in [(theirs, "contiguous_format"), (norm, "contiguous_format"), (norm, "channels_last")]:
        start = x.clone(memory_format=getattr(torch, memory)).requires_grad_()
        layer.zero_grad()
        made = layer(start)
        made.backward(slope)
        results.append((made, start.grad, layer.weight.grad, layer.bias.grad))
    for ours in results[1:]:
        torch.testing.assert_close(ours, results[0], rtol=1e-4, atol=1e-5)


def test_a_seed_gives_the_weights_and_leaves_the_global_random_state():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, same, other = (StyleNetwork(architecture("depsep", **SMALL), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(first.body[0][0].weight, same.body[0][0].weight)
    assert not torch.equal(first.body[0][0].weight, other.body[0][0].weight)


def test_multiply_adds_are_those_of_a_hand_count():
    """At 8×12 px: the ends at full size, one layer at a half, the rest at a quarter of height and width."""
    full, half, quarter = 8 * 12, 4 * 6, 2 * 3
    by_hand = full * 81 * (3 * 4 + 4 * 3) + half * 9 * 4 * 6 + quarter * 9 * 6 * 8 + 2 * quarter * 9 * 8 * 8
    # A transposed convolution multiplies each of its *input's* positions by the whole kernel.
    by_hand += quarter * 9 * 8 * 6 + half * 9 * 6 * 4
    assert count(architecture("johnson", **SMALL), 8, 12).multiply_adds == by_hand
    ends = full * (3 * (81 + 4) + 4 * (81 + 3))
    middle = half * 4 * (9 + 6) + quarter * 6 * (9 + 8) + 2 * quarter * 8 * (9 + 8)
    up = half * 8 * (9 + 6) + full * 6 * (9 + 4)
    assert count(architecture("depsep-nn", multiplier=1, **SMALL), 8, 12).multiply_adds == ends + middle + up


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: architecture("depsep-n"), "Did you mean 'depsep-nn'"),
        (lambda: architecture("johnson", norm="layer"), "norm 'layer'; expected one of batch, instance"),
        (lambda: architecture("depsep", multiply=1), "no multiply"),
        (lambda: architecture("depsep", multiplier=0), "multiplier"),
        (lambda: architecture("depsep", widths=(1, 2)), "widths"),
        (lambda: architecture("depsep", residual_blocks=10**9), "residual_blocks"),
        (lambda: architecture("depsep", norm_last=1), "norm_last"),
        (lambda: small("johnson")(torch.rand(1, 3, 4, 30)), "least size is 5×5"),
        (lambda: small("johnson")(torch.rand(3, 30, 30)), r"\(N, 3, H, W\)"),
        (lambda: small("johnson")(torch.rand(1, 1, 9, 9)), "3"),
    ],
)
def test_architectures_that_cannot_be_and_pictures_that_do_not_fit_are_refused_with_the_reason(call, named):
    with pytest.raises(NetworkError, match=named):
        call()


def test_no_label_stands_for_two_architectures():
    assert len(set(ARCHITECTURES.values())) == len(ARCHITECTURES)
    assert all(label(its) == name for name, its in ARCHITECTURES.items())
    assert label(architecture("depsep-nn", multiplier=1)) == "depsep-nn, multiplier=1"
    assert label(architecture("johnson", multiplier=1)) == "johnson"
    assert architecture(feed_forward.Architecture(), norm="instance") == ARCHITECTURES["johnson-in"]


@pytest.mark.parametrize("name", ["johnson", "depsep-nn-bil"])
def test_saved_networks_come_back_bit_for_bit(name, tmp_path):
    network = StyleNetwork(architecture(name, **SMALL), seed=4)
    network(pictures(16, 16, 2))  # moves the running statistics of batch norm
    trained = {"style": "swirls:3", "steps": 12, "λ_s": 40.0}
    path = checkpoints.save(network, tmp_path / "deep" / "net.safetensors", trained)
    loaded = checkpoints.load(path)
    assert checkpoints.describe(path).trained == trained
    assert loaded.architecture == network.architecture
    assert not loaded.training
    assert all(weight.requires_grad for weight in loaded.parameters())
    for key, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value), key
    assert checkpoints.file_size(network, trained) == path.stat().st_size
    state = {f"module.{name}": weight.contiguous() for name, weight in network.state_dict().items()}
    weights.save(state, tmp_path / "parallel.safetensors", weights.describe(path))
    parallel = checkpoints.load(tmp_path / "parallel.safetensors").state_dict()
    assert all(torch.equal(parallel[name], value) for name, value in loaded.state_dict().items())
    assert [file.name for file in path.parent.iterdir()] == ["net.safetensors"]


def test_float16_halves_the_file_and_changes_little(tmp_path):
    network, picture = small("depsep-nn"), pictures(24, 24)
    path = checkpoints.save(network, tmp_path / "half.safetensors", half=True)
    loaded = checkpoints.load(path)
    assert {weights.dtype for weights in loaded.parameters()} == {torch.float32}
    assert checkpoints.file_size(network, half=True) == path.stat().st_size
    whole = count(architecture("depsep-nn", **SMALL)).parameters
    assert checkpoints.file_size(network) - path.stat().st_size == pytest.approx(2 * whole, rel=0.05)
    with torch.no_grad():
        torch.testing.assert_close(loaded(picture), network(picture), rtol=0, atol=5e-3)


def test_weights_that_are_lost_are_not_saved(tmp_path):
    network = small("johnson")
    with torch.no_grad():
        network.body[0][0].weight[0, 0, 0, 0] = 1e30
    checkpoints.save(network, tmp_path / "whole.safetensors")
    with pytest.raises(NetworkError, match="in float16 it would have NaN or infinite"):
        checkpoints.save(network, tmp_path / "half.safetensors", half=True)
    assert not (tmp_path / "half.safetensors").exists()


def test_damaged_and_foreign_files_are_refused(tmp_path):
    whole = checkpoints.save(small("johnson"), tmp_path / "good").read_bytes()
    torch.save(small("johnson"), tmp_path / "pickle")
    for name, content in {"text": b"no network at all", "cut": whole[:-100], "empty": b""}.items():
        (tmp_path / name).write_bytes(content)
    for name in ("text", "cut", "empty", "pickle", "missing"):
        with pytest.raises(NetworkError, match=f"{name} cannot be read"):
            checkpoints.load(tmp_path / name)


TENSORS = {name: tensor.contiguous() for name, tensor in small("johnson").state_dict().items()}
LOST = TENSORS | {"body.0.0.weight": torch.full_like(TENSORS["body.0.0.weight"], torch.nan)}


@pytest.mark.parametrize(
    ("tensors", "described", "named"),
    [
        (TENSORS, {"teacher": "vgg", "format": "another"}, "not of a feed-forward network"),
        (TENSORS, {"architecture": "{"}, "cannot be read"),
        (TENSORS, {}, "cannot be read"),
        (TENSORS, {"architecture": '{"widths": [4, 6, 100000]}'}, "widths"),
        (TENSORS, {"architecture": "{}"}, "does not hold the weights of the johnson"),
        ({"a": torch.zeros(1)}, {"architecture": json.dumps(SMALL)}, "does not hold the weights"),
        (LOST, {"architecture": json.dumps(SMALL)}, "NaN or infinite weights, in body.0.0.weight"),
    ],
)
def test_files_that_are_not_what_they_say_are_refused(tmp_path, tensors, described, named):
    save_file(tensors, tmp_path / "odd", {"format": checkpoints.FORMAT, "trained": "{}"} | described)
    with pytest.raises(NetworkError, match=named):
        checkpoints.load(tmp_path / "odd")


@pytest.mark.parametrize("name", ["johnson", "depsep-nn-bil"])
def test_onnx_gives_what_torch_gives_at_any_size(name, tmp_path):
    """Between them these two have every kind of layer; each layer takes the export its time."""
    network = small(name, residual_blocks=0)
    path = checkpoints.export_onnx(network, tmp_path / "net.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["net.onnx"]
    exported = checkpoints.OnnxNetwork(path, threads=1)
    for shape in [(40, 32, 1), (37, 51, 2), (LEAST_SIZE, 6, 1)]:
        with torch.no_grad():
            torch.testing.assert_close(exported(pictures(*shape)), network(pictures(*shape)), rtol=0, atol=1e-3)
    for shape in [(3, 3, 1), (16385, 5, 1)]:
        with pytest.raises(NetworkError, match=f"{shape[1]}×{shape[0]} px does not go through this graph"):
            exported(pictures(*shape))


def test_what_is_no_onnx_graph_is_refused(tmp_path):
    (tmp_path / "net.onnx").write_text("no graph")
    with pytest.raises(NetworkError, match=r"net\.onnx cannot be read as an ONNX graph"):
        checkpoints.OnnxNetwork(tmp_path / "net.onnx")
    of, shape = onnx.helper, [1, 3, 224, 224]
    ends = [[of.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)] for name in ("input1", "output1")]
    graph = of.make_graph([of.make_node("Relu", ["input1"], ["output1"])], "foreign", *ends)
    model = of.make_model(graph, opset_imports=[of.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(NetworkError, match=r"another kind.*: it takes input1 \[1, 3, 224, 224\], not pictures"):
        checkpoints.OnnxNetwork(tmp_path / "net.onnx")
