"""How Sphinx builds the book. `stylerepro book` copies this folder to `_generated/`, adds the pages, and builds there.

Nothing is executed here, and no page loads a script, style or font from elsewhere: the book reads the same offline.
"""

import sys
import tomllib
from pathlib import Path

from stylerepro.files import project_root

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "stylerepro"
author = "the stylerepro authors"
html_title = "stylerepro"
html_show_copyright = False
html_show_sphinx = False
language = "en"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_external_toc", "sphinxcontrib.bibtex"]
extensions += ["sphinx_copybutton", "docstrings", "mathml", "tables", "explorer", "accessible"]
exclude_patterns = ["_build", "_ext", "**/.ipynb_checkpoints"]
if tags.has("print"):  # noqa: F821  # Sphinx's own: the book on paper has no package, and nothing to play with
    exclude_patterns += ["api*", "api/**", "explorer.md"]
external_toc_path = "_toc.yml"
bibtex_bibfiles = ["documents.bib", "references.bib"]  # the first is generated from the ledger
bibtex_default_style = "unsrt"

# The notebooks were run by `stylerepro run`; the book shows what they gave.
nb_execution_mode = "off"
nb_output_stderr = "remove"  # progress bars
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_code_prompt_show = "The code"
nb_code_prompt_hide = "The code"
copybutton_selector = "div.cell_input pre, section > div.highlight pre"  # commands and code, not what they print
# JupyterLab takes \\begin{align} without dollars, and any heading below any other.
suppress_warnings = ["myst.header", "myst.strikethrough"]
myst_enable_extensions = ["attrs_block", "attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_enable_extensions += ["amsmath", "strikethrough", "tasklist"]
myst_heading_anchors = 6
myst_links_external_new_tab = False

# The API: signatures and docstrings of the package, as it is imported.
default_role = "code"  # what stands in single backticks
add_module_names = False
maximum_signature_line_length = 88
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "ignore-module-all": True, "no-value": True}

html_theme = "sphinx_book_theme"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_use_index = False
html_domain_indices = False
html_context = {"default_mode": "auto"}  # light or dark as the reader's system is
html_theme_options = {
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "show_navbar_depth": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "toc_title": "On this page",
    # Colours of code that everyone can read: at least 4.5:1 against their ground.
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "github-dark-high-contrast",
}

# Where pyproject.toml names the project's place on GitHub, pages of notebooks get buttons that open them in Binder and
# Colab: they lie in the book where they lie in the repository.
settings = project_root() / "pyproject.toml"
urls = tomllib.loads(settings.read_text(encoding="utf-8"))["project"].get("urls", {}) if settings.is_file() else {}
if "Repository" in urls:
    html_theme_options |= {
        "repository_url": urls["Repository"],
        "repository_branch": "main",
        "use_repository_button": True,
        "launch_buttons": {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        },
    }
