"""The book's table of contents, once: as sphinx-external-toc reads it, and the same in the words of Jupyter Book 2."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml

from stylerepro.runs.experiments import Experiment

_OF = "experiments of "


def contents(text: str, entries: Sequence[Experiment], generated: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """`_toc.yml` with the generated pages in their places; a part that is left without chapters goes.

    `sections: experiments of 003` becomes a page for each experiment of that document, `chapters: experiments` one for
    each experiment that has no place yet, and `sections: NAME` the pages that `generated` lists under that name.
    """
    toc: dict[str, Any] = yaml.safe_load(text)
    placed: set[str] = set()
    for page in (page for part in toc["parts"] if isinstance(part["chapters"], list) for page in part["chapters"]):
        wanted = page.get("sections")
        if not isinstance(wanted, str):
            continue
        if wanted.startswith(_OF):
            mine = [one.name for one in entries if one.document == wanted.removeprefix(_OF)]
            placed |= set(mine)
            files = [f"notebooks/{name}" for name in mine]
        else:
            files = list(generated.get(wanted, ()))
        page["sections"] = [{"file": file} for file in files]
        if not files:
            del page["sections"]
    for part in toc["parts"]:
        if part["chapters"] == "experiments":
            part["chapters"] = [{"file": f"notebooks/{one.name}"} for one in entries if one.name not in placed]
    toc["parts"] = [part for part in toc["parts"] if part["chapters"]]
    return toc


def myst(toc: Mapping[str, Any], files: Collection[str]) -> dict[str, Any]:
    """The same contents for Jupyter Book 2, which reads no reStructuredText. files: paths of all sources."""

    def page(one: Mapping[str, Any]) -> dict[str, Any]:
        name = one["file"]
        found: dict[str, Any] = {"file": f"{name}.md" if f"{name}.md" in files else f"{name}.ipynb"}
        if one.get("sections"):
            found["children"] = [page(section) for section in one["sections"] if f"{section['file']}.rst" not in files]
        return found

    parts = [{"title": part["caption"], "children": [page(one) for one in part["chapters"]]} for part in toc["parts"]]
    project = {
        "title": "stylerepro",
        "bibliography": [name for name in files if name.endswith(".bib")],
        "toc": [page({"file": toc["root"]}), *parts],
    }
    return {"version": 1, "project": project, "site": {"template": "book-theme"}}
