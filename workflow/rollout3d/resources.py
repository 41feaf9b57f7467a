"""Files that are not code and travel with the package: prompts, category lists, presets, rules, the launcher.

In a clone they lie beside `workflow/`, where they are edited. A wheel holds them in the folder `shipped` of the package
(`force-include` in pyproject.toml), under the same names.
"""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
INSTALLED = "shipped"
"""Folder of an installed package that holds the files; a clone has no such folder."""


def root(package: Path = PACKAGE) -> Path:
    """Return the folder that holds `resources/`, `config/`, `rules/` and the Snakefile of a package."""
    installed = package / INSTALLED
    return installed if installed.is_dir() else package.parents[1]


def clone() -> Path | None:
    """Return the root of the clone that this package runs from; None if it is installed."""
    found = root()
    return None if found.name == INSTALLED else found


def version() -> str | None:
    """Return the version of this package: in a clone that of its pyproject.toml, also where the environment has another
    one installed. None for a folder that is neither."""
    own = clone()
    if own and (own / "pyproject.toml").is_file():
        return tomllib.loads((own / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    try:
        return metadata.version("rollout3d")
    except metadata.PackageNotFoundError:
        return None


def found(path: Path | str) -> Path | str:
    """Return a path as it is if there is such a file in the working directory, else the shipped file of that name.

    A path that is neither is returned as it is, for the reader's own error.
    """
    own = shipped(str(path))
    return own if not Path(path).exists() and own.exists() else path


def shipped(name: str) -> Path:
    """Return the absolute path of a file or folder, given by its path in the clone such as "resources/prompts".

    `rollout3d.code` finds calls of this function with a literal name in the source, and counts those files among the
    code of a stage.
    """
    return root() / name
