"""Names and paths that users choose: types that refuse unusable ones, and messages that name the nearest known ones."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import PurePath
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from rollout3d.doors import Door

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
"""Runs and models: their names become folders, file names and patterns of Snakemake."""

_FORBIDDEN = re.compile(r"[{}<>\"'`$\\*?\[\]\x00-\x1f\x7f]")
"""What Snakemake (wildcards, path variables, patterns) or a shell would read as something else."""

_OURS = frozenset(
    (".git", ".snakemake", "config", "rules", "workflow", "slurm", "envs", "resources", "benchmarks", "docs", "tests")
)
"""Folders of the clone that results must not mix with."""


def nearest(name: str, known: Iterable[str], most: int = 3) -> list[str]:
    """Return the known names that are spelt like `name`, best first; upper and lower case count as the same letter."""
    import difflib  # only when something is wrong: reading a good configuration stays quick

    plain = {each.lower(): each for each in known}
    return [plain[each] for each in difflib.get_close_matches(name.lower(), plain, n=most)]


def listed(names: Iterable[str], last: str = "or") -> str:
    """Return names as in a sentence: "a, b or c"."""
    *before, final = names
    return f"{', '.join(before)} {last} {final}" if before else final


def unknown(name: str, known: Iterable[str], what: str = "known") -> str:
    """Return that `name` is not `what` ("a question type"), with the nearest known names, else all of them."""
    known = list(dict.fromkeys(known))
    close = nearest(name, known)
    if close:
        return f"{name} is not {what}; did you mean {listed(close)}?"
    return f"{name} is not {what}; choose from {', '.join(known)}" if known else f"{name} is not {what}"


def wrong_name(name: str) -> str | None:
    """Return the problem of a name of a run or a model; None if it is usable."""
    if NAME.fullmatch(name) and len(name) <= 100:
        return None
    return (
        f"{name!r} is no usable name: it becomes a folder, so use up to 100 letters, digits, '_', '-' and '.', "
        "and begin with a letter, digit or '_'"
    )


def confused(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names of which one, read as a pattern ('.' is any character), also matches the other; None if there
    are none. Snakemake reads them as patterns, and could not tell such a pair apart."""
    names = list(names)
    dotted = [name for name in names if "." in name]
    return next(((a, b) for a in dotted for b in names if a != b and re.fullmatch(a, b)), None)


def _name(value: str) -> str:
    if problem := wrong_name(value):
        raise ValueError(problem)
    return value


def expanded(value: str) -> str:
    """Return a path with `~` and `$VARIABLE` replaced. Raises ValueError if it is empty or names no variable or
    user."""
    if not value.strip():
        raise ValueError("is empty: write a path, or remove the line")
    found = os.path.expanduser(os.path.expandvars(value))
    if missing := re.search(r"\$(\w+|\{[^}]*\})", found):
        raise ValueError(f"{value!r} names the environment variable {missing[0]}, which is not set")
    if found.startswith("~"):
        raise ValueError(f"{value!r} names a home folder that does not exist")
    if broken := re.search(r"[\x00-\x1f\x7f]", found):
        raise ValueError(f"{value!r} has the control character {broken[0]!r} in it")
    return found


def _results(value: str) -> str:
    path = expanded(value)
    if broken := _FORBIDDEN.search(path):
        raise ValueError(
            f"{value!r} has {broken[0]!r} in it, which Snakemake or a shell would not read as part of a path: "
            "choose another folder"
        )
    if path != path.strip() or any(part.startswith("-") for part in PurePath(path).parts):
        raise ValueError(f"{value!r} begins or ends with a space, or has a part that begins with '-'")
    path = os.path.normpath(path)
    first = os.path.relpath(path).split(os.sep)[0]
    if first == "." or first in _OURS:
        raise ValueError(f"{value!r} is a folder of the clone itself: choose another, such as results/mine")
    return path


def _address(value: str) -> str:
    if not re.fullmatch(r"https?://\S+", value):
        shown = re.sub(r"[^/@\s]*@", "...@", value)  # it may hold a password
        raise ValueError(f"{shown!r} is no address: write it whole, such as http://localhost:8000/v1")
    return value


def name_in(door: Door, *also: str) -> Any:
    """Return the type of a string that names a thing behind a door, or is one of `also`; other names are refused at
    once."""
    return name_among((*also, *door.names), f"a {door.key.replace('_', ' ')}")


def name_among(known: tuple[str, ...], what: str) -> Any:
    """Return the type of a string that is one of `known`; other strings are refused with a message that they are not
    `what`."""

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(unknown(value, known, what))
        return value

    return Annotated[str, AfterValidator(check), Field(json_schema_extra={"enum": list(known)})]


def number_among(known: tuple[int, ...]) -> Any:
    """Return the type of a whole number that is one of `known`."""

    def check(value: int) -> int:
        if value not in known:
            raise ValueError(f"must be {listed(map(str, known))}, not {value}")
        return value

    return Annotated[int, AfterValidator(check), Field(json_schema_extra={"enum": list(known)})]


Name = Annotated[str, AfterValidator(_name)]
"""A name that a user gives to a model or a run."""
SitePath = Annotated[str, AfterValidator(expanded)]
"""A path of this machine: `~` and `$VARIABLE` are replaced; a relative one is relative to the clone."""
ResultsPath = Annotated[str, AfterValidator(_results)]
"""A folder to write to: may be relative or absolute, with spaces or letters of any script."""
Address = Annotated[str, AfterValidator(_address)]
"""Address of a server, with http:// or https://."""
