"""Formulas as MathML, which every current browser draws by itself: no script to load, none to ship.

Docutils has the translator; this hands it to Sphinx as a math renderer. A formula that it cannot read is a warning,
and so ends the build.
"""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)

# TeX takes one digit as an argument, docutils a whole number: it would read \frac12 x as twelve over x.
_BARE_FRACTION = re.compile(r"(\\[dt]?frac)\s*(\d)\s*(\w)")


def translate(node: nodes.Element, as_block: bool) -> str:
    try:
        formula = _BARE_FRACTION.sub(r"\1{\2}{\3}", node.astext().strip())
        return latex2mathml.tex2mathml(formula, as_block=as_block)
    except MathError as error:
        logger.warning("cannot read the formula %r: %s", node.astext(), error, location=node)
        return ""


def visit_inline(self: Any, node: nodes.Element) -> None:
    self.body.append(translate(node, as_block=False))
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.Element) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    self.body.append(translate(node, as_block=True))
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
