"""Settings of the documentation site, whose source is the root of the repository; ``make docs`` builds it."""

import re
import sys
import tarfile
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from bogc import __version__  # noqa: E402
from bogc.data.archives import Archive, fetch, npm_pack  # noqa: E402

project = "bogc"
author = "The bogc authors"
copyright = author
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
root_doc = "docs/site/index"
include_patterns = [
    "*.md", "docs/*.md", "docs/site/*.md", "docs/site/api/*.md", "notebooks/*.ipynb", "paper_repro/*.md",
    "paper_repro/*/README.md", "theory/*.md",
]  # fmt: skip
exclude_patterns = [".venv", ".git", ".hypothesis", "runs", "tests", "bogc", "build"]

html_theme = "furo"
html_title = "bogc"
html_static_path = ["static", "static_fetched"]
html_extra_path = ["extra"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # shown as stored; `make notebooks` runs them
nb_merge_streams = True
mathjax_path = "tex-svg.js"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

MATHJAX = Archive(
    package="mathjax",
    version="3.2.2",
    filename="mathjax-3.2.2.tgz",
    sha256="1b9c0a1c44df864e915690558e72adb9cc5203360daefd385084ced3b6c64c09",
)
COLON = "\ue000"  # stands for one until napoleon is done
PACKAGES = (
    "bogc.methods",
    "bogc.gradients",
    "bogc.posterior",
    "bogc.belief",
    "bogc.combination",
    "bogc.calibration",
    "bogc.models",
    "bogc.data",
    "bogc.training",
    "bogc.distributed",
    "bogc.errors",
)


def fetch_mathjax() -> None:
    """Put MathJax where the pages look for it: one file, fetched by npm once and kept in bogc's cache."""
    target = Path(__file__).parent / "static_fetched" / "tex-svg.js"
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        with tarfile.open(fetch(MATHJAX, download=npm_pack)) as archive:
            file = archive.extractfile("package/es5/tex-svg.js")
            assert file is not None
            target.write_bytes(file.read())


def write_api_pages() -> None:
    """Write a page for each package, of the names that it offers."""
    folder = Path(__file__).parent / "api"
    folder.mkdir(exist_ok=True)
    for name in PACKAGES:
        offered = "   :imported-members:\n" if hasattr(import_module(name), "__all__") else ""
        page = f"# {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n{offered}```\n"
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != page:
            path.write_text(page, encoding="utf-8")


def keep_displays(app: Any, doctree: nodes.document) -> None:
    """Leave displays as they are written: Sphinx would wrap those of several lines, which forbids a tag."""
    for block in doctree.findall(nodes.math_block):
        if not block.get("no-wrap"):
            text = block.astext()
            block.clear()
            block.append(nodes.Text(rf"\[{text}\]"))
            block["no-wrap"] = block["nowrap"] = True


def hide_colon(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking what stands before a colon for the type of an attribute."""
    if kind in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(":", COLON)


def escape_shapes(app: Any, kind: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Take stars of shapes and bars of absolute values as they are, not as markup."""
    marked = re.compile(r"(?<![\\*])\*(?=[\w#])|\|")
    pieces = [re.split("(``.*?``)", line.replace(COLON, ":")) for line in lines]  # what is within is literal
    lines[:] = [
        "".join(p if p.startswith("``") else marked.sub(lambda found: "\\" + found.group(), p) for p in parts)
        for parts in pieces
    ]


def give_title(app: Any, name: str, source: list[str]) -> None:
    """Put a title above the tables that `bogc compare` writes, which have none."""
    if name.endswith("_table"):
        data = name.rpartition("/")[2].removesuffix("_table")
        source[0] = f"# In full: {data}\n\n{source[0]}"


def setup(app: Any) -> dict[str, bool]:
    """Prepare what is not in the repository, before files are looked for."""
    fetch_mathjax()
    write_api_pages()
    app.connect("autodoc-process-docstring", hide_colon, priority=100)
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)  # after napoleon
    app.connect("source-read", give_title)
    app.connect("doctree-read", keep_displays)
    return {"parallel_read_safe": True}
