"""The figures of a model card, from the table of a run of `compact_network`."""

import pandas as pd

_NAMES = {
    "explained_variance": "explained variance of the teacher's features, held-out photographs",
    "spearman": "Spearman correlation of Gram distances between textures",
    "style_removed": "style loss removed, as a share of what the teacher's own run removes",
    "style_removed_median": "the same, median over the pairs",
    "high_frequency_ratio": "share of high frequencies in its pictures, relative to the teacher's",
    "times_as_fast_as_vgg19": "times as fast as VGG-19, one style loss with gradient",
    "times_as_fast_as_vgg19-16x": "times as fast as vgg19-16x",
    "memory_share_of_vgg19": "peak memory as a share of VGG-19's",
    "memory_share_of_vgg19-16x": "peak memory as a share of vgg19-16x's",
}


def figures(metrics: pd.DataFrame) -> str:
    """A Markdown table: what was measured, on which layers or pairs, the value (or its range), what was asked for."""
    lines = ["| figure | of | measured | asked |", "|---|---|---|---|"]
    for measured, table in metrics.groupby("measured", sort=False):
        name = _NAMES.get(str(measured), str(measured))
        if table["content"].notna().any():
            span = f"{table['value'].min():.3f} to {table['value'].max():.3f}"
            asked = _asked(table["asked"].iloc[0], measured)
            lines.append(f"| {name} | {len(table)} pairs | {span} | {asked and asked + ' each'} |")
            continue
        for layer, value, asked in zip(table["layer"].fillna(""), table["value"], table["asked"], strict=True):
            lines.append(f"| {name} | {layer} | {value:.3f} | {_asked(asked, measured)} |")
    return "\n".join(lines)


def _asked(value: float, measured: object) -> str:
    if pd.isna(value):
        return ""
    return f"at most {value:.2f}" if str(measured).startswith("memory") else f"at least {value:g}"
