"""Figures that two notebooks need, as functions of pictures and tidy tables."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
import torch
from IPython.core.getipython import get_ipython
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib_inline.backend_inline import set_matplotlib_formats
from torch import Tensor

from stylerepro.pictures import images
from stylerepro.pictures.samples import Box


def set_look() -> None:
    """Set the look that all figures share. In a notebook they are stored as JPEG, a quarter of PNG's bytes."""
    sns.set_theme(context="notebook", style="whitegrid", palette="colorblind", font_scale=0.9)
    plt.rcParams.update({"figure.dpi": 100, "savefig.bbox": "tight", "axes.titlesize": "medium"})
    if get_ipython() is not None:
        set_matplotlib_formats("jpeg", pil_kwargs={"quality": 85})


def picture_grid(
    pictures: Sequence[Sequence[Tensor | None]],
    columns: Sequence[str] = (),
    rows: Sequence[str] = (),
    width: float = 10.0,
    cell: float | None = None,
) -> Figure:
    """Draw pictures (1, 3, H, W), sRGB in [0, 1], row by row, with titles above columns and left of rows.

    None leaves a gap. width: of the figure, in inches; cell: of one picture instead.
    """
    count = max(len(row) for row in pictures)
    side = cell or width / count
    shape = next(p.shape for row in pictures for p in row if p is not None)
    figure, axes = plt.subplots(
        len(pictures),
        count,
        figsize=(side * count, side * shape[-2] / shape[-1] * len(pictures) + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for index, (line, row) in enumerate(zip(axes, pictures, strict=True)):
        for axis, picture in zip(line, [*row, *[None] * (count - len(row))], strict=True):
            _show(axis, picture)
        if index < len(rows):
            line[0].set_ylabel(rows[index], fontsize="small")
    for axis, title in zip(axes[0], columns, strict=False):
        axis.set_title(title, fontsize="small")
    return figure


def sheet(pictures: Sequence[Sequence[Tensor | None]], columns: Sequence[str], rows: Sequence[str]) -> Tensor:
    """Return `picture_grid` as a picture (1, 3, H, W) in which each picture has its own size, about."""
    width = next(picture.shape[-1] for row in pictures for picture in row if picture is not None)
    figure = picture_grid(pictures, columns, rows, cell=max(width, 120) / 100)
    figure.set_dpi(100)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
    plt.close(figure)
    return torch.from_numpy(drawn.copy()).permute(2, 0, 1)[None].float() / 255


def enlarge(picture: Tensor, box: Box, size: int) -> Tensor:
    """Return the part of a picture (1, 3, H, W) inside `box`, brought to `size` px on its longer side."""
    rows, columns = box.slices
    return images.resize(picture[..., rows, columns], size, side="long")


def lines_with_range(
    table: pd.DataFrame, x: str, y: str, unit: Sequence[str], axis: Axes, hue: str | None = None, label: str = ""
) -> Axes:
    """Draw a faint line for each unit (such as a content × style pair), and their median on top.

    hue: a column whose values get a colour each; label: of the median where there is no hue.
    """
    groups = [(label, table)] if hue is None else list(table.groupby(hue, sort=False))
    for colour, (name, group) in zip(sns.color_palette(n_colors=len(groups)), groups, strict=True):
        for _, rows in group.groupby(list(unit)):
            ordered = rows.sort_values(x)
            axis.plot(ordered[x], ordered[y], color=colour, alpha=0.25, linewidth=1)
        median = group.groupby(x)[y].median()
        axis.plot(median.index, median, color=colour, marker="o", markersize=4, linewidth=2, label=str(name))
    if hue is not None or label:
        axis.legend(title=hue)
    return axis


def _show(axis: Axes, picture: Tensor | None) -> None:
    axis.set(xticks=[], yticks=[])
    axis.grid(False)
    for spine in axis.spines.values():
        spine.set_visible(False)
    if picture is not None:
        axis.imshow(np.clip(images.to_array(picture), 0, 1))
