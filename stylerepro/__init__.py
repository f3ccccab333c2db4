"""stylerepro: five documents on image style transfer, every claim put to the test.

The public names are loaded when first used, so that `import stylerepro` (and with it the command) stays quick:

    from stylerepro import LossNetwork, images
    from stylerepro.transfer import transfer
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["LossNetwork", "__version__"]


def __getattr__(name: str) -> Any:
    if name == "LossNetwork":
        return import_module("stylerepro.perceptual").LossNetwork
    raise AttributeError(f"module 'stylerepro' has no attribute {name!r}")
