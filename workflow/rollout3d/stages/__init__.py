"""The command line: one thin file per rule. `rollout3d NAME ...` is `python -m rollout3d.stages.NAME ...`.

A name's underscores may be hyphens: `rollout3d ingest-meta`.
"""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

from rollout3d import resources
from rollout3d.config.names import unknown
from rollout3d.provenance import commit
from rollout3d.stages import registry

TOOLS = {
    "Before a study": ("inventory", "check_scan", "ask", "plan", "preflight"),
    "While it runs, and afterwards": ("watch", "summary", "compare", "growth", "show", "view", "export", "publish"),
    "What is current": ("status", "lineage", "store", "forget", "adopt"),
    "Published boxes": ("ingest_meta", "audit"),
}
"""Heading -> commands that people type; all others are stages, listed in the order of the registry."""


def main(argv: list[str] | None = None) -> None:
    """Entry point of the console script `rollout3d`."""
    given = sys.argv[1:] if argv is None else argv
    if not given or given[0] in ("-h", "--help"):
        print(overview(), file=sys.stdout if given else sys.stderr)
        raise SystemExit(0 if given else 2)
    if given[0] == "--version":
        print(f"rollout3d {release()}")
        return
    name, names = given[0].replace("-", "_"), commands()
    if name not in names:
        problem = unknown(given[0], [_typed(each) for each in names], "a command of rollout3d")
        print(f"error: {problem}\n`rollout3d --help` lists all of them", file=sys.stderr)
        raise SystemExit(2)
    importlib.import_module(f"rollout3d.stages.{name}").main(given[1:])


def commands() -> list[str]:
    """Return the names of all commands, stages in the order of the pipeline."""
    own = {file.stem for file in Path(__file__).parent.glob("*.py")}  # another package may have registered stages too
    return [name for name in registry.STAGES if name in own]


def overview() -> str:
    """Return the text of `rollout3d --help`: a line per command, read from the files without importing them."""
    tools = {name for names in TOOLS.values() for name in names}
    stages = tuple(name for name in commands() if name not in tools)
    width = max(len(name) for name in commands()) + 2
    lines = ["usage: rollout3d COMMAND [arguments]    (rollout3d COMMAND --help, rollout3d --version)"]
    for heading, names in {"Stages, in the order in which Snakemake runs them": stages, **TOOLS}.items():
        lines += ["", f"{heading}:", *(f"  {_typed(name):{width}}{about(name)}" for name in names)]
    return "\n".join(lines)


def about(name: str) -> str:
    """Return the first line of the docstring of a command's module."""
    text = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]


def release() -> str:
    """Return the version of the package; in a clone with its commit, and `+` where files differ from it."""
    number, made = resources.version() or "of unknown version", commit()
    return f"{number} ({made})" if made else number


def _typed(name: str) -> str:
    return name.replace("_", "-")
