"""Formulas as MathML, which every current browser draws by itself: no script to load, none to ship.

Docutils has the translator; this hands it to Sphinx as a math renderer, and what JupyterLab's MathJax knows besides it
brings into docutils' words: aligned equations, and commands of one's own. A formula that cannot be read is a warning,
and stands on its page as TeX.
"""

import html
import re
from typing import Any

from docutils import nodes
from docutils.utils.math import latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

# TeX takes one digit as an argument, docutils a whole number: it would read \frac12 x as twelve over x.
_BARE_FRACTION = re.compile(r"(\\[dt]?frac)\s*(\d)\s*(\w)")
_ALIGNED = re.compile(
    r"\\(begin|end)\{(?:align(?:at)?|eqnarray|gather|multline|split|gathered|flalign)\*?\}(?:\{\d+\})?"
)
_PLAINER = {
    r"\\(?:begin|end)\{(?:equation|displaymath)\*?\}": "",
    r"\\(?:label\{[^{}]*\}|nonumber|notag)(?![A-Za-z])": "",
    r"\\begin\{array\}\s*\{[lcr|\s]*\}": r"\\begin{matrix}",
    r"\\end\{array\}": r"\\end{matrix}",
    r"\\tag\*?\{([^{}]*)\}": r"\\qquad(\\text{\1})",
    r"\\bm(?![A-Za-z])": r"\\boldsymbol",
    r"\\stackrel(?![A-Za-z])": r"\\overset",
}
_DEFINED = re.compile(
    r"\\(?:(?:re|provide)?newcommand|(?:re|provide)command|def|DeclareMathOperator)\*?\s*\{?(\\[A-Za-z]+)\}?"
    r"\s*(?:\[(\d)\])?(?:#\d)*\s*(?=\{)"
)
_MOST = 1000  # commands that one formula may have replaced: one that names itself has no end

Commands = dict[str, tuple[int, str]]


def plainer(formula: str) -> str:
    """The formula in words that docutils knows."""
    for pattern, words in _PLAINER.items():
        formula = re.sub(pattern, words, formula)
    formula = _BARE_FRACTION.sub(r"\1{\2}{\3}", _ALIGNED.sub(r"\\\1{aligned}", formula).strip())
    return rf"\begin{{aligned}}{formula}\end{{aligned}}" if r"\\" in formula and r"\begin" not in formula else formula


def own_commands(app: Sphinx, document: nodes.document) -> None:
    """Put what they stand for in the place of commands that a page defines, from where it does so."""
    commands: Commands = {}
    for node in list(document.findall(lambda node: isinstance(node, (nodes.math, nodes.math_block)))):
        formula = node.astext()
        if commands or _DEFINED.search(formula):
            formula = replaced(defined(formula, commands), commands)
            node.children, node.rawsource = [nodes.Text(formula)], formula
            if not formula.strip() and node.parent:
                node.parent.remove(node)


def defined(formula: str, commands: Commands) -> str:
    """The formula without the definitions in it, which go into `commands`: name to number of arguments and meaning."""
    while found := _DEFINED.search(formula):
        meaning, end = _group(formula, found.end())
        if "DeclareMathOperator" in found[0]:
            meaning = rf"\operatorname{{{meaning}}}"
        count = int(found[2] or len(re.findall(r"#\d", found[0])))
        commands[found[1]] = (count, meaning)
        formula = formula[: found.start()] + formula[end:]
    return formula


def replaced(formula: str, commands: Commands) -> str:
    """The formula with what commands stand for in their places."""
    for _ in range(_MOST):
        found = next((found for found in re.finditer(r"\\[A-Za-z]+", formula) if found[0] in commands), None)
        if found is None:
            break
        (count, meaning), end = commands[found[0]], found.end()
        for place in range(1, count + 1):
            argument, end = _group(formula, end)
            meaning = meaning.replace(f"#{place}", argument)
        # Apart from a letter behind it; within braces a command may be another's argument.
        formula = f"{formula[: found.start()]}{{{meaning}}}{formula[end:]}"
    return formula


def _group(formula: str, start: int) -> tuple[str, int]:
    """What stands in braces at `start`, or the one sign there, and where it ends."""
    start += len(formula[start:]) - len(formula[start:].lstrip())
    if formula[start : start + 1] != "{":
        sign = re.match(r"\\[A-Za-z]+|\\?.|", formula[start:], re.S)
        return sign[0], start + len(sign[0])
    depth = 0
    for found in re.finditer(r"\\.|[{}]", formula[start:], re.S):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth:
            return formula[start + 1 : start + found.start()], start + found.end()
    return formula[start + 1 :], len(formula)


def translate(node: nodes.Element, as_block: bool) -> str:
    try:
        return latex2mathml.tex2mathml(plainer(node.astext()), as_block=as_block)
    except Exception as error:  # MathError, and whatever its parser meets in what it does not expect
        logger.warning("cannot read the formula %r: %s", node.astext(), error, location=node)
        return f"<code>{html.escape(node.astext())}</code>"


def visit_inline(self: Any, node: nodes.Element) -> None:
    self.body.append(translate(node, as_block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(translate(node, as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", own_commands)
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
