"""The record of a run beside its tables, run.json, and the folders that runs lie in."""

import csv
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from stylerepro.errors import ResultsError, ResultsWarning
from stylerepro.files import hash_of, hold, lock, make_folder, project_root, reference_root, runs_root, write_json
from stylerepro.runs.experiments import CUSTOM, Experiment, identifying
from stylerepro.runs.fingerprint import DISTRIBUTIONS, Fingerprint, network_names, rule_hashes, version_of
from stylerepro.runs.scrub import portable, scrub

RECORD = "run.json"
_PROGRESS = "progress.json"
_LOCK = ".lock"
RUNNING, COMPLETED, FAILED = "running", "completed", "failed"
MANUAL = "manual"
_AGAIN = " Remove the folder and run the experiment again."
_ALSO = ("pillow", "matplotlib", "pandera", "papermill", "ipykernel", "stylerepro")


class _Components(BaseModel):
    parameters: dict[str, Any] | None = None
    versions: dict[str, Any] | None = None
    assets: dict[str, Any] | None = None
    definitions: dict[str, str] | None = None


class _Fingerprint(BaseModel):
    digest: Any = None
    components: _Components = _Components()


class _Record(BaseModel):
    """The entries of run.json that others rely on; it may hold more."""

    model_config = ConfigDict(strict=True)
    experiment: str
    profile: str
    status: str
    start: str
    seconds: float | None
    columns: dict[str, dict[str, str]]
    fingerprint: _Fingerprint
    parameters: dict[str, Any] | None = None
    versions: dict[str, Any] = {}
    device: dict[str, Any] = {}
    networks: dict[str, Any] = {}
    assets: dict[str, Any] = {}
    seconds_reused: float = 0.0
    error: dict[str, Any] | None = None
    commit: dict[str, Any] | None = None
    rules: dict[str, str] | None = None

    @model_validator(mode="after")
    def _identified(self) -> "_Record":
        if self.profile == CUSTOM and self.parameters is None:
            raise ValueError("a custom one lacks its parameters")
        return self


def run_name(label: str, parameters: Mapping[str, Any]) -> str:
    """Return a run's folder name: its profile (or "custom", "manual") and the first digits of its parameters' hash.

    Eight digits, for custom runs sixteen: with eight, two of ten thousand points would share one in a hundred times.
    """
    return f"{label}-{hash_of(identifying(parameters))[: 16 if label == CUSTOM else 8]}"


def staging_folder(experiment: str, name: str, digest: str) -> Path:
    """Return the folder that a run with this fingerprint is prepared in, where its parts wait if it is interrupted."""
    return runs_root() / ".staging" / f"{experiment}-{name}-{digest[:12]}"


def write_progress(staging: Path, done: int, wanted: int, name: str) -> None:
    """Note how far a run has come, for the command that waits for it."""
    write_json(staging / _PROGRESS, {"done": done, "wanted": wanted, "name": name})


def read_progress(experiment: str, name: str) -> tuple[int, int, str] | None:
    """Return how far the run of this name has come: done, wanted, of what; None where it has not said."""
    noted = (runs_root() / ".staging").glob(f"{experiment}-{name}-*/{_PROGRESS}")
    with suppress(OSError, ValueError, LookupError):  # there is none, or it has just ended
        said = json.loads(max(noted, key=lambda path: path.stat().st_mtime).read_text(encoding="utf-8"))
        return int(said["done"]), int(said["wanted"]), str(said["name"])
    return None


def claim_staging(experiment: str, name: str, digest: str) -> tuple[Path, Any]:
    """Return a staging folder of this name in which no other process is at work, and the lock that keeps it so.

    The parts of an interrupted run wait in the first one; what others of the name left is removed.
    """
    first = staging_folder(experiment, name, digest)
    folders = (first if number == 1 else Path(f"{first}-{number}") for number in itertools.count(1))
    folder, held = next((folder, held) for folder in folders if (held := hold(folder / _LOCK)))
    tidy_staging(experiment, name, keep=folder)
    return folder, held


def tidy_staging(experiment: str, name: str, keep: Path | None = None) -> None:
    """Remove what interrupted runs of this name left in other folders than `keep`; where one is at work, it stays."""
    for path in (runs_root() / ".staging").glob(f"{experiment}-{name}-*"):
        if path.is_dir() and path != keep:
            with lock(path / _LOCK) as abandoned:
                if abandoned:
                    shutil.rmtree(path, ignore_errors=True)


def install(source: Path, target: Path) -> None:
    """Put the folder `source` in the place of `target`; whoever looks sees the old one or the new one, whole.

    A damaged folder there is not removed but kept as `.damaged-NAME-TIME` beside it, with a `ResultsWarning`.
    """
    make_folder(target.parent)
    _clear(target)
    kept = sorted(target.parent.glob(f".old-{target.name}-*"))
    if kept and not target.exists():  # an earlier swap was killed half-way
        kept.pop().rename(target)
    if target.exists() and (reason := damage(target)):
        beside = target.with_name(f".damaged-{target.name}-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}")
        target.rename(beside)
        name = f"{target.parent.name}/{target.name}"
        warnings.warn(f"{name} is damaged: {reason}. It is kept as {beside.name}.", ResultsWarning, stacklevel=2)
    if target.exists():
        kept.append(target.rename(target.parent / f".old-{target.name}-{os.getpid()}"))
    source.rename(target)
    for replaced in kept:
        # By another name before it is taken apart: what is called old is whole, whenever this is killed.
        replaced.rename(replaced.with_name(replaced.name.replace(".old-", ".gone-", 1)))
    _clear(target)


def _clear(target: Path) -> None:
    for gone in target.parent.glob(f".gone-{target.name}-*"):
        shutil.rmtree(gone, ignore_errors=True)


def new_record(
    experiment: Experiment, parameters: Mapping[str, Any], profile: str, fingerprint: Fingerprint, *, manual: bool
) -> dict[str, Any]:
    """Return a run's record as it starts: everything but the result, without any path or name of this machine."""
    from stylerepro.measures.timing import hardware
    from stylerepro.networks.specs import weights_name

    assets, named = fingerprint.components["assets"], (*DISTRIBUTIONS, *_ALSO)
    return {
        "experiment": experiment.name,
        "document": experiment.document,
        "claims": list(experiment.claims),
        "profile": profile,
        "manual": manual,
        "status": RUNNING,
        "error": None,
        "start": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": None,
        "parameters": portable(dict(parameters)),
        "seeds": {name: value for name, value in parameters.items() if re.search(r"(^|_)seeds?$", name)},
        # Loss network to the hash of its weights; None for one without a file.
        "networks": {name: assets.get(weights_name(name) or "") for name in network_names(parameters)},
        "assets": assets,
        "device": device(parameters.get("device", "cpu")),
        "hardware": hardware(),
        # Python and the distributions that matter, in full.
        "versions": {"python": platform.python_version(), **{name: version_of(name) for name in named}},
        "commit": commit(),
        "rules": rule_hashes(experiment.name),
        "columns": fingerprint.components["columns"],
        "fingerprint": {"digest": fingerprint.digest, "components": dict(fingerprint.components)},
    }


def device(asked: Any) -> dict[str, str]:
    """Return the device asked for, and what it is on this machine: cpu, mps, or cuda with the model."""
    import torch

    kind = str(asked or "auto").split(":")[0]
    if kind == "auto":
        kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    model = torch.cuda.get_device_name() if kind == "cuda" and torch.cuda.is_available() else ""
    return {"asked": str(asked), "used": f"{kind} ({model})" if model else kind}


def commit() -> dict[str, Any] | None:
    """Return the project's commit, and whether anything but results was changed since; None outside git."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(project_root()), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != project_root().resolve():
            return None
        changed = git("status", "--porcelain", "--", ".", ":(exclude)results")
        return {"sha": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.SubprocessError):
        return None


def write_record(folder: Path, record: Mapping[str, Any], values: Mapping[str, Any] | None = None) -> None:
    """Write run.json, atomically. values: the parameters as given, whose paths must not stay; see `scrub`."""
    write_json(folder / RECORD, scrub(record, values))


def read_record(folder: Path) -> dict[str, Any]:
    """Return a run's record. Raises `ResultsError` when there is none or it is damaged."""
    where = f"{folder.parent.name}/{folder.name}/{RECORD}"
    try:
        text = (folder / RECORD).read_text(encoding="utf-8")
        _Record.model_validate_json(text)
        record: dict[str, Any] = json.loads(text)
    except FileNotFoundError:
        raise ResultsError(f"There is no {where}.") from None
    except ValidationError as error:
        wrong = [".".join(map(str, each["loc"])) + ": " + each["msg"] for each in error.errors()]
        raise ResultsError(f"{where} is not a run's record: {'; '.join(wrong[:4]).lstrip(': ')}.{_AGAIN}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(f"{where} cannot be read ({error}).{_AGAIN}") from error
    return record


def record_of(folder: Path) -> dict[str, Any] | None:
    """Return a run's record; None where there is none or it is damaged."""
    with suppress(ResultsError):
        return read_record(folder)
    return None


def read_whole(folder: Path) -> dict[str, Any]:
    """Return the record of a run whose tables begin with the columns that it names and end with a whole row.

    Raises `ResultsError` where one of them does not.
    """
    record = read_record(folder)
    for table, types in record["columns"].items() if record["status"] == COMPLETED else ():
        if types and (wrong := cut_short(folder / f"{table}.csv", list(types))):
            raise ResultsError(f"{table}.csv of run {folder.name} {wrong}.")
    return record


def cut_short(path: Path, columns: list[str]) -> str:
    """Return how the beginning and the end of a table are not as `tables.write` writes them, in words, or ""."""
    try:
        with path.open("rb") as stream:
            head = stream.readline().decode("utf-8", errors="replace")
            stream.seek(max(stream.seek(0, os.SEEK_END) - 1, 0))
            end = stream.read()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if next(csv.reader([head]), []) != columns:
        return "has other columns than its record says"
    return "" if end == b"\n" else "ends in the middle of a row"


def damage(folder: Path) -> str | None:
    """Return what is wrong with a run's folder, in words; None where it is whole."""
    try:
        read_whole(folder)
    except ResultsError as error:
        return str(error).removesuffix(_AGAIN).rstrip(".")
    return None


def finished_runs(root: Path, named: str = "") -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield folder and record of each completed run below `root`, by path; of a damaged one there is a warning.

    named: what the names of the folders begin with; the records of others are not read.
    """
    runs = []
    for where, folders, files in os.walk(root):
        # Hidden folders and those inside a run are not looked at: there are thousands.
        if RECORD in (*files, *folders):
            folders.clear()
            runs.append(Path(where))
        folders[:] = [name for name in folders if not name.startswith(".")]
    for folder in sorted(path for path in runs if path.name.startswith(named)):
        try:
            record = read_record(folder)
        except ResultsError as error:
            warnings.warn(str(error), ResultsWarning, stacklevel=2)
            continue
        if record["status"] == COMPLETED:
            yield folder, record


def current_runs(root: Path | None = None, profile: str | None = None) -> list[tuple[Path, dict[str, Any]]]:
    """Return the completed runs that count: of each experiment and profile the newest, and every custom one.

    A run by the command goes before one by hand, whose notebook may have been edited without being saved. `root`: a
    folder to look in; None for own runs and, where there is none, the committed ones.
    """
    best: dict[tuple[str, str, str], tuple[Path, dict[str, Any]]] = {}
    for place in (reference_root(), runs_root()) if root is None else (root,):
        found = [run for run in finished_runs(place) if profile in (None, run[1]["profile"])]
        found.sort(key=lambda run: (not run[1].get("manual", False), run[1]["start"]))
        for folder, record in found:
            own = hash_of(identifying(record["parameters"])) if record["profile"] == CUSTOM else ""
            best[record["experiment"], record["profile"], own] = folder, record
    return [best[key] for key in sorted(best)]
