"""What the theme and Sphinx write without a name or with a wrong one, mended in the pages for readers who hear them.

Sidebar toggles get a name, the sidebar becomes a landmark, a list of literature has items, the lines of a long
signature are no list of definitions, and an output that is wider than the page scrolls by keyboard too. Replaced as
text: to parse the pages would take longer than to write them.
"""

import re
from pathlib import Path

from sphinx.application import Sphinx

_PLAIN = {
    '<summary><span class="toctree-toggle"': '<summary aria-label="Pages below"><span class="toctree-toggle"',
    '<div id="pst-primary-sidebar" ': '<div id="pst-primary-sidebar" role="navigation" aria-label="Book" ',
    ' role="doc-biblioentry"': ' role="listitem"',
}
_OUTPUT = '<div class="cell_output docutils container">'
_REACHED = """<script>
for (const output of document.querySelectorAll(".cell_output"))
  new ResizeObserver(() => {
    if (output.scrollWidth > output.clientWidth) output.tabIndex = 0;
    else output.removeAttribute("tabindex");
  }).observe(output);
</script>
</body>"""
_SIGNATURE = re.compile(r'<dl>\s*((?:<dd><em class="sig-param">.*?</dd>\s*)+)</dl>', re.DOTALL)


def mended(page: str) -> str:
    """Return the HTML of a page with names and roles that hold."""
    for old, new in _PLAIN.items():
        page = page.replace(old, new)
    if _OUTPUT in page and _REACHED not in page:
        page = page.replace("</body>", _REACHED)
    return _SIGNATURE.sub(lambda found: _lines(found[1]), page)


def _lines(entries: str) -> str:
    return entries.replace("<dd>", '<span class="sig-line">').replace("</dd>", "</span>")


def mend(app: Sphinx, exception: Exception | None) -> None:
    """Mend the pages of a book that was built."""
    if exception is None:
        for path in Path(app.outdir).rglob("*.html"):
            page = path.read_text(encoding="utf-8")
            if (better := mended(page)) != page:
                path.write_text(better, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", mend)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
