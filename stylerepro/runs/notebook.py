"""Papermill with a kernel of our own: this interpreter, an address nobody else has, a share of the cores."""

import logging
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import nbformat
import papermill
from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

from stylerepro.runs.pool import own_prefix

_START_TIMEOUT = 180  # seconds; a machine busy with other runs is slow to start a kernel
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "STYLEREPRO_THREADS",
)


def execute(
    notebook: Path, output: Path, parameters: Mapping[str, Any], *, root: Path, threads: int | None, timeout: int | None
) -> None:
    """Run a notebook with papermill, in the current folder; what is said goes to log.txt beside the output.

    threads: for the kernel's libraries, None leaves it to them. timeout: seconds for one cell, None for no limit.
    Raises what papermill and nbclient raise.
    """
    with (
        (output.parent / "log.txt").open("w", encoding="utf-8") as log,
        tempfile.TemporaryDirectory(prefix=own_prefix(), ignore_cleanup_errors=True) as folder,
        _logging_to(log),
    ):
        papermill.execute_notebook(
            notebook,
            output,
            dict(parameters),
            kernel_name="python3",
            language="python",
            progress_bar=False,
            start_timeout=_START_TIMEOUT,
            execution_timeout=timeout,
            # What the notebook had to say is on disk by now; asking its process to end, and waiting, takes a second.
            shutdown_kernel="immediate",
            kernel_manager_class=_kernel_class(Path(folder), environment(root, threads), log),
        )


def environment(root: Path, threads: int | None) -> dict[str, str]:
    """What the kernel finds set besides what the command was given."""
    inline = "module://matplotlib_inline.backend_inline"
    fixed = {"STYLEREPRO_ROOT": str(root), "MPLBACKEND": inline, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    return fixed | ({name: str(threads) for name in _THREAD_VARIABLES} if threads else {})


def _kernel_class(folder: Path, variables: Mapping[str, str], log: TextIO) -> type[AsyncKernelManager]:
    class OwnKernelManager(AsyncKernelManager):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.connection_file = str(folder / "kernel.json")
            if os.name != "nt":
                # Sockets in a folder of our own: ports are found free and taken by another before they are used.
                self.transport, self.ip = "ipc", str(folder / "k")
            elif self.has_trait("transport_encryption"):
                self.transport_encryption = "auto"

        @property
        def kernel_spec(self) -> KernelSpec:
            # Not the kernel that happens to be registered as "python3" on this machine: it may have other packages.
            spec = KernelSpec(**get_kernel_dict())
            spec.argv = [sys.executable, *spec.argv[1:]]
            spec.env = {**spec.env, **variables}
            return spec

        async def start_kernel(self, **kwargs: Any) -> None:  # type: ignore[override]
            await self._async_start_kernel(stdout=log, stderr=log, **kwargs)

    return OwnKernelManager


@contextmanager
def _logging_to(log: TextIO) -> Iterator[None]:
    logger, handler = logging.getLogger("papermill"), logging.StreamHandler(log)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def load_notebook(path: Path) -> Any:
    """An executed notebook without the cells that papermill adds around an error; None if unreadable."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception:
        # A notebook cut short by a full disk or a kill is no reason to lose the error that led to it.
        return None
    notebook.cells = [one for one in notebook.cells if "papermill-error-cell-tag" not in one.metadata.get("tags", [])]
    return notebook


def failed_cell(notebook: Any) -> dict[str, Any] | None:
    """Where a notebook stopped: {"number": of the code cell, "first_line": of its code}; None if no cell was begun.

    Cells are counted as in the notebook before papermill put in the one with the parameters. Papermill's own marks are
    not to be trusted: a cell that ran into the time limit is called completed.
    """
    code = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    begun = [cell for cell in code if _notes(cell).get("start_time")]
    broken = [cell for cell in begun if any(output.output_type == "error" for output in cell.outputs)]
    if not begun:
        return None
    cell = broken[0] if broken else max(begun, key=lambda one: str(_notes(one)["start_time"]))
    lines = [line for line in cell.source.splitlines() if line.strip()]
    return {"number": code.index(cell) + 1, "first_line": lines[0] if lines else ""}


def _notes(cell: Any) -> Mapping[str, Any]:
    return cell.metadata.get("papermill", {})
