"""Copy finished runs to `results/reference/`, the committed results. No other way leads there."""

import base64
import io
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from PIL import Image

from stylerepro.errors import ResultsError, RunError, unknown
from stylerepro.files import make_folder, reference_root, runs_root, write_text
from stylerepro.runs import record as records
from stylerepro.runs.experiments import CROSSCHECK, REFERENCE, discover, load, resolve_parameters
from stylerepro.runs.fingerprint import compute, explain

LIMIT = 45_000_000  # bytes, for all committed results together
NOTEBOOK_LIMIT = 1_400_000  # bytes; a larger one stores its pictures coarser
_QUALITIES = (70, 55, 40)
PUBLISHED = (REFERENCE, CROSSCHECK, "paper")
_CURVES = "history.csv"
# The paper profile shows the documents' own pictures, which are others' property, and the crosscheck the reference's:
# of both only numbers are kept.
_TABLES = (records.RECORD, "metrics.csv", _CURVES)
_WHOLE = (*_TABLES, "notebook.ipynb", "figures", "gallery", "gallery.csv")


@dataclass(frozen=True)
class Published:
    """The published results: experiment to bytes.

    total: of all committed results then. warnings: what to mend before committing.
    """

    sizes: dict[str, int]
    total: int
    warnings: tuple[str, ...]


def publish(names: Sequence[str] = (), profile: str = "reference") -> Published:
    """Copy the finished runs of a profile to the committed results: all that have one, or exactly the named ones.

    Raises `RunError` for another profile than those of `PUBLISHED`, and `ResultsError`, with nothing changed, when a
    run is missing, damaged or stale, or when the committed results would pass `LIMIT`.
    """
    if profile not in PUBLISHED:
        raise RunError(unknown(profile, list(PUBLISHED), "profile to publish", "This command"))
    sources = {name: _source(name, profile) for name in names or _runnable(profile)}
    if not sources:
        raise ResultsError(f"There is no finished run of profile {profile}: stylerepro run --profile {profile}.")
    root = make_folder(reference_root())
    with tempfile.TemporaryDirectory(prefix=".publishing-", dir=root) as prepared:
        made = {name: _copy(folder, Path(prepared) / name, profile) for name, folder in sources.items()}
        targets = {name: root / (name if profile == REFERENCE else f"{name}-{profile}") for name in sources}
        stay = [path for path in root.iterdir() if path not in targets.values() and not path.name.startswith(".")]
        sizes = {name: size(folder) for name, folder in made.items()}
        total = sum(sizes.values()) + sum(map(size, stay))
        if total > LIMIT:
            largest = max(sizes, key=lambda name: sizes[name])
            raise ResultsError(
                f"The committed results would take {total / 1e6:.1f} MB, more than {LIMIT / 1e6:.0f} MB; nothing was "
                f"changed. The largest is {largest} with {sizes[largest] / 1e6:.1f} MB: make its figures smaller."
            )
        for name, folder in made.items():
            records.install(folder, targets[name])
    dirty = [name for name, folder in targets.items() if (records.read_record(folder).get("commit") or {}).get("dirty")]
    warning = f"{', '.join(dirty)}: made from files that were not committed; commit them and run again to be exact"
    return Published(sizes, total, (warning,) if dirty else ())


def _runnable(profile: str) -> list[str]:
    """Return the experiments that have a finished run of the profile."""
    by_command = (record for _, record in records.finished_runs(runs_root()) if not record.get("manual"))
    finished = {record["experiment"] for record in by_command if record["profile"] == profile}
    return [each.name for each in discover() if each.name in finished and profile in each.profiles]


def _source(name: str, profile: str) -> Path:
    experiment = load(name)
    parameters = resolve_parameters(experiment, profile)
    folder = runs_root() / name / records.run_name(profile, parameters)
    again = f"Run it: stylerepro run {name} --profile {profile}."
    if not folder.is_dir():
        raise ResultsError(f"{name} has no finished run of profile {profile} with the present parameters. {again}")
    record = records.read_record(folder)
    reasons = explain(record["fingerprint"].get("components", {}), compute(experiment, parameters).components)
    if record["status"] != records.COMPLETED or reasons:
        raise ResultsError(f"The run of {name}, profile {profile}, is stale: {'; '.join(reasons[:4])}. {again}")
    return folder


def _copy(source: Path, target: Path, profile: str) -> Path:
    make_folder(target)
    for name in _WHOLE if profile == REFERENCE else _TABLES:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        elif name == _CURVES and (source / name).is_file():
            # Curves are for drawing: six digits make them a quarter smaller.
            curves = pd.read_csv(source / name, dtype_backend="numpy_nullable")
            curves.to_csv(target / name, index=False, float_format="%.6g")
        elif (source / name).is_file():
            shutil.copyfile(source / name, target / name)
            if name.endswith(".ipynb"):
                _lighten(target / name)
    return target


def _lighten(notebook: Path) -> None:
    """Store the pictures of a notebook that is too large as coarser JPEGs; its numbers stay as they are."""
    for quality in _QUALITIES:
        if notebook.stat().st_size <= NOTEBOOK_LIMIT:
            return
        content = json.loads(notebook.read_text(encoding="utf-8"))
        outputs = [output for cell in content["cells"] for output in cell.get("outputs", ())]
        for data in [output["data"] for output in outputs if "image/jpeg" in output.get("data", {})]:
            again = io.BytesIO()
            Image.open(io.BytesIO(base64.b64decode("".join(data["image/jpeg"])))).save(again, "JPEG", quality=quality)
            data["image/jpeg"] = base64.b64encode(again.getvalue()).decode("ascii")
        write_text(notebook, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    return sum(file.stat().st_size for file in [path, *path.rglob("*")] if file.is_file())
