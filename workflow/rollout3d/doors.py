"""Doors: the kinds of things that a study chooses by name. One folder per kind, one file per thing.

A thing's name is the name of its file, so a new one is one new file. Names are listed without importing anything:
configuration, rules and command line receive them from here, and nothing repeats them. Files whose name begins with an
underscore are shared by the things of their folder. What a file must define stands in the `__init__.py` of its folder,
and in docs/adding.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from types import ModuleType

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

    def load(self, name: str) -> ModuleType:
        """Import the file of a thing. Raises ValueError that lists the known names."""
        if name not in self.names:
            raise ValueError(f"unknown {self.key.replace('_', ' ')} '{name}': choose from {', '.join(self.names)}")
        return import_module(f"{PACKAGE.name}.{self.folder.replace('/', '.')}.{name}")


ROLLOUTS = Door("rollout", "training/rollouts")
SCORERS = Door("scorer", "scoring/scorers")
DATASETS = Door("dataset", "scenes/datasets")

DOORS = (ROLLOUTS, SCORERS, DATASETS)
