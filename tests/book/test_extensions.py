"""What a build does to tables, figures and formulas before a browser sees them: a script of a module, cells, words."""

import importlib.util
import inspect
import re
from pathlib import Path

import itables
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from docutils import nodes


def extension(name):
    """A module of the book's `_ext`, which Sphinx alone imports by name."""
    path = Path(__file__).resolve().parents[2] / "book" / "_ext" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"book_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


docstrings, mathml, tables = map(extension, ("docstrings", "mathml", "tables"))


@pytest.mark.parametrize("formula", [r"\tfrac12\sum x", r"\tfrac 1 2 \sum x", r"\tfrac{1}{2}\sum x"])
def test_a_fraction_takes_one_digit_each_as_tex_has_it(formula):
    """Docutils alone reads the first as twelve over a sum."""
    made = mathml.translate(nodes.math("", formula), as_block=False)
    assert re.sub(r"\s", "", made.split("<mfrac")[1].split("</mfrac>")[0]).endswith("<mn>1</mn><mn>2</mn>")


def test_a_docstring_becomes_lists_and_code_and_its_signs_stay_signs():
    def thing(size, width, height):
        r"""Return |d| of *x* and y_ with `code_|*` and many `Result`s.

        size: one
        two
        width, height: three
        Raises nothing. Kinds:
        - sum: four
          five

            code = "|"
        """

    lines = inspect.getdoc(thing).splitlines()
    docstrings.as_restructured_text(None, "function", "thing", thing, None, lines)
    told = "\n".join(lines).strip()
    assert told.startswith(r"Return \|d\| of \*x\* and y\_ with `code_|*` and many `Result`\ s.")
    listed = "- ``size``: one\n  two\n- ``width, height``: three\n\nRaises nothing. Kinds:\n\n- sum: four\n  five\n"
    assert f"\n\n{listed}" in told
    assert told.endswith('::\n\n    code = "|"')


def texts(html):
    """The rows of a table: a list of (text, class names) a row, heads first."""
    soup = BeautifulSoup(html, "html.parser")
    return [[cell.get_text().strip() for cell in row.find_all(["th", "td"])] for row in soup.find_all("tr")]


def test_a_module_becomes_a_script_and_keeps_its_text_as_the_installed_bundle_does():
    script = tables.as_script("var a=1,b=2;export{a as One,b as default};\n// end", "Two")
    assert "export" not in script
    assert script.startswith("(function () {")
    assert "var a=1,b=2;" in script
    assert "window.Two = b;" in script
    bundle = Path(itables.__file__).parent / "html" / "dt_bundle.js"
    assert re.search(r"window\.Two = [\w$]+;", tables.as_script(bundle.read_text(encoding="utf-8"), "Two"))


@pytest.mark.parametrize(
    "module",
    ["var a=1;", "export{a as One};", "export{a as default};export{b as B};", 'import{x}from"y";export{x as default}'],
)  # fmt: skip
def test_another_kind_of_module_is_refused(module):
    with pytest.raises(ValueError, match="expected"):
        tables.as_script(module, "Two")


def test_labels_of_rows_are_repeated_and_blank_header_cells_gone():
    index = pd.MultiIndex.from_product([["b", "a"], [1, 2]], names=["group", "n"])
    frame = pd.DataFrame({"x": [1, 2, 3, 4], "y": [5, 6, 7, 8]}, index=index)
    for html in (frame.style.to_html(), frame.to_html()):
        tidied = tables.tidied(html)
        assert texts(tidied)[0] == ["group", "n", "x", "y"]
        assert [row[:2] for row in texts(tidied)[1:]] == [["b", "1"], ["b", "2"], ["a", "1"], ["a", "2"]]
        assert "rowspan" not in tidied
        assert tidied.count("repeated") == 2
        assert texts(tables.tidied(tidied)) == texts(tidied)


def test_a_header_of_two_levels_keeps_the_label_above_several_columns():
    columns = pd.MultiIndex.from_tuples([("error", "mean"), ("error", "max"), ("time", "")], names=["", ""])
    frame = pd.DataFrame([[1, 2, 3]], index=pd.Index(["r"], name="reading"), columns=columns)
    soup = BeautifulSoup(tables.tidied(frame.style.to_html()), "html.parser")
    heads = [[(th.get_text().strip(), th.get("colspan"), th.get("rowspan")) for th in row.find_all("th")]
             for row in soup.thead.find_all("tr")]  # fmt: skip
    assert heads == [
        [("reading", None, "2"), ("error", "2", None), ("time", None, "2")],
        [("mean", None, None), ("max", None, None)],
    ]


def test_ids_stay_unique_and_colours_of_cells_with_their_cell():
    index = pd.MultiIndex.from_product([["b"], [1, 2]])
    styled = pd.DataFrame({"x": [1, 2]}, index=index).style.map(lambda x: "background: #fff" if x == 2 else None)
    soup = BeautifulSoup(tables.tidied(styled.to_html()), "html.parser")
    ids = [one["id"] for one in soup.find_all(id=True)]
    assert len(ids) == len(set(ids))
    coloured = re.search(r"#(\S+) \{\s*background: #fff", soup.style.get_text())[1]
    assert soup.find(id=coloured).get_text() == "2"


def test_a_table_that_does_not_add_up_stays_as_it_is():
    uneven = "<table><tbody><tr><td rowspan='2'>a</td><td>b</td></tr><tr></tr></tbody></table>"
    assert texts(tables.tidied(uneven)) == [["a", "b"], []]
    assert 'rowspan="2"' in tables.tidied(uneven)


@pytest.mark.parametrize(
    ("formula", "same"),
    [
        (r"\begin{align}a&=b\\c&=d\end{align}", r"\begin{aligned}a&=b\\c&=d\end{aligned}"),
        (r"\begin{eqnarray*}a&=&b\end{eqnarray*}", r"\begin{aligned}a&=&b\end{aligned}"),
        (r"\begin{equation}\label{a} a\nonumber\end{equation}", "a"),
        (r"a=b\\c=d", r"\begin{aligned}a=b\\c=d\end{aligned}"),
        (r"\begin{array}{c|c}a&b\end{array}", r"\begin{matrix}a&b\end{matrix}"),
        (r"\bm{x}\stackrel{d}{=}\bm y", r"\boldsymbol{x}\overset{d}{=}\boldsymbol y"),
    ],
)
def test_what_mathjax_knows_is_said_in_words_that_docutils_knows(formula, same):
    made, wanted = (mathml.translate(nodes.math("", text), as_block=True) for text in (formula, same))
    assert made == wanted
    assert made.startswith("<math")


def test_commands_of_one_s_own_count_from_where_a_page_defines_them():
    page = nodes.section()
    for text in (r"\newcommand{\R}{\mathbb{R}} \def\norm#1{\|#1\|}", r"x\in\R^{\n}, \norm{x}, \norm\R, \norm y",
                 r"\DeclareMathOperator*{\argmin}{arg\,min}\newcommand\p[2]{#2_{#1}}", r"\argmin \p{a}{\R}",
                 r"\newcommand{\loop}{\loop}"):  # fmt: skip
        page += nodes.math("", text)
    mathml.own_commands(None, page)
    told = [node.astext() for node in page.findall(nodes.math)]
    assert told[0] == r"x\in{\mathbb{R}}^{\n}, {\|x\|}, {\|{\mathbb{R}}\|}, {\|y\|}"
    assert told[1:] == [r"{\operatorname{arg\,min}} {{\mathbb{R}}_{a}}"]


def test_a_formula_that_cannot_be_read_stands_on_its_page_as_tex():
    assert mathml.translate(nodes.math("", r"\nothing{<x>}"), as_block=False) == r"<code>\nothing{&lt;x&gt;}</code>"
