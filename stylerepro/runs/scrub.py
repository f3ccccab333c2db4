"""Records and notebooks fit to be kept: no absolute path of ours and no host name in them."""

import contextlib
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from stylerepro.files import hash_of, project_root, sha256
from stylerepro.pictures.assets import photo_files

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# Where ipykernel says a cell's code lies; the numbers are the process and a checksum.
_CELL = re.compile(r"[\w./\\:~<>-]*ipykernel_\d+[/\\]\d+\.py")


def portable(value: Any) -> Any:
    """Return `value` without the folders of this machine, in lists and mappings too.

    The path of a file becomes its name with the first digits of its bytes' hash, "cat-1f2e3d4c.png": pictures of one
    name in two folders are two. A folder has those of its listing. What is not on this machine keeps its name.
    """
    if isinstance(value, Mapping):
        return {key: portable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(item) for item in value]
    if not isinstance(value, str) or (path := local_path(value)) is None:
        return value
    digest = digest_of(path)
    return path.stem + (f"-{digest[:8]}" if digest else "") + path.suffix


def local_path(text: str) -> Path | None:
    """Return the path that a text is: absolute, a file's address, or of a file or folder that is there; else None."""
    path, there = Path(url2pathname(unquote(urlsplit(text).path)) if text.startswith("file:") else text), False
    with contextlib.suppress(OSError, RuntimeError, ValueError):  # no such user, longer than a name can be
        path = path.expanduser()
        there = path.exists()
    # A bare word is a choice ("mean"), even if a file of that name happens to lie here.
    return path if path.is_absolute() or (there and (path.suffix or path.name != text)) else None


def digest_of(path: Path) -> str | None:
    """Return the SHA-256 of a file's bytes, or of the names and sizes of a folder's pictures; None for neither."""
    try:
        if path.is_dir():
            return hash_of([[file.name, file.stat().st_size] for file in photo_files(path)])
        return sha256(path)
    except OSError:
        return None


def texts(value: Any) -> Iterator[str]:
    """Yield all text in a value, in lists and mappings too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from texts(item)


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
        if (named := os.environ.get(variable)) and "://" not in named:
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
                shown = [kind for kind in output.data if not kind.startswith("image/")]
                output.data.update({kind: scrub(output.data[kind], values) for kind in shown})
    return notebook
