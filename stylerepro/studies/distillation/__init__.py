"""How the compact loss network came to be, and how good it is: learned layer by layer from a larger teacher.

`pictures` draws what is learned from, `layerwise` fits one convolution after the other, `fidelity` judges the result.
"""

from stylerepro.studies.distillation.fidelity import (
    RECTIFIED_STYLE_LAYERS,
    explained_variance,
    gram_correlation,
    gram_distances,
    loss_evaluation,
    relative_style_loss,
    style_removed,
    with_any_weights,
)
from stylerepro.studies.distillation.layerwise import Recipe, fit_layer, metadata, unit_scale
from stylerepro.studies.distillation.pictures import Crops, Photographs, paintings, photographs, squares

__all__ = [
    "RECTIFIED_STYLE_LAYERS",
    "Crops",
    "Photographs",
    "Recipe",
    "explained_variance",
    "fit_layer",
    "gram_correlation",
    "gram_distances",
    "loss_evaluation",
    "metadata",
    "paintings",
    "photographs",
    "relative_style_loss",
    "squares",
    "style_removed",
    "unit_scale",
    "with_any_weights",
]
