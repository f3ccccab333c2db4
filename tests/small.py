"""Feed-forward networks and pictures so small that a test takes no time."""

import torch

from stylerepro.networks.feed_forward import StyleNetwork, architecture

SMALL = {"widths": (4, 6, 8), "residual_blocks": 1}


def small(name, **changes):
    return StyleNetwork(architecture(name, **(SMALL | changes))).eval()


def pictures(height, width, number=1):
    return torch.rand(number, 3, height, width, generator=torch.Generator().manual_seed(3))


def kinds(network, kind):
    return [one for one in network.modules() if type(one) is kind]
