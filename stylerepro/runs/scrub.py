"""Records and notebooks fit to be kept: no absolute path of ours and no host name in them."""

import contextlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylerepro.files import project_root
from stylerepro.runs.experiments import portable, texts

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Where ipykernel says a cell's code lies; the numbers are the process and a checksum.
_CELL = re.compile(r"[\w./\\:~<>-]*ipykernel_\d+[/\\]\d+\.py")


def scrub(content: Any, values: Any = None) -> Any:
    """Return `content` (text, or lists and mappings of it) with folders of this machine named `<project>` and the like.

    values: a run's parameters; absolute paths among them become file names wherever they stand in `content`.
    """
    paths = {text: portable(text) for text in texts(values) if portable(text) != text}
    rules = [_rule(text, paths[text]) for text in sorted(paths, key=len, reverse=True)] + _rules()

    def clean(value: Any) -> Any:
        if isinstance(value, str):
            value = _CELL.sub("<cell>", value)
            for pattern, label in rules:
                value = pattern.sub(lambda _, label=label: label, value)  # type: ignore[misc]
            return value
        if isinstance(value, Mapping):
            return {clean(key): clean(part) for key, part in value.items()}
        return [clean(part) for part in value] if isinstance(value, (list, tuple)) else value

    return clean(content)


def plain(text: str) -> str:
    """Return `text` without terminal colours."""
    return _ANSI.sub("", text)


def _rules() -> list[tuple[re.Pattern[str], str]]:
    places = [
        (project_root(), "<project>"),
        (Path(__file__).parents[2], "<package>"),
        (Path(sys.prefix), "<python>"),
        (Path(sys.base_prefix), "<python>"),
        (Path.cwd(), "<folder>"),
        (Path(tempfile.gettempdir()), "<temporary>"),
    ]
    for variable in ("STYLEREPRO_MIRROR", "STYLEREPRO_CACHE"):
        named = os.environ.get(variable)
        if named and "://" not in named:
            label = f"<{variable.rpartition('_')[2].lower()}>"
            places += [(Path(named).absolute(), label), (project_root() / named, label)]
    with contextlib.suppress(RuntimeError):
        places.append((Path.home(), "~"))
    labels = {str(form): label for path, label in reversed(places) for form in (path, path.resolve())}
    # Never "/" itself.
    rules = [_rule(text, labels[text]) for text in sorted(labels, key=len, reverse=True) if len(text) > 3]
    host = platform.node()
    # A host called "image" must not tear words out of a text; one with a digit or a dot is no word.
    if re.search(r"[\d.]", host):
        rules.append((re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-])"), "<host>"))
    return rules


def _rule(path: str, label: str) -> tuple[re.Pattern[str], str]:
    # Not within an address, nor where the name of a folder goes on.
    return re.compile(r"(?<![\w.~-])" + re.escape(path) + r"(?![\w-])"), label


def scrub_notebook(notebook: Any, values: Any = None) -> Any:
    """Make an executed notebook (nbformat node, changed in place) fit to be kept: no machine, no papermill paths.

    values: the run's parameters, see `scrub`.
    """
    notes = notebook.metadata.get("papermill", {})
    for key in ("input_path", "output_path"):
        if notes.get(key):
            notes[key] = Path(notes[key]).name
    for name in ("parameters", "environment_variables"):
        notes.pop(name, None)
    for cell in notebook.cells:
        if "injected-parameters" in cell.metadata.get("tags", []):
            lines = [line for line in cell.source.splitlines() if not line.startswith(("out = ", "progress = "))]
            cell.source = "\n".join(lines)
        cell.source = scrub(cell.source, values)
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = scrub(plain(output.text), values)
            elif output.output_type == "error":
                output.evalue = scrub(output.evalue, values)
                output.traceback = scrub([plain(line) for line in output.traceback], values)
            else:
                clean = {
                    kind: scrub(data, values) for kind, data in output.data.items() if not kind.startswith("image/")
                }
                output.data.update(clean)
    return notebook
