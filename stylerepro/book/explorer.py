"""The book's explorer: a page to look through the settings of the runs that have a gallery.

Its data are in the page and its pictures beside it: from a folder on disk it works as from a server.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from stylerepro.book.panels import FOLDER, Panel
from stylerepro.runs import gallery
from stylerepro.runs.experiments import Experiment
from stylerepro.runs.record import RECORD

DATA = f"{FOLDER}/data.js"


def files(shown: Iterable[Panel]) -> dict[str, Path]:
    """What the page needs beside it: path in the book's sources to the file that is copied there."""
    found: dict[str, Path] = {}
    for one in shown:
        place = one.data["pictures"]
        found |= {place + name: one.folder / name for name in (one.data["table"], RECORD)}
        names = sorted({name for setting in one.data["settings"] for name in setting["files"] if name})
        found |= {place + name: one.folder / gallery.NAME / name for name in names}
    return found


def address(experiment: str, **setting: Any) -> str:
    """Where the explorer shows a setting, from the book's first page: `explorer.html#tv_sweep&gamma=10`."""
    return f"explorer.html#{'&'.join([experiment, *(f'{name}={quote(str(one))}' for name, one in setting.items())])}"


def script(shown: Sequence[Panel]) -> str:
    """The data of all panels as a script: a page read from disk may run one, but may not load a file of data."""
    content = {"frequencies": gallery.FREQUENCIES, "panels": [one.data for one in shown]}
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"window.stylereproExplorer = {text};\n"


def page(shown: Sequence[Panel], missing: Sequence[Experiment], profile: str) -> str:
    """The explorer as MyST Markdown: the first setting, in whose place the script puts all, and what is missing yet."""
    blocks = ["## Settings", _first(shown[0].data)] if shown else []
    if missing:
        blocks.append("## Not here yet" if shown else "## Nothing here yet")
        blocks.append("These experiments can be looked through once there is a run with pictures of their settings:")
        blocks.append("\n".join(f"- {one.title}: `stylerepro run {one.name} --profile {profile}`" for one in missing))
    return "\n\n".join(blocks)


def _first(data: Mapping[str, Any]) -> str:
    """The first setting, for where no script runs."""
    setting = data["settings"][0]
    parts = zip(data["axes"], setting["at"], strict=True)
    told = ", ".join(f"{axis['name']} {axis['values'][place]}" for axis, place in parts)
    picture, spectrum, _ = (f"{data['pictures']}{name}" for name in setting["files"])
    numbers = zip(data["numbers"], setting["texts"], strict=True)
    lines = [
        "Without JavaScript, and in Jupyter Book 2, this page shows one setting of one experiment: "
        f"[{data['title']}]({data['chapter'].removesuffix('.html')}.ipynb), {told}.",
        _image(picture, f"{data['title']}: {told}", 320),
        _image(spectrum, f"Its amplitude spectrum: {told}", 160),
        "\n".join(["| number | value |", "|---|---|", *(_row(column, text) for column, text in numbers)]),
    ]
    return "\n\n".join(lines)


def _row(column: Mapping[str, str], text: str) -> str:
    unit = f" {column['unit']}" if column["unit"] else ""
    return f"| `{column['name']}`: {column['doc'].replace('|', '&#124;')} | {text}{unit} |"


def _image(path: str, alt: str, width: int) -> str:
    return f"```{{image}} {path}\n:alt: {alt}\n:width: {width}px\n```"
