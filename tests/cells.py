"""A notebook's cells, run in the test's own process: no kernel, no imports of their own to wait for."""

import ast
import warnings

from matplotlib import pyplot as plt

from stylerepro.runs import experiments


def executed(name, until="", **changes):
    """What a notebook's cells have made of its smoke values, but for `changes`, up to the cell that holds `until`.

    What a cell shows is made ready to be shown, tables in the page's form too.
    """
    experiment = experiments.load(name)
    given = experiments.resolve_parameters(experiment, "smoke", changes)
    space = {"_shown": shown}
    with warnings.catch_warnings(action="ignore"):  # as in a kernel, where they stand on the page
        for source, tags in experiments.code_cells(experiment.notebook):
            exec(compile(last_shown(source), f"{name}.ipynb", "exec"), space)
            if "parameters" in tags:
                space |= given
            if "results.begin(" in source:
                space["display"] = shown
            if until and until in source:
                break
    plt.close("all")
    return space


def last_shown(source):
    tree = ast.parse(source)
    if isinstance(last := tree.body[-1], ast.Expr):
        last.value = ast.Call(ast.Name("_shown", ast.Load()), [last.value], [])
    return ast.fix_missing_locations(tree)


def shown(value):
    for form in ("_repr_html_", "_repr_markdown_"):
        if hasattr(value, form):
            return getattr(value, form)()
    return None
