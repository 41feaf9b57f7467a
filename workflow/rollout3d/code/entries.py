"""Code that chosen settings leave out: registries, conditional imports, and folders of resources.

Every name in this module is a path relative to the package, or a key of `chosen`. A key that `chosen` lacks counts all
of its entries, so a forgotten key makes a digest too wide and never too narrow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from rollout3d.doors import DOORS

Chosen = Mapping[str, str | Collection[str]]
"""Key -> the entries that a job uses."""

EXCLUDED = (
    "code",
    "config",
    "doors.py",
    "errors.py",
    "fingerprint.py",
    "progress.py",
    "resources.py",
    "stages/__init__.py",
    "stages/common.py",
    "stages/data_keys.py",
    "stages/registry.py",
    "stages/spec.py",
    "tables/rows.py",
    "toyworld/settings.py",
    "toyworld/stages/__init__.py",
)
"""Files and folders that cannot change a result, or whose values enter a result's identity another way."""

DECLARING = ("tables/schema.py", "tables/results.py")
"""Files that declare the tables."""
SCHEMA = ("tables/fields.py", *DECLARING)
"""Of these files only the classes count, and the tables that the code names."""

REGISTRIES: Mapping[tuple[str, str], str] = {
    ("toyworld/writers/release.py", "_WRITERS"): "dataset",
    ("training/schedule.py", "SHAPES"): "schedule",
}
"""(File, name of a dictionary at module level) -> the key whose values are the dictionary's keys.

Of such a dictionary only the chosen items count, and of its file the imports and functions that nothing else uses."""


MODULES: Mapping[str, str] = {f"{door.folder}/__init__.py": door.key for door in DOORS}
"""The `__init__.py` of each folder whose files are loaded by name -> the key whose values are those names. Of the files
only the chosen ones count."""


@dataclass(frozen=True)
class Condition:
    """An import that happens, or is used, only where `key` has one of `values`."""

    key: str
    values: frozenset[str]

    def holds(self, chosen: Chosen) -> bool:
        """Return whether the import counts for these entries."""
        entries = selected(chosen, self.key)
        return entries is None or bool(entries & self.values)


def _if(key: str, *values: str) -> Condition:
    return Condition(key, frozenset(values))


CONDITIONS: Mapping[tuple[str, str], Condition] = {
    ("model/backends.py", "model/generate_vllm.py"): _if("backend", "vllm"),
    ("training/engines/choose.py", "model/generate_vllm.py"): _if("backend", "vllm"),
    ("training/engines/choose.py", "training/engines/zero.py"): _if("deepspeed", "zero0", "zero2", "zero3"),
    ("training/rewards/__init__.py", "training/rewards/_temporal.py"): _if("rollout", "temporal"),
    ("training/run.py", "training/grpo.py"): _if("method", "grpo"),
    ("training/run.py", "training/sft.py"): _if("method", "sft"),
}
"""(Importing file, imported file) -> when the import counts. The test of each reads the `if` that decides it."""


@dataclass(frozen=True)
class Folder:
    """A folder of resources of which a job reads `always`, and `pattern` filled with each chosen entry."""

    key: str
    pattern: str
    always: tuple[str, ...] = ()


FOLDERS: Mapping[str, Folder] = {
    "model/wordings.py": Folder("think", "think_{}.txt", ("direct.txt",)),
    "report/tables.py": Folder("paper", "{}.csv"),
    "scenes/categories.py": Folder("dataset", "{}.csv", ("not_perturbable.csv",)),
    "training/engines/zero.py": Folder("deepspeed", "{}.json"),
}
"""File -> how it chooses from the folder that it names. A file that is not listed here reads all of its folder."""

BY_NAME: Mapping[str, tuple[str, ...]] = {"training/run.py": ("OCR_RL", "OCR_SFT", "QUESTIONS")}
"""File -> the tables that it takes from `tables.TABLES` by a name that is not in the file."""


def selected(chosen: Chosen, key: str) -> frozenset[str] | None:
    """The chosen entries of a key; None where all entries count."""
    if key not in chosen:
        return None
    value = chosen[key]
    return frozenset({value} if isinstance(value, str) else value)


def keys_of(path: str) -> set[str]:
    """Keys of `chosen` on which the digest, imports or resources of a file depend."""
    keys = {key for (file, _), key in REGISTRIES.items() if file == path}
    keys |= {condition.key for (file, _), condition in CONDITIONS.items() if file == path}
    return keys | {key for key in (FOLDERS[path].key if path in FOLDERS else None, MODULES.get(path)) if key}


_FILES = {file for file, _ in (*REGISTRIES, *CONDITIONS)} | {*FOLDERS, *MODULES}
KEYS = tuple(sorted({key for path in _FILES for key in keys_of(path)}))
"""All keys that `chosen` may have."""
