"""Networks made ready for inference: the same pictures by every way, and what is said where a way is not there."""

import pytest
import torch
from small import SMALL, kinds, pictures, small
from torch import nn

from stylerepro.errors import NetworkError
from stylerepro.networks import inference
from stylerepro.networks.feed_forward import ARCHITECTURES, StyleNetwork, architecture
from stylerepro.networks.inference import Winograd, fast, has_winograd

NAMES = list(ARCHITECTURES)
needs_winograd = pytest.mark.skipif(not has_winograd(), reason="this build of PyTorch has no NNPACK")


@pytest.mark.parametrize("name", NAMES)
def test_the_fast_path_gives_the_same_pictures(name):
    network, picture = StyleNetwork(architecture(name, **SMALL)), pictures(22, 33)
    network(pictures(16, 16, 4))  # statistics that are not the initial ones
    network.eval()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    quick, coarse = fast(network), fast(network, bfloat16=True)
    with torch.no_grad():
        expected = network(picture)
    torch.testing.assert_close(quick(picture), expected, rtol=0, atol=1e-5)
    assert quick.path == "channels-last, float32"
    assert kinds(quick.network, nn.BatchNorm2d) == []
    assert coarse(picture).dtype == torch.float32
    assert (coarse(picture) - expected).norm() / expected.norm() < 3e-2
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.state_dict().items())


def test_without_a_compiler_the_fast_path_goes_on_and_says_so(monkeypatch):
    def broken(network):
        def call(x):
            raise RuntimeError("No working C++ compiler found\nand much more")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    network, picture = small("depsep-nn"), pictures(8, 8)
    quick = fast(network, compiled=True)
    assert quick.path.endswith("compiled")
    with pytest.warns(RuntimeWarning, match=r"could not be compiled \(No working C\+\+ compiler found\)"):
        made = quick(picture)
    assert quick.path == "channels-last, float32, not compiled"
    with torch.no_grad():
        torch.testing.assert_close(made, network(picture), rtol=0, atol=1e-5)
    assert quick(picture).shape == picture.shape  # without a second warning


@needs_winograd
@pytest.mark.parametrize("mode", ["reflect", "zeros"])
@pytest.mark.parametrize(("kernel", "height", "width"), [(3, 16, 16), (3, 17, 30), (9, 12, 33), (5, 9, 8)])
def test_winograd_is_the_same_convolution(kernel, height, width, mode):
    convolution = nn.Conv2d(5, 7, kernel, padding=kernel // 2, padding_mode=mode)
    x = torch.randn(1, 5, height, width, generator=torch.Generator().manual_seed(1))
    assert Winograd.fits(convolution)
    with torch.no_grad():
        expected = convolution(x)
        torch.testing.assert_close(Winograd(convolution)(x), expected, rtol=0, atol=2e-5)
        last = x.to(memory_format=torch.channels_last)
        torch.testing.assert_close(Winograd(convolution)(last), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, padding=0), nn.Conv2d(4, 4, 3, 2, 1),
        nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 3, padding=2, dilation=2),
        nn.ConvTranspose2d(4, 4, 3, padding=1), nn.ReLU(),
    ],
    ids=["pointwise", "no border", "stride", "depthwise", "dilated", "transposed", "no convolution"],
)  # fmt: skip
def test_what_winograd_cannot_do_is_left_as_it_is(module):
    assert not Winograd.fits(module)


@needs_winograd
@pytest.mark.parametrize("name", ["johnson", "johnson-in"])
def test_a_network_with_winograd_gives_the_same_pictures(name):
    network, picture = small(name), pictures(37, 50)
    quick = fast(network, winograd=True)
    assert quick.path == "channels-last, float32, Winograd"
    # Both ends, two convolutions of the residual block; those of stride 2 stay.
    assert len(kinds(quick.network, Winograd)) == 4
    with torch.no_grad():
        torch.testing.assert_close(quick(picture), network(picture), rtol=0, atol=1e-5)


def test_winograd_computes_in_float32_alone_and_says_where_it_cannot(monkeypatch):
    with pytest.raises(NetworkError, match="float32 on the CPU alone"):
        fast(small("johnson"), winograd=True, bfloat16=True)
    monkeypatch.setattr(inference, "has_winograd", lambda: False)
    with pytest.warns(RuntimeWarning, match="has no NNPACK"):
        quick = fast(small("johnson-in"), winograd=True)
    assert quick.path == "channels-last, float32"
    assert kinds(quick.network, Winograd) == []
