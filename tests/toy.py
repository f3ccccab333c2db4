"""A small project of its own for tests: notebooks that count, wait or fail, far from any network."""

from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
PARAMETERS = """\
gammas: list[float] = [0.0, 10.0]  # weights of the term, total = content + gamma · tv
size: int = 8  # pixels
# how fine,
# in words
reading: str = "raw"
rate: float | None = None  # step
strict: bool = False
seed: int = 0  # of everything random
out: str = ""  # where to write; empty for a new folder"""
BODY = """\
table = pd.DataFrame({"gamma": run.parameters["gammas"]})
table["value"] = [gamma / 3 + run.parameters["size"] for gamma in table.gamma]
table["name"] = run.parameters["reading"]
run.save(metrics=table)"""
# Four parts, of which each says that it is computed; the third waits for a file `go`.
PARTS = """\
root = os.environ["STYLEREPRO_ROOT"]
def slow(i):
    with open(os.path.join(root, "calls.txt"), "a") as stream:
        stream.write(f"{i}\\n")
    while i == 2 and not os.path.exists(os.environ.get("GO", os.path.join(root, "go"))):
        time.sleep(0.1)
    return {"value": i / 3}
table = pd.DataFrame([run.part(f"part {i}", lambda i=i: slow(i)) for i in range(4)])
run.save(metrics=table.assign(gamma=1.0, name="-"))"""
SIDECAR = """\
title: A toy
document: "003"
claims: ["003.1"]
expected: {hardware: two cores, smoke: 1 s, laptop: 2 min}
columns:
  gamma: {type: float, unit: "1", doc: weight}
  value: {type: float}
  name: {type: str}
profiles:
  smoke: {gammas: [0], size: 4}
  laptop: {}
  reference: {gammas: [0, 10, 100]}
"""
IMPORTS = "import os\nimport time\nimport pandas as pd\nfrom stylerepro.runs import results"


def add(root: Path, name: str, body: str = BODY, sidecar: str = SIDECAR, parameters: str = PARAMETERS) -> Path:
    """Add an experiment to the project at `root`; returns its notebook."""
    cells = [
        new_markdown_cell(f"# {name}"),
        new_code_cell(IMPORTS),
        new_code_cell(parameters, metadata={"tags": ["parameters"]}),
        new_code_cell(f"run = results.begin({name!r}, globals())"),
        new_code_cell(body),
    ]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}})
    path = root / "notebooks" / f"{name}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    path.with_suffix(".yaml").write_text(sidecar, encoding="utf-8")
    return path


def namespace(**changes: object) -> dict[str, object]:
    """What a notebook's globals hold behind the parameters cell."""
    cell: dict[str, object] = {}
    exec(PARAMETERS, cell)
    return cell | changes


def save(name: str = "toy", **changes: object) -> Path:
    """Make a run by hand of the cells as `add` wrote them, without a kernel; returns its folder."""
    from stylerepro.files import runs_root
    from stylerepro.runs import record, results

    run = results.begin(name, namespace(**changes))
    exec(BODY, {"pd": pd, "run": run})
    return runs_root() / name / record.run_name(record.MANUAL, run.parameters)


def finish(task: Any, **changes: object) -> Path:
    """Make the finished run of a task, without a kernel; returns its folder."""
    from stylerepro.runs import execution, record

    experiment, parameters, fingerprint = execution.resolved(task)
    folder = task.folder
    (folder / "figures").mkdir(parents=True)
    made = record.new_record(experiment, parameters, task.label, fingerprint, manual=False)
    record.write_record(folder, made | {"status": "completed", "seconds": 3.0} | changes)
    for name, text in (("metrics.csv", "gamma,value,name\n"), ("notebook.ipynb", "{}"), ("figures/a.webp", "")):
        (folder / name).write_text(text)
    return folder
