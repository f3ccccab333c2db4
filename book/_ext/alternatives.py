"""Every picture has an alternative text: one from a notebook's output has it from the metadata of its cell.

`stylerepro.book.alternatives` writes it there. A picture without one is a warning, and so ends the build.
"""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

logger = logging.getLogger(__name__)


def add_texts(app: Sphinx, document: nodes.document) -> None:
    for cell in _containers(document, "cell_code"):
        shown = [one for one in _containers(cell, "mime_bundle") if any(one.findall(nodes.image))]
        for output, text in zip(shown, cell["cell_metadata"].get("alternatives", []), strict=False):
            for image in output.findall(nodes.image):
                image["alt"] = text
    for image in document.findall(nodes.image):
        if not image.get("alt", "").strip():
            logger.warning("no alternative text says what the picture %s shows", image["uri"], location=image)


def _containers(root: nodes.Element, kind: str) -> list[nodes.container]:
    return [node for node in root.findall(nodes.container) if node.get("nb_element") == kind]


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("doctree-read", add_texts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
