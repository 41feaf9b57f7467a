"""The site of documents and docstrings: `make docs` builds it with Sphinx into docs/_build/html; warnings are errors.

Sources are the Markdown files of the repository where they lie, so that their links work on GitHub and on the site.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

project = "rollout3d"
author = "the authors of rollout3d"
release = version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.apidoc", "sphinx_copybutton", "sphinxcontrib.mermaid"]
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "config/README.md",
    "tests/README.md",
    "workflow/toyworld/README.md",
    "resources/reference/README.md",
    "resources/tiny_qwen/README.md",
    "docs/*.md",
    "docs/decisions/*.md",
    "docs/study/*.md",
    "docs/api/*/*.rst",
]
exclude_patterns = ["docs/_build", "docs/tiny_qwen_card.md"]  # the second: a template
html_theme = "furo"
html_title = f"rollout3d {release}"

myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]

# Docstrings: single backticks are code, types stand in the signatures.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "undoc-members": True, "show-inheritance": True}
apidoc_modules = [
    {
        "path": str(ROOT / "workflow" / package),
        "destination": f"docs/api/{package}",
        "separate_modules": False,
        "max_depth": 2,
        "include_private": False,
        "no_headings": False,
        "module_first": True,
        "implicit_namespaces": False,
    }
    for package in ("rollout3d", "toyworld")
]

# Types of signatures name classes that several modules have, such as `Video`: the link is left out then.
suppress_warnings = ["ref.python"]

_LIST = re.compile(r"\s*([-*]|\d+\.)\s")


def plain(app, what, name, obj, options, lines: list[str]) -> None:
    """Let a docstring be plain text: bars and stars are no markup, and an indented part is a paragraph of its own."""
    parts = "\n".join(lines).split("`")
    for i, part in enumerate(parts):
        if i % 2:
            parts[i] = " ".join(part.split("\n"))
        else:
            escaped = re.sub(r"([|*\\]|(?<=\w)_(?!\w))", r"\\\1", part)
            parts[i] = f"\\ {escaped}" if i and escaped[:1].isalnum() else escaped
    text = "`".join(parts)
    out: list[str] = []
    for line in text.split("\n"):
        before = next((given for given in reversed(out) if given.strip()), "")
        indent, above = (len(given) - len(given.lstrip()) for given in (line, before))
        begins = _LIST.match(line) or (indent != above and not _LIST.match(before))
        if line.strip() and out and out[-1].strip() and begins:
            out.append("")
        out.append(line)
    lines[:] = [*out, ""]


def setup(app) -> None:
    """Register `plain`."""
    app.connect("autodoc-process-docstring", plain)
