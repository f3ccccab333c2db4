"""Photographs and the small recipe that the tests of training share."""

import pytest
import torch
from small import SMALL

from stylerepro.networks.feed_forward import architecture
from stylerepro.pictures import images
from stylerepro.training.recipe import Recipe
from stylerepro.transfer.objective import conventions


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Five photographs, in the layout of COCO."""
    root = tmp_path_factory.mktemp("pictures")
    for number in range(5):
        picture = torch.rand(1, 3, 5, 6, generator=torch.Generator().manual_seed(number))
        large = torch.nn.functional.interpolate(picture, (30 + number, 36), mode="bilinear")
        images.write(large, root / "train2014" / f"COCO_train2014_{number:012d}.jpg")
    return root


@pytest.fixture
def recipe(folder):
    def make(name="johnson-in", **changes):
        tiny = {"loss_network": "tiny", "photographs": str(folder), "size": 16, "batch": 4, "steps": 6}
        tiny |= {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv2_1"]}
        reading = conventions("johnson", tv_reduction="mean")
        settings = {"tv_weight": 0.5, "convention": reading, "learning_rate": 2e-3}
        return Recipe(architecture(name, **SMALL), **(tiny | settings | changes))

    return make
