"""Cells of an own notebook in the book: shown as JupyterLab shows them, or named, and the rest is built."""

import base64
import json
import shutil

import pytest
import small_book
from bs4 import BeautifulSoup

from stylerepro.book import building, cells
from stylerepro.errors import ResultsWarning

RED = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
PASTED = {"image.png": {"image/png": RED}}
PLOTLY = {"application/vnd.plotly.v1+json": {"data": []}, "text/html": "<div><script>draw()</script></div>"}
ORDINARY = [
    ("A ![red](photo.png), pasted ![image.png](attachment:image.png)", PASTED),
    ("$$\\begin{align}\na&=b\\\\\nc&=d\n\\end{align}$$\n\nand $\\newcommand{\\R}{\\mathbb{R}}x\\in\\R$", {}),
    ("[Rows](../results/reference/ran/metrics.csv), [text](../book/extend.md), [page](ran.ipynb), [here](#Four)", {}),
    ("## Two\n\n#### Four\n\n~~struck~~\n\n- [x] done", {}),
    ('<img src="photo.png" width="20"> and `![none](none.png)`\n\n<img src="attachment:image.png">', PASTED),
]
ODD = [
    ("![none](none.png)", "cell 2 (![none](none.png)): image file not readable: notebooks/none.png. There is no such"),
    ("[nowhere](no_such_page.md)", "cell 3 ([nowhere](no_such_page.md)): 'myst' cross-reference target not found"),
    ("$\\undefined{x}$", r"cell 4 ($\undefined{x}$): cannot read the formula"),
    ('<img src="none.png">', 'cell 5 (<img src="none.png">): image file not readable: none.png. There is no such'),
]


@pytest.fixture
def own(small_project, tmp_path, monkeypatch):
    """Add a notebook with these text cells, and a figure of plotly's, to a copy of the project; gives the copy."""
    root = tmp_path / "own"
    shutil.copytree(small_project, root, ignore=shutil.ignore_patterns("_build", "_generated"))
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    small_book.leave_out_the_api(monkeypatch)

    def add(texts, *outputs, name="mine"):
        path = root / f"notebooks/{name}.ipynb"
        small_book.write_notebook(path, "My own")
        small_book.write_sidecar(path.with_suffix(".yaml"), "My own", "own", [])
        content = json.loads(path.read_text())
        parameters = content["cells"].pop()
        for number, (text, attachments) in enumerate(texts):
            cell = {"id": f"own-{number}", "cell_type": "markdown", "metadata": {}, "source": text}
            content["cells"].append(cell | ({"attachments": attachments} if attachments else {}))
        drawn = [{"output_type": "display_data", "metadata": {}, "data": data} for data in outputs]
        code = {"id": "drawn", "cell_type": "code", "metadata": {}, "execution_count": 1, "source": "draw()"}
        content["cells"] += [code | {"outputs": drawn}, parameters]
        path.write_text(json.dumps(content))
        run = root / f"results/reference/{name}"
        shutil.copytree(root / "results/reference/ran", run)
        shutil.copy(path, run / "notebook.ipynb")
        record = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps(record | {"experiment": name}))
        (root / "notebooks/photo.png").write_bytes(base64.b64decode(RED))
        return root

    return add


def test_ordinary_cells_of_an_own_notebook_are_shown_as_jupyterlab_shows_them(own, tmp_path):
    own(ORDINARY, {"application/vnd.vega.v5+json": {}, "image/png": RED})
    first = building.build(tmp_path / "html")
    path = first.parent / "notebooks/mine.html"
    page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser").find("article")
    pictures = [image["src"] for image in page.find_all("img")]
    assert len(pictures) == 5
    assert sum(source == f"data:image/png;base64,{RED}" for source in pictures) == 2
    assert all((path.parent / source).is_file() for source in pictures if not source.startswith("data:"))
    assert len(page.find_all("mtable")) == 1
    assert "ℝ" in page.get_text()
    links = {link.get_text(): link["href"] for link in page.find_all("a") if link.get_text() != "#"}
    assert (path.parent / links["Rows"]).read_text().startswith("n,error")
    assert (links["text"], links["page"], links["here"]) == ("../extend.html", "ran.html", "#four")
    assert page.find("s").get_text() == "struck"
    assert "![none](none.png)" in page.get_text()


def test_what_a_page_cannot_show_is_named_with_its_cell_and_the_rest_of_the_book_is_built(own, tmp_path, monkeypatch):
    monkeypatch.setenv("CI", "true")  # where Sphinx would colour what is read of it
    root = own([(text, {}) for text, _ in ODD], PLOTLY)
    waiting = root / "notebooks/waiting.ipynb"
    waiting.write_text(waiting.read_text().replace("# An experiment that waits", "An experiment that waits"))
    with pytest.warns(ResultsWarning) as warned:
        first = building.build(tmp_path / "html")
    told = [str(warning.message) for warning in warned]
    for _, words in ODD:
        assert [line for line in told if line.startswith(f"notebooks/mine.ipynb, {words}")], words
    assert any("cell 6 (draw()): JupyterLab has a program to draw application/vnd.plotly" in one for one in told)
    assert any("waiting.ipynb must begin with a text cell" in one for one in told)
    assert len(told) == len(ODD) + 2
    pages = {path.stem: path.read_text(encoding="utf-8") for path in first.parent.rglob("*.html")}
    assert "which JupyterLab draws" in pages["mine"]
    assert r"<code>\undefined{x}</code>" in pages["mine"]
    assert "must begin with a text cell" in pages["waiting"]
    assert "what it printed" in pages["ran"]


def test_links_leave_the_project_by_no_path_and_code_is_left_alone(tmp_path, monkeypatch):
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    for path in (tmp_path / "secret.txt", root / "a b.csv", root / "README.md"):
        path.write_text("text")
    monkeypatch.setenv("STYLEREPRO_ROOT", str(root))
    notebook, copies = root / "notebooks/mine.ipynb", {}
    same = (
        "[s](../../secret.txt) [w](https://example.org/a.png) [m](mailto:a@b.c)\n`[c](../a%20b.csv)`\n"
        "```\n[c](../a%20b.csv)\n```\n[nothing](../none.csv) <img src='https://example.org/a.png'>"
    )
    assert cells.local(same, {}, notebook, copies) == same
    assert not copies
    told = cells.local('[c](<../a b.csv> "title") [r](../README.md#x) <a href="../a%20b.csv">', {}, notebook, copies)
    assert sorted(copies.values()) == [root / "README.md", root / "a b.csv"]
    table, text = sorted(copies, key=lambda name: name.endswith(".txt"))
    assert told == f'[c](../{table} "title") [r](../{text}) <a href="../{table}">'
    assert table.endswith("-a-b.csv")
    (root / "写真.png").write_text("picture")
    assert cells.local("![x](../写真.png)", {}, notebook, copies).isascii()
