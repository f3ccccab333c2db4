"""Where the project stands on GitHub: one setting, from which the links to Binder and Colab and all they need follow.

The setting is `repository` under `[tool.stylerepro]` in pyproject.toml; `stylerepro online ADDRESS` writes it. Binder
makes its environment from environment.yml. Colab opens a notebook alone, without the project: each notebook is given a
cell that fetches it, which does nothing elsewhere, is not shown in the book and makes no run stale.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stylerepro.errors import RunError
from stylerepro.files import project_root, write_text
from stylerepro.runs.experiments import names
from stylerepro.runs.fingerprint import COLAB_TAG

BRANCH = "main"
_GITHUB = re.compile(
    r"(?:https?://)?(?:www\.)?github\.com/(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?(?:/tree/(?P<branch>[\w./-]+?))?/?"
)
_CELL = """\
# In Google Colab this fetches the project and what it needs; anywhere else it does nothing.
import sys

if "google.colab" in sys.modules:
    !test -d {name} || git clone --quiet --depth 1 --branch {branch} {clone}
    %run {name}/stylerepro/cli/colab.py"""


@dataclass(frozen=True)
class Repository:
    """A repository on GitHub, and the branch of it that is shown."""

    owner: str
    name: str
    branch: str = BRANCH

    @property
    def address(self) -> str:
        """As it is written in pyproject.toml: the branch is named where it is not `main`."""
        return f"{self.clone}/tree/{self.branch}" if self.branch != BRANCH else self.clone

    @property
    def clone(self) -> str:
        return f"https://github.com/{self.owner}/{self.name}"

    def binder(self, experiment: str) -> str:
        """The address at which Binder opens the notebook, in JupyterLab."""
        branch = self.branch.replace("/", "%2F")
        return f"https://mybinder.org/v2/gh/{self.owner}/{self.name}/{branch}?urlpath=lab/tree/notebooks/{experiment}.ipynb"

    def colab(self, experiment: str) -> str:
        """The address at which Colab opens the notebook."""
        where = f"{self.owner}/{self.name}/blob/{self.branch}"
        return f"https://colab.research.google.com/github/{where}/notebooks/{experiment}.ipynb"

    @property
    def cell(self) -> str:
        """What a notebook needs at its head to run in Colab."""
        return _CELL.format(name=self.name, branch=self.branch, clone=self.clone)


def repository() -> Repository | None:
    """The project's place on GitHub; None where none is set.

    Raises `RunError` for a setting that is no address on GitHub.
    """
    address = _setting(_settings().read_text(encoding="utf-8")) if _settings().is_file() else None
    return parse(address) if address else None


def parse(address: str) -> Repository:
    """`https://github.com/OWNER/NAME`, with `/tree/BRANCH` or without. Raises `RunError` for anything else."""
    found = _GITHUB.fullmatch(address.strip())
    if not found:
        raise RunError(
            f"{address!r} is no repository on GitHub, from which Binder and Colab could open notebooks. Give it as "
            "https://github.com/OWNER/NAME, with /tree/BRANCH behind it for a branch other than main."
        )
    return Repository(found["owner"], found["name"], found["branch"] or BRANCH)


def put(address: str) -> list[Path]:
    """Make `address` the project's place: in pyproject.toml, and in a cell of each notebook. The files that changed.

    "" takes the place away again, and the cells with it. Raises `RunError` for anything that is no address on GitHub,
    for a pyproject.toml that cannot take it and for a notebook that cannot be read; nothing is written then.
    """
    place = parse(address) if address else None
    wanted = {_settings(): _with_setting(_settings().read_text(encoding="utf-8"), place)}
    for name in names():
        notebook = project_root() / "notebooks" / f"{name}.ipynb"
        try:
            wanted[notebook] = with_cell(notebook.read_text(encoding="utf-8"), place)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise RunError(
                f"{notebook.name} is not a readable notebook ({error}). Open it in JupyterLab and save it again."
            ) from error
    changed = [path for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    for path in changed:
        write_text(path, wanted[path])
    return changed


def with_cell(notebook: str, place: Repository | None) -> str:
    """A notebook's JSON with the cell for Colab behind its title, whatever cell for Colab it had; None: with none."""
    content = json.loads(notebook)
    before = content["cells"]
    cells = [cell for cell in before if COLAB_TAG not in cell["metadata"].get("tags", [])]
    if place:
        cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "outputs": []}
        cell["metadata"] = {"tags": [COLAB_TAG]}
        cell["source"] = place.cell.splitlines(keepends=True)
        if (content["nbformat"], content["nbformat_minor"]) >= (4, 5):
            cell["id"] = COLAB_TAG
        cells.insert(1, dict(sorted(cell.items())))
    if cells == before:
        return notebook
    content["cells"] = cells
    return f"{json.dumps(content, ensure_ascii=False, indent=1)}\n"


def links(experiment: str) -> Iterator[str]:
    """In MyST: where a notebook can be opened in a browser; nothing where the project has no place."""
    place = repository()
    if place:
        yield f"[Binder]({place.binder(experiment)})"
        yield f"[Google Colab]({place.colab(experiment)})"


def _settings() -> Path:
    return project_root() / "pyproject.toml"


def _with_setting(text: str, place: Repository | None) -> str:
    """pyproject.toml's text with the setting, and everything else as it was."""
    address = place.address if place else ""
    changed = re.sub(r'(?m)^repository = "[^"\n]*"', f'repository = "{address}"', text)
    if _setting(changed) != address:
        raise RunError(
            "pyproject.toml could not be changed. Write this into it by hand, below [tool.stylerepro]: "
            f'repository = "{address}"'
        )
    return changed


def _setting(text: str) -> str | None:
    return tomllib.loads(text).get("tool", {}).get("stylerepro", {}).get("repository")
