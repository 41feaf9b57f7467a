"""The code that decides a stage's result: the closure of its imports, and a digest of each file.

A digest covers what a file does, not how it is written: see `source`. Registry entries count only where a job's
settings name them: see `entries`. Configuration models, logging and the command line do not count, and of the tables
only those that the code names.

The digests do not depend on the machine or on the clone's place. They are equal for all Python versions that parse a
file to the same tree; 3.11 and later do, for the syntax of this package.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from functools import cache
from pathlib import Path

from rollout3d import resources
from rollout3d.code.disk import Cache
from rollout3d.code.entries import (
    BY_NAME,
    CONDITIONS,
    EXCLUDED,
    FOLDERS,
    KEYS,
    MODULES,
    SCHEMA,
    Chosen,
    keys_of,
    selected,
)
from rollout3d.code.source import BESIDE, PACKAGES, Source, module_of, read

__all__ = ["KEYS", "Chosen", "Code", "Package", "closure", "compare"]


@dataclass(frozen=True)
class Code:
    """Code of one stage: the digest of each file and table that counts.

    Keys are paths relative to the clone, such as `workflow/rollout3d/training/grpo.py`, and `table:NAME`.
    """

    parts: Mapping[str, str]

    @property
    def files(self) -> tuple[str, ...]:
        """The source files and resources that count, relative to the clone, sorted."""
        return tuple(sorted(name for name in self.parts if not name.startswith("table:")))

    @property
    def tables(self) -> tuple[str, ...]:
        """Names of the tables whose declaration counts, sorted."""
        return tuple(sorted(name.removeprefix("table:") for name in self.parts if name.startswith("table:")))

    @property
    def digest(self) -> str:
        """One digest of all parts (hex)."""
        return _digest(sorted(self.parts.items()))

    @property
    def short(self) -> dict[str, str]:
        """The parts with short digests, for the note on a result: `compare` reads it."""
        return {name: value[:12] for name, value in sorted(self.parts.items())}


class Package:
    """The source files of a clone, each read at most once; later changes of the files have no effect."""

    def __init__(self, folder: Path | None = None, cache_file: Path | None = None):
        self.folder = folder or Path(__file__).resolve().parents[1]
        self.root = resources.root(self.folder)
        in_clone = self.folder.is_relative_to(self.root)
        if cache_file is None and in_clone and (self.root / "Snakefile").is_file():
            cache_file = self.root / ".snakemake" / "rollout3d" / "code.json"
        self._cache = Cache(cache_file)
        self._states = dict(_walk(self.folder, ""))
        for name in BESIDE:
            if (self.folder.parent / name).is_dir():
                self._states |= dict(_walk(self.folder.parent / name, f"{name}/"))
        self._modules = {module_of(path)[0]: path for path in self._states if path.endswith(".py")}
        # Each stage's closure asks the same of the same files.
        self._names = {path: self._name(self._place(path)) for path in self._states}
        self._matches: dict[str, list[tuple[str, list[str]]]] = {}
        self._sources: dict[str, Source] = {}
        self._resources: dict[str, str] = {}

    def closure(self, stage: str, chosen: Chosen | None = None) -> Code:
        """The code of a stage (the name of a file of `stages`), or of any module given by its dotted name.

        `chosen`: for each key of `KEYS` the entry or entries that the job uses; all of them for a key that it lacks.
        Raises ValueError for an unknown stage or key.
        """
        chosen = chosen or {}
        unknown = sorted(set(chosen) - set(KEYS))
        if unknown:
            raise ValueError(f"unknown registry {', '.join(unknown)}: known are {', '.join(KEYS)}")
        names = [stage, *(f"{package}.stages.{stage}" for package in PACKAGES)]
        entry = next((name for name in names if name in self._modules), None)
        if entry is None:
            raise ValueError(f"no module {names[1]} in {self.folder}")
        parts: dict[str, str] = {}
        named: set[str] = set()
        waiting, seen = self._with_parents(entry), set()
        while waiting:
            path = waiting.pop()
            if path in seen or _excluded(path):
                continue
            seen.add(path)
            source = self._source(path, chosen)
            parts[self._names[path]] = source.digest
            named |= self._tables(path, source)
            for resource in self._files(path, source, chosen):
                parts[self._name(resource)] = self._resource(resource)
            for module in source.imports:
                for imported, files in self._matching(module):
                    if _counts(path, module, imported, chosen):
                        waiting += files
        declared = _declarations()
        parts |= {f"table:{name}": declared[name] for name in (declared if "*" in named else named) if name in declared}
        self._cache.save()
        return Code(parts)

    def _name(self, path: Path) -> str:
        """Return a file's path in the clone; of an installed package, the path that it has in the clone."""
        if path.is_relative_to(self.root):
            return path.relative_to(self.root).as_posix()
        return f"workflow/{path.relative_to(self.folder.parent).as_posix()}"

    def _place(self, path: str) -> Path:
        """The file at a path relative to the package, or to the folder of packages for one of another package."""
        return (self.folder.parent if path.split("/")[0] in BESIDE else self.folder) / path

    def _with_parents(self, module: str) -> list[str]:
        """Files that importing a module runs: its own, and those of the packages that it lies in."""
        parts = module.split(".")
        names = [".".join(parts[:n]) for n in range(1, len(parts) + 1)]
        return [self._modules[name] for name in names if name in self._modules]

    def _matching(self, module: str) -> list[tuple[str, list[str]]]:
        """Files of the modules that a name or pattern imports, each with the files that importing it runs."""
        if module not in self._matches:
            names = fnmatch.filter(self._modules, module) if "*" in module else [module]
            found = [name for name in names if name in self._modules]
            self._matches[module] = [(self._modules[name], self._with_parents(name)) for name in found]
        return self._matches[module]

    def _source(self, path: str, chosen: Chosen) -> Source:
        entries = {key: selected(chosen, key) for key in sorted(keys_of(path))}
        variant = json.dumps({key: None if value is None else sorted(value) for key, value in entries.items()})
        key = f"{path}?{variant}"
        if key not in self._sources:
            state = self._states[path]
            stored = self._cache.get(key, state)
            try:
                digest, imports, used, strings, paths = stored
                source = Source(digest, tuple(imports), tuple(used), tuple(strings), tuple(paths))
            except (TypeError, ValueError):
                file = self._place(path)
                source = read(file.read_text(encoding="utf-8"), path, file, chosen)
                source = replace(source, paths=tuple(os.path.relpath(each, self.root) for each in source.paths))
                self._cache.put(key, state, astuple(source))
            self._sources[key] = source
        return self._sources[key]

    def _tables(self, path: str, source: Source) -> set[str]:
        """Python names of the tables that a file uses."""
        if "TABLES" not in source.tables:
            return set(source.tables)
        by_name = {name for name in _declarations() if name.lower() in source.strings}
        return {*source.tables, *(BY_NAME.get(path) or by_name or {"*"})}

    def _files(self, path: str, source: Source, chosen: Chosen) -> Iterable[Path]:
        """Files that the code reads from the clone: those that it builds a path of, and those of folders."""
        for name in source.paths:
            place = Path(os.path.normpath(self.root / name))
            if place.is_file() and place.suffix != ".py":
                yield place
            elif place.is_dir() and place not in (self.root, self.folder) and not self.folder.is_relative_to(place):
                rule = FOLDERS.get(path)
                if rule is None:
                    yield from (each for each in sorted(place.rglob("*")) if each.is_file())
                    continue
                entries = selected(chosen, rule.key)
                wanted = [rule.pattern.format("*")] if entries is None else [rule.pattern.format(e) for e in entries]
                for pattern in (*rule.always, *wanted):
                    yield from sorted(place.glob(pattern))

    def _resource(self, path: Path) -> str:
        name = self._name(path)
        if name not in self._resources:
            state = path.stat()
            stored = self._cache.get(name, state)
            if not isinstance(stored, str):
                stored = hashlib.sha256(path.read_bytes()).hexdigest()
                self._cache.put(name, state, stored)
            self._resources[name] = stored
        return self._resources[name]


@cache
def _this() -> Package:
    return Package()


def closure(stage: str, chosen: Chosen | None = None) -> Code:
    """The code of a stage of this package, as it was at this process's first call: see `Package.closure`."""
    chosen = chosen or {}
    wanted = json.dumps([stage, {key: sorted(selected(chosen, key) or ()) for key in sorted(chosen)}])
    if wanted not in _FOUND:
        _FOUND[wanted] = _this().closure(stage, chosen)
    return _FOUND[wanted]


_FOUND: dict[str, Code] = {}


def compare(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Differences between two records of `Code.short` (or `parts`), as "changed FILE", "added FILE", "removed FILE"."""
    found = []
    for name in sorted({*recorded, *now}):
        if name not in now:
            found.append(f"removed {name}")
        elif name not in recorded:
            found.append(f"added {name}")
        elif recorded[name][:12] != now[name][:12]:
            found.append(f"changed {name}")
    return found


def _walk(folder: Path, prefix: str) -> Iterable[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            if entry.is_dir():
                if entry.name not in ("__pycache__", resources.INSTALLED):
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/")
            elif entry.name.endswith(".py"):
                yield f"{prefix}{entry.name}", entry.stat()


def _counts(path: str, module: str, imported: str, chosen: Chosen) -> bool:
    """Return whether an import of the file `path` counts; `module` is a pattern where the file imports by name."""
    if "*" in module and path in MODULES:
        entries, name = selected(chosen, MODULES[path]), Path(imported).stem
        return name in entries if entries is not None else not name.startswith("_")
    condition = CONDITIONS.get((path, imported))
    return condition is None or condition.holds(chosen)


@cache
def _excluded(path: str) -> bool:
    return any(path == name or path.startswith(f"{name}/") for name in EXCLUDED)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@cache
def _declarations() -> dict[str, str]:
    """Python name of each table -> digest of its name, version and columns, without the prose."""
    from rollout3d import tables

    found = {}
    for name, table in vars(tables).items():
        if isinstance(table, tables.Table):
            columns = [[field.name, str(field.type), field.nullable] for field in table.schema]
            found[name] = _digest([table.name, table.version, table.per_scene, columns])
    return found
