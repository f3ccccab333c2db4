"""Files, written whole or not at all, and the project's folders."""

import errno
import functools
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylerepro.errors import DiskFullError, ResultsError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    The temporary name keeps the suffix, since image writers choose the format by it. Missing parent folders are made.
    Raises `ResultsError` when a file stands where a folder is needed, `DiskFullError` when the disk is full.
    """
    target = Path(path)
    make_folder(target.parent)
    with full_disk_named(target):
        handle, name = tempfile.mkstemp(prefix=f".{target.stem[:40]}-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            # mkstemp makes private files; what a user keeps gets the permissions their umask asks for.
            os.umask(mask := os.umask(0))
            temporary.chmod(0o666 & ~mask)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Raise, where a full disk stops what is done within, `DiskFullError` that names `path`."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, DiskFullError) and is_disk_full(error):
            raise DiskFullError(
                f"The disk is full: {path} was not written. Free some space on the disk that holds {path.parent}, then "
                "run again; what is finished is kept."
            ) from error
        raise


def is_disk_full(error: BaseException) -> bool:
    """Say whether a full disk is behind an error: writers of file formats raise errors of their own on top of it."""
    if isinstance(error, DiskFullError) or (isinstance(error, OSError) and error.errno in _FULL):
        return True
    behind = error.__cause__ or error.__context__
    return behind is not None and is_disk_full(behind)


def make_folder(folder: str | Path) -> Path:
    """Make `folder` and its parents; a file in the way is a `ResultsError` that names it, a full disk another."""
    folder = Path(folder)
    try:
        with full_disk_named(folder):
            folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        blocking = next((p for p in [folder, *folder.parents] if p.exists() and not p.is_dir()), folder)
        raise ResultsError(
            f"{blocking} is a file, but a folder is needed there. Move or rename the file, then run again."
        ) from error
    return folder


def expanded(path: str | os.PathLike[str]) -> Path:
    """Return `path` with "~" and "~user" as folders; where there is no such user or home, it is a name like any."""
    with suppress(RuntimeError):
        return Path(path).expanduser()
    return Path(path)


def keep(path: str | Path | None, force: bool | None = None) -> None:
    """Raise `ResultsError` where something is at `path`: only `force` writes over it, None where nothing may."""
    how = "" if force is None else ", or --force to write over it"
    if path and os.path.lexists(path) and not force:
        raise ResultsError(f"{path} is there already. Give another name{how}.")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, as 64 hex digits; computed anew when its size or time has changed."""
    path = Path(path).resolve()
    status = path.stat()
    return _sha256(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, size: int, modified: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_of(content: Any) -> str:
    """Return the SHA-256 of plain content, independent of the order of keys, as 64 hex digits."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def project_root() -> Path:
    """Return the folder that holds `notebooks/` and `stylerepro/`.

    `STYLEREPRO_ROOT` if set, else the nearest such folder at or above the working one, else this package's own.
    """
    if named := os.environ.get("STYLEREPRO_ROOT"):
        return expanded(named).resolve()
    here = Path.cwd().resolve()
    for folder in [here, *here.parents]:
        if (folder / "notebooks").is_dir() and (folder / "stylerepro").is_dir():
            return folder
    return Path(__file__).resolve().parents[1]


def results_root() -> Path:
    """Return the folder `results/` of the project, holding own runs and the committed reference."""
    return project_root() / "results"


def runs_root() -> Path:
    """Return the folder of own runs, `results/runs/`. Raises `ResultsError` where a file stands in its way."""
    root = results_root() / "runs"
    for folder in (root, *root.parents):
        if folder.exists() and not folder.is_dir():
            raise ResultsError(
                f"{folder} is a file, but the folder of results is needed there. Move or rename it, then run again."
            )
    return root


def reference_root() -> Path:
    """Return the folder of the committed runs, `results/reference/`."""
    return results_root() / "reference"


@contextmanager
def lock(path: Path, *, wait: float = 0.0) -> Iterator[bool]:
    """Hold `path` as a lock; yield False if another process has it for longer than the seconds to `wait`.

    A killed process holds nothing any more. The (empty) file stays.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    held = FileLock(path)
    with suppress(Timeout), full_disk_named(path):
        held.acquire(timeout=wait, poll_interval=0.5)
    try:
        yield held.is_locked
    finally:
        held.release()


def hold(path: Path) -> "BaseFileLock | None":
    """Return `path` as a lock that lasts as long as what is returned; None if another process has it.

    In one process it can be held twice: a notebook's cell that is run again meets no lock of its own.
    """
    from filelock import FileLock, Timeout

    make_folder(path.parent)
    held = FileLock(path, is_singleton=True)
    with suppress(Timeout):
        held.acquire(blocking=False)
        return held
    return None
