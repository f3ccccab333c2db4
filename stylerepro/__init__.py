"""stylerepro: documents on image style transfer, every claim put to the test.

For scripts outside the project, loaded when first used so that the command stays quick:

    from stylerepro import LossNetwork, images, results
    from stylerepro.transfer import transfer
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "LossNetwork":
        return import_module("stylerepro.networks.loss_network").LossNetwork
    if name == "images":
        return import_module("stylerepro.pictures.images")
    if name == "results":
        return import_module("stylerepro.runs.results")
    raise AttributeError(f"module 'stylerepro' has no attribute {name!r}")
