"""The ledger of claims: what a docstring attributes to a paper or a release stands in settings.csv and is shipped.

`resources/reference/README.md` describes the columns. A claim is a bracket at the end of a configuration key's
docstring that names a source, a value in a recipe or in a paper's preset, a cell of a run that a table of the paper
reports, or a number in code whose docstring names a source. Each has a row with the same value, and each row has what
it speaks of.
"""

import ast
import csv
import inspect
import json
import re
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from rollout3d import config
from rollout3d.config import read
from rollout3d.config.keys import leaves

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow" / "rollout3d"
LEDGER = ROOT / "resources" / "reference" / "settings.csv"
RECIPES = sorted((ROOT / "config" / "recipes").glob("*.yaml"))

COLUMNS = ["key", "value", "source", "place", "sure", "note"]
SURE = {"stated", "read in code", "measured", "inferred", "second-hand", "assumed"}
SOURCES = {
    "OCR": r"\bOCR\b",
    "Video-R1": r"Video-R1",
    "SpaceR": r"SpaceR",
    "Spatial-R1": r"Spatial-R1",
    "NoisyRollout": r"NoisyRollout",
    "VSI-Bench": r"VSI-Bench",
    "VLM-3R": r"VLM-3R",
    "Ross3D": r"Ross3D",
    "Qwen2.5-VL": r"Qwen2(?:\.5)?-VL|qwen_vl_utils",
}
"""Papers and releases, as docstrings name them."""
OURS = "ours"
CODE = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{12} [\w./-]+(?::\d+|, \S)")
"""A line or a name in a file of a repository at a commit."""
NOT_CLAIMED = {"run", "method", "seed", "tables", "recipe"}
"""Columns of the run table that say nothing of a source: a recipe's values have rows of their own."""


@cache
def ledger():
    """Rows of the ledger, in file order."""
    with LEDGER.open(newline="") as file:
        return list(csv.DictReader(file))


ROWS = {row["key"]: row for row in ledger()}


def names(text):
    """Sources that a text names, in its order."""
    found = {name: re.search(pattern, text) for name, pattern in SOURCES.items()}
    return sorted((name for name, match in found.items() if match), key=lambda name: found[name].start())


def canonical(value):
    """A value as the ledger writes it: JSON with sorted keys, floats to twelve digits."""

    def plain(item):
        if isinstance(item, dict):
            return {key: plain(each) for key, each in item.items()}
        if isinstance(item, (set, frozenset)):
            return sorted(plain(each) for each in item)
        if isinstance(item, (list, tuple, np.ndarray)):
            return [plain(each) for each in item]
        return float(f"{item:.12g}") if isinstance(item, float) else item

    return json.dumps(plain(value), sort_keys=True)


# --- the configuration -----------------------------------------------------------------------------------------------


@cache
def shipped():
    """The committed configuration."""
    return config.load(ROOT / "config" / "config.yaml")


def brackets(section, prefix=""):
    """Yield every key, sections and dictionaries of sections included, with the bracket that ends its docstring."""
    for name, info in type(section).model_fields.items():
        value, key = getattr(section, name), f"{prefix}{name}"
        bracket = re.search(r"\[([^\[\]]*)\]\s*$", info.description or "")
        if bracket:
            yield key, " ".join(bracket[1].split())
        if isinstance(value, config.Section):
            yield from brackets(value, f"{key}.")
        elif isinstance(value, dict):
            for item_name, item in value.items():
                if isinstance(item, config.Section):
                    yield from brackets(item, f"{key}.{item_name}.")


BRACKETS = dict(brackets(config.Config()))
ASSUMED = {key for key, bracket in BRACKETS.items() if bracket.startswith("assumed")}
CLAIMS = {key: names(bracket) for key, bracket in BRACKETS.items() if key not in ASSUMED and names(bracket)}
VALUES = dict(leaves(config.Config()))


def bracket_over(key):
    """The key, or the nearest one above it, whose docstring has a bracket."""
    while key and key not in BRACKETS:
        key = key.rpartition(".")[0]
    return key


# --- recipes and runs ------------------------------------------------------------------------------------------------


def recipe_values(path):
    """Keys of the configuration that a recipe sets, as its models read them. Cells of a run count with the runs."""
    values = read.read_yaml(path).values
    values = {name: item for name, item in values.items() if name in config.Config.model_fields}
    laid = config.Config.model_validate(config.merge(shipped().model_dump(mode="json"), values))

    def flat(given, there, prefix):
        for name, item in given.items():
            if isinstance(item, dict) and isinstance(there.get(name), dict):
                yield from flat(item, there[name], f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", there.get(name)

    return dict(flat(values, laid.model_dump(mode="json"), ""))


RUN_TABLES = {"runs.tsv": None, "runs_spacer.tsv": "spacer", "runs_spatial_r1.tsv": "spatial_r1"}
"""Run table of a paper -> the preset that it belongs to; None = the committed configuration."""


@cache
def runs(table):
    """Runs of a paper's table, by name."""
    path, preset = ROOT / "config" / table, RUN_TABLES[table]
    study = config.load(ROOT / "config" / "presets" / f"{preset}.yaml") if preset else shipped()
    return {name: run.model_dump(mode="json") for name, run in config.read_runs(path, study).items()}


def columns(table):
    """Columns of a run table, as its header has them."""
    lines = (ROOT / "config" / table).read_text().splitlines()
    return next(line.split("\t") for line in lines if line.strip() and not line.startswith("#"))


CELLS = [
    f"{table}:{name}:{column}"
    for table in RUN_TABLES
    for name, run in runs(table).items()
    for column in columns(table)
    if run["tables"] and column not in NOT_CLAIMED and run[column] is not None
]
PRESETS = [preset for preset in RUN_TABLES.values() if preset]
"""Presets of papers."""
OUR_CHOICE = {"preset", "results", "runs.table", "runs.select"}
"""Keys of a preset that say nothing of a source: names of ours, and which runs are made together."""


def preset_values(preset):
    """Keys of the configuration that a paper's preset sets, without `OUR_CHOICE`."""
    found = recipe_values(ROOT / "config" / "presets" / f"{preset}.yaml")
    return {key: value for key, value in found.items() if key not in OUR_CHOICE}


SETTINGS = [f"recipe:{path.stem}:{key}" for path in RECIPES for key in recipe_values(path)]
SETTINGS += [f"preset:{preset}:{key}" for preset in PRESETS for key in preset_values(preset)]


# --- constants -------------------------------------------------------------------------------------------------------


def attributed(path):
    """Yield the constants of a module whose docstring names a source: (name, docstring)."""
    body = ast.parse(path.read_text()).body
    for statement, after in pairwise(body):
        text = after.value.value if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant) else None
        if not isinstance(text, str) or not names(text):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
        for target in targets:
            for node in target.elts if isinstance(target, ast.Tuple) else [target]:
                if isinstance(node, ast.Name):
                    yield node.id, text


def module_of(path):
    """Dotted name of the module in a file."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


ATTRIBUTED = {
    f"{module_of(path)}.{name}": text for path in sorted(PACKAGE.rglob("*.py")) for name, text in attributed(path)
}


def in_code(key):
    """A constant, or the default of a function's parameter, by its dotted name."""
    parts = key.split(".")
    for n in range(len(parts) - 1, 0, -1):
        try:
            found = import_module(".".join(parts[:n]))
        except ModuleNotFoundError as error:
            if error.name != ".".join(parts[:n]) and not ".".join(parts[:n]).startswith(f"{error.name}."):
                raise
            continue
        for part in parts[n:]:
            found = inspect.signature(found).parameters[part].default if callable(found) else getattr(found, part)
        return found
    raise LookupError(key)


def is_number(value):
    """Return whether a value is a number, or a collection of nothing else."""
    if isinstance(value, (dict, list, tuple, np.ndarray)):
        items = list(value.values()) if isinstance(value, dict) else list(value)
        return bool(items) and all(is_number(item) for item in items)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def actual(key):
    """The value that a row speaks of. Raises LookupError or AttributeError if there is no such thing."""
    kind, *rest = key.split(":")
    if kind == "recipe":
        name, setting = rest
        return recipe_values(ROOT / "config" / "recipes" / f"{name}.yaml")[setting]
    if kind == "preset":
        name, setting = rest
        return preset_values(name)[setting]
    if kind in RUN_TABLES:
        name, column = rest
        return runs(kind)[name][column]
    return in_code(key) if key.startswith("rollout3d.") else VALUES[key]


# --- the ledger's own form -------------------------------------------------------------------------------------------


def test_the_ledger_has_its_columns_and_no_key_twice():
    with LEDGER.open(newline="") as file:
        assert next(csv.reader(file)) == COLUMNS
    assert len(ROWS) == len(ledger())


@pytest.mark.parametrize("key", ROWS)
def test_a_row_says_what_where_and_how_surely(key):
    row = ROWS[key]
    assert row["place"].strip(), "place is empty"
    assert row["sure"] in SURE
    assert row["source"] in SOURCES or (row["source"] == OURS and row["sure"] == "assumed")
    assert row["value"] == canonical(json.loads(row["value"])), "not canonical JSON"
    if row["sure"] == "read in code":
        assert all(CODE.match(place) for place in row["place"].split("; ")), "name repository@commit, file and line"


# --- from the ledger to what we ship ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ROWS)
def test_what_we_ship_is_the_ledgers_value(key):
    try:
        value = actual(key)
    except (LookupError, AttributeError, FileNotFoundError) as error:
        pytest.fail(f"there is no {key}: {error!r}")
    assert canonical(value) == ROWS[key]["value"]


@pytest.mark.parametrize("key", [key for key in ROWS if key in VALUES])
def test_bracket_and_ledger_name_the_same_source(key):
    above = bracket_over(key)
    if ROWS[key]["source"] == OURS:
        assert above in ASSUMED
        return
    assert above not in ASSUMED, f"the docstring of {above} says: assumed"
    assert names(BRACKETS.get(above, ""))[:1] == [ROWS[key]["source"]], f"docstring: [{BRACKETS.get(above)}]"


@pytest.mark.parametrize("key", [key for key in ROWS if key in ATTRIBUTED])
def test_a_constants_docstring_or_its_modules_names_the_ledgers_source(key):
    module = inspect.getdoc(import_module(key.rpartition(".")[0])) or ""
    assert ROWS[key]["source"] in names(ATTRIBUTED[key]) + names(module)


# --- from what we ship to the ledger ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key", CLAIMS)
def test_a_key_whose_docstring_names_a_source_has_a_row(key):
    assert key in ROWS or any(row.startswith(f"{key}.") for row in ROWS)


@pytest.mark.parametrize("key", CELLS)
def test_a_run_of_the_papers_tables_has_a_row_for_each_cell(key):
    assert key in ROWS


@pytest.mark.parametrize("key", ATTRIBUTED)
def test_a_number_whose_docstring_names_a_source_has_a_row(key):
    if is_number(in_code(key)):
        assert key in ROWS


def test_every_value_of_every_recipe_and_of_a_papers_preset_has_a_row():
    assert not [key for key in SETTINGS if key not in ROWS]
