"""Own runs whose folder is damaged are set aside: named, moved where nothing looks for them, and never deleted.

Only what lies in `results/runs/EXPERIMENT/` is moved, never a committed run. Commands that only read move nothing.
"""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from stylerepro.errors import ResultsError
from stylerepro.files import lock, make_folder, project_root, runs_root
from stylerepro.runs import record as records
from stylerepro.runs.execution import lock_path
from stylerepro.runs.experiments import CUSTOM, PROFILES

# A folder that is called as a run's is one even where its record is gone.
_NAME = re.compile(rf"({'|'.join((*PROFILES, CUSTOM, records.MANUAL))})-[0-9a-f]{{8,16}}")


def aside_root() -> Path:
    """Where damaged runs are put: `results/runs/.aside/`."""
    return runs_root() / ".aside"


def set_aside(experiments: Collection[str] = (), *, read_tables: bool = False) -> list[str]:
    """Move damaged runs (of the named experiments, or of all) to `.aside`; of each what was wrong and where it went.

    read_tables: read every table to its end as well, which takes longer; else that they are there is enough. A run that
    another process is working on is left to it, and one that cannot be moved is named and left.
    """
    said = []
    for folder in _folders(experiments):
        if damage(folder, read_tables=read_tables) is None:
            continue
        with lock(lock_path(folder.parent.name, folder.name)) as mine:
            # Looked at again, now that nobody else can be about to put a whole one in its place.
            reason = damage(folder, read_tables=read_tables) if mine else None
            if reason is not None and (line := _move(folder, reason)):
                said.append(line)
    return said


def damage(folder: Path, *, read_tables: bool = False) -> str | None:
    """What is wrong with a run's folder, in words; None where it is whole, is gone, or cannot be looked at.

    Whole is a record that can be read with, where it says that the run was completed, the tables that it speaks of.
    """
    try:
        record = records.read_record(folder)
    except ResultsError as error:
        if isinstance(error.__cause__, OSError) and not (folder / records.RECORD).is_dir():
            return None  # shut by its owner, or a disk that is away: no damage
        return str(error.__cause__ or error).rstrip(".") if folder.is_dir() else None
    if record["status"] != records.COMPLETED:
        return None
    for table, types in record["columns"].items():
        path = folder / f"{table}.csv"
        if types and not path.is_file():
            return f"it has no {path.name}" if folder.is_dir() else None
        if types and read_tables:
            from stylerepro.runs.tables import read

            try:
                read(path, types)
            except ResultsError as error:
                if not isinstance(error.__cause__, OSError):
                    return str(error).rstrip(".")
    return None


def _folders(experiments: Collection[str]) -> list[Path]:
    # What is hidden is on its way: prepared, or replaced and about to be removed.
    found = [path for path in runs_root().glob("*/*") if not any(one.startswith(".") for one in path.parts[-2:])]
    return sorted(
        path
        for path in found
        if path.is_dir()
        and not path.is_symlink()
        and (not experiments or path.parent.name in experiments)
        and (_NAME.fullmatch(path.name) or (path / records.RECORD).exists())
    )


def _move(folder: Path, reason: str) -> str:
    """Move a folder and say so; "" where another process was quicker."""
    name = f"{folder.parent.name}/{folder.name}"
    now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    target = make_folder(aside_root()) / f"{folder.parent.name}-{folder.name}-{now}"
    try:
        folder.rename(target)
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"{name} is damaged ({reason}) and cannot be set aside ({error.strerror}): move or remove it."
    if damage(target, read_tables=True) is None:
        # A notebook run by hand takes no lock, and has just put a whole run there.
        target.rename(folder)
        return ""
    shown = target.relative_to(project_root()).as_posix()
    return f"{name} is damaged: {reason}. It is set aside in {shown} and does not count; run makes it anew."
