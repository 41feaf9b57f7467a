"""Doors: the kinds of things that a study chooses by name. One folder per kind, one file per thing.

A thing's name is the name of its file, so a new one is one new file. Names are listed without importing anything:
configuration, rules and command line receive them from here, and nothing repeats them. Files whose name begins with an
underscore are shared by the things of their folder. The `__init__.py` of a folder describes what its files must define,
and in docs/adding.md.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

PACKAGE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Door:
    """`key`: name of the kind, as `rollout3d.code` and error messages use it; `folder`: relative to the package."""

    key: str
    folder: str

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of all things of this kind, sorted."""
        files = (PACKAGE / self.folder).glob("*.py")
        return tuple(sorted(file.stem for file in files if not file.name.startswith("_")))

    def check(self, name: str) -> None:
        """Raise ValueError that lists the known names unless there is a thing of this name."""
        if name not in self.names:
            raise ValueError(f"unknown {self.key.replace('_', ' ')} '{name}': choose from {', '.join(self.names)}")

    def load(self, name: str) -> ModuleType:
        """Import the file of a thing. Raises ValueError that lists the known names."""
        self.check(name)
        return import_module(f"{PACKAGE.name}.{self.folder.replace('/', '.')}.{name}")

    def declaring(self, constant: str) -> dict[str, Any]:
        """Return the literals that files of this folder assign to a name at module level, by name of the thing."""
        found = {name: self.constant(name, constant, None) for name in self.names}
        return {name: value for name, value in found.items() if value is not None}

    def constant(self, name: str, constant: str, default: Any) -> Any:
        """Return a literal that a thing's file assigns at module level (`KEYS = (...)`), without importing the file.

        `default` if the file assigns no such name. Raises ValueError for an unknown thing, and for a value that is no
        literal of Python.
        """
        self.check(name)
        return literal(PACKAGE / self.folder / f"{name}.py", constant, default)


def literal(path: Path, constant: str, default: Any = None) -> Any:
    """Return the literal that a file of Python assigns to a name at module level, without importing the file.

    `default` if it assigns no such name. Raises ValueError for a value that is no literal of Python.
    """
    found = _assigned(path).get(constant)
    if found is None:
        return default
    try:
        return ast.literal_eval(found)
    except ValueError:
        raise ValueError(f"{path}: {constant} must be a literal, since it is read without importing") from None


@cache
def _assigned(path: Path) -> dict[str, ast.expr]:
    """Values that a file assigns to single names at module level."""
    found: dict[str, ast.expr] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found[node.target.id] = node.value
    return found


BENCHMARKS = Door("benchmark", "evaluation/benchmarks")
DATASETS = Door("dataset", "scenes/datasets")
PAPER_TABLES = Door("table", "report/paper")
QUESTION_TYPES = Door("question_type", "questions/types")
REWARDS = Door("reward", "training/rewards")
ROLLOUTS = Door("rollout", "training/rollouts")
SCORERS = Door("scorer", "scoring/scorers")
TEACHERS = Door("teacher", "cot/teachers")
TRACKERS = Door("tracker", "training/trackers")

DOORS = (BENCHMARKS, DATASETS, PAPER_TABLES, QUESTION_TYPES, REWARDS, ROLLOUTS, SCORERS, TEACHERS, TRACKERS)

OWN_PAPER = "ocr"
"""Paper of a table whose file names none."""


def paper_of(table: str) -> str:
    """Return the paper that prints a table: the name of its file in `resources/reference`, without `.csv`."""
    return PAPER_TABLES.constant(table, "PAPER", OWN_PAPER)


def table_entries(table: str | None = None) -> dict[str, tuple[str, ...]]:
    """Return which entries of the registries (`rollout3d.code.KEYS`) the code of a table uses; None: of all tables."""
    names = (table,) if table else PAPER_TABLES.names
    return {"table": names, "paper": tuple(dict.fromkeys(map(paper_of, names)))}
