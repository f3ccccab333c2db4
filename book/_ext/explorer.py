"""The data of the explorer, loaded by its page with its script and style, and by the first page for its comparison."""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

PAGE = "explorer"
DATA = "explorer/data.js"


def add_files(app: Sphinx, page: str, template: str, context: dict[str, Any], document: nodes.document | None) -> None:
    """Without data, since no run has a gallery, the page is an ordinary one."""
    if page not in (PAGE, "index") or not (Path(app.srcdir) / "_static" / DATA).is_file():
        return
    if page == "index":
        for name in (DATA, "compare.js"):
            app.add_js_file(name, priority=900, loading_method="defer")
    else:
        app.add_css_file("explorer.css")
        # Behind what makes tables sortable: it is for the page as written, not for what the explorer puts in its place.
        for name in (DATA, "charts.js", "explorer.js"):
            app.add_js_file(name, priority=900, loading_method="defer")
        # One picture wide, with no second list of contents beside it.
        context["meta"] = {**(context.get("meta") or {}), "html_theme.sidebar_secondary.remove": "true"}


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("html-page-context", add_files, priority=400)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
