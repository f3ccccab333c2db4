"""A lock that the system takes back by itself when its holder dies, so that a killed run blocks nobody."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stylerepro.files import full_disk_named, make_folder


@contextmanager
def lock(path: Path) -> Iterator[bool]:
    """Hold `path` as a lock; yields False at once if another process has it. The (empty) file stays."""
    make_folder(path.parent)
    with full_disk_named(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        yield _take(handle)
    finally:
        os.close(handle)


def _take(handle: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
