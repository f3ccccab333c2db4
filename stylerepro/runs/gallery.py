"""The pictures of a run's settings: each with its amplitude spectrum, and tied to the row of a table it belongs to.

What a reader looks through in the book's explorer. `gallery/` holds the pictures, `gallery.csv` one line a picture.
"""

import hashlib
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib import colormaps
from torch import Tensor

from stylerepro.errors import ResultsError
from stylerepro.files import make_folder
from stylerepro.measures import image_metrics
from stylerepro.pictures import images, plots
from stylerepro.runs import tables
from stylerepro.runs.experiments import load
from stylerepro.runs.record import read_record
from stylerepro.runs.scrub import portable

NAME = "gallery"
# Where the radial profile of a spectrum is kept: cycles per pixel, the same for every size of picture.
FREQUENCIES = tuple(np.round(np.linspace(0.02, 0.5, 25), 2).tolist())
_COLUMNS = {"row": int, "picture": str, "spectrum": str, "before": str, "profile": str}
_QUALITY = 82
_SPECTRUM_SIDE = 160  # px


class Shown(NamedTuple):
    """A picture of one setting. where: column to value, which together name one row of the table.

    picture: (1, 3, H, W), sRGB in [0, 1]. before: the picture that it was made from, of any size, where there is one.
    """

    where: Mapping[str, Any]
    picture: Tensor
    before: Tensor | None = None


class Gallery:
    """Pictures of single settings, for `Run.save`: `Gallery(Shown({"gamma": 10.0}, image, photograph) for …)`."""

    def __init__(self, shown: Iterable[Shown]) -> None:
        self.shown = list(shown)

    def write(self, folder: Path, table: pd.DataFrame) -> None:
        """Write `gallery/` and `gallery.csv` into a run's folder. table: metrics or history, as it is kept.

        Raises `ResultsError` for a picture whose `where` names no row of `table`, or several, and for no picture.
        """
        if not self.shown:
            raise ResultsError("A gallery without pictures is not kept: leave it out.")
        shutil.rmtree(folder / NAME, ignore_errors=True)
        place = make_folder(folder / NAME)
        rows = [_row(table, setting.where) for setting in self.shown]
        spectra = [image_metrics.amplitude_spectrum(setting.picture) for setting in self.shown]
        # One scale for all, so that two settings can be compared by eye.
        low = min(float(np.percentile(each, 1)) for each in spectra)
        high = max(float(np.percentile(each, 99.9)) for each in spectra)
        lines = []
        for row, setting, spectrum in zip(rows, self.shown, spectra, strict=True):
            name = f"{row:04d}"
            images.write(setting.picture, place / f"{name}.webp", quality=_QUALITY)
            _write_spectrum((spectrum - low) / max(high - low, 1e-9), place / f"{name}-spectrum.webp")
            before = "" if setting.before is None else _before(place, setting.before)
            rings = image_metrics.radial_profile(setting.picture)
            profile = np.interp(FREQUENCIES, rings["frequency"], np.log10(rings["amplitude"] + 1e-9))
            text = " ".join(f"{value:.3f}" for value in profile)
            lines.append((row, f"{name}.webp", f"{name}-spectrum.webp", before, text))
        kept = pd.DataFrame(lines, columns=list(_COLUMNS)).sort_values("row")
        tables.write(kept, folder / f"{NAME}.csv")


def read(folder: Path) -> pd.DataFrame | None:
    """Return what `Gallery.write` left in a run's folder: row, picture, spectrum, before ("" for none), profile.

    None for a run without one. Raises `ResultsError` for a damaged table, and for one that names a file not there.
    """
    path = folder / f"{NAME}.csv"
    if not path.is_file():
        return None
    where = f"{folder.parent.name}/{folder.name}/{path.name}"
    try:
        table = pd.read_csv(path, dtype=_COLUMNS, keep_default_na=False)
    except ValueError as error:
        raise ResultsError(f"{where} cannot be read ({error}). Run the experiment again.") from error
    if list(table.columns) != list(_COLUMNS):
        raise ResultsError(f"{where} has other columns than {', '.join(_COLUMNS)}. Run the experiment again.")
    for name in {*table["picture"], *table["spectrum"], *table["before"]} - {""}:
        # Only a plain name: what a table says is never taken for a path to elsewhere.
        if not re.fullmatch(r"[\w.-]+", name) or not (folder / NAME / name).is_file():
            raise ResultsError(f"{where} names {name}, which is not in {NAME}/. Run the experiment again.")
    return table


def sheet(folders: Sequence[Path]) -> Tensor:
    """Return the pictures of runs on one sheet (1, 3, H, W), a row a run with the parameters in which they differ.

    Above the columns stands what the sidecar's sliders say, where that is the same in all rows. Raises `ResultsError`
    for a folder without a record or a gallery.
    """
    records, rows, titles = [read_record(folder) for folder in folders], [], []
    for folder, record in zip(folders, records, strict=True):
        shown, explore = read(folder), load(record["experiment"]).explore
        if shown is None or explore is None:
            raise ResultsError(f"{folder} has no pictures of its settings: only experiments with `explore` keep them.")
        rows.append([images.read(str(folder / NAME / name)) for name in shown["picture"]])
        table = pd.read_csv(folder / f"{explore.table}.csv", dtype=str).iloc[shown["row"]]
        titles.append([", ".join(f"{name} {row[name]}" for name in explore.sliders) for _, row in table.iterrows()])
    values = [record["parameters"] or {} for record in records]
    varied = [name for name in values[0] if any(each.get(name) != values[0][name] for each in values)]
    labels = ["\n".join(f"{name} {tables.cell(each.get(name))}" for name in varied) for each in values]
    return plots.sheet(rows, titles[0] if all(each == titles[0] for each in titles) else (), labels)


def _row(table: pd.DataFrame, where: Mapping[str, Any]) -> int:
    """Return the position of the single row of `table` where each column has its value; None stands for a gap."""
    fits = pd.Series(True, index=table.index)
    for column, value in portable(where).items():
        if column not in table:
            raise ResultsError(f"A picture of the gallery is placed by {column!r}, but its table has no such column.")
        values = table[column]
        fits &= values.isna() if value is None else (values == value).fillna(False).astype(bool)
    positions = np.flatnonzero(fits.to_numpy())
    if len(positions) != 1:
        told = ", ".join(f"{column} {value}" for column, value in where.items())
        raise ResultsError(f"A picture of the gallery belongs to {len(positions)} rows, not one: {told}.")
    return int(positions[0])


def _write_spectrum(spectrum: np.ndarray, path: Path) -> None:
    coloured = torch.from_numpy(colormaps["magma"](spectrum)[..., :3]).float().permute(2, 0, 1)[None]
    if max(coloured.shape) > _SPECTRUM_SIDE:
        coloured = images.resize(coloured, _SPECTRUM_SIDE, side="long")
    images.write(coloured, path, quality=_QUALITY)


def _before(place: Path, picture: Tensor) -> str:
    """Keep a picture that others were made from, once however many they are, and return its name."""
    digest = hashlib.sha256(picture.contiguous().numpy().tobytes()).hexdigest()
    name = f"before-{digest[:8]}.webp"
    if not (place / name).is_file():
        images.write(picture, place / name, quality=_QUALITY)
    return name
