"""Problems of a configuration as sentences: pydantic's errors in the user's terms, with file and line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from rollout3d.config.base import plain, type_at
from rollout3d.config.former import whereabouts
from rollout3d.config.names import listed, unknown
from rollout3d.errors import UserError


class ConfigError(UserError, ValueError):
    """One or more problems of the configuration or the run table, a sentence each."""

    def __init__(self, problems: Iterable[str]):
        self.problems = list(dict.fromkeys(problems))
        count = len(self.problems)
        head = "" if count == 1 else f"{count} problems in the configuration:\n  "
        super().__init__(head + "\n  ".join(self.problems))


WHAT = {
    "datasets": "a dataset",
    "preset": "a preset",
    "questions.mix": "a question type",
    "questions.per_scene": "a question type",
    "questions.sources": "a question type with a choice of sources",
    "external.spatial_types": "a question type",
    "evaluation.benchmarks": "a benchmark",
    "site.roots": "a dataset",
    "site.benchmarks": "a benchmark of others",
    "site.external": "a source of released training files",
    "train_table": "a train table",
    "tables": "a table of the paper",
}
"""What the names at a path are: members of a list, keys of a dictionary, else the value."""
WHAT_VALUE = {"questions.mix": "a named mix"}
"""What a value is where a dictionary may stand, too."""
_MARKS = ("[key]", "[name]", "[shares]")
"""Steps of pydantic's paths that are no steps of the user's: a key of a dictionary, a choice between two forms."""

_NUMBER = {"int": "a whole number", "float": "a number", "bool": "true or false", "string": "text"}
_BOUND = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def dotted(path: Sequence[Any]) -> str:
    """Return a path as users write it: ("evaluation", "benchmarks", 0) -> "evaluation.benchmarks[0]"."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def explain(
    error: ValidationError, model: type[BaseModel], where: Callable[[tuple[Any, ...]], str], prefix: str = ""
) -> list[str]:
    """Return a sentence per problem that pydantic found in `model`; `where(path)` names the file and line of a path.

    `prefix` stands before each path, such as "column ".
    """
    found = []
    for each in error.errors(include_url=False):
        path = tuple(step for step in each["loc"] if step not in _MARKS)
        for sentence in _sentences(each, path, model):
            named = (_first_key(sentence, model) if each["type"] == "value_error" else ()) or path
            found.append(f"{where(named)}: {prefix if path else ''}{sentence}")
    return sorted(found, key=_place)


def _place(sentence: str) -> tuple[str, int]:
    """Return file and line that a sentence begins with, to sort by."""
    place = re.match(r"(.*?)(?::(\d+))?: ", sentence)
    return (place[1], int(place[2] or 0)) if place else (sentence, 0)


def _first_key(sentence: str, model: type[BaseModel]) -> tuple[str, ...]:
    """Return the key that a sentence about the whole configuration begins with."""
    start = re.split(r"[ :\[]", sentence, maxsplit=1)[0].split(".")
    return tuple(start) if start[0] in model.model_fields else ()


def _sentences(each: Any, path: tuple[Any, ...], model: type[BaseModel]) -> list[str]:
    kind, given, context, name = each["type"], each["input"], each.get("ctx", {}), dotted(path)
    is_key = each["loc"][-1:] == ("[key]",)
    if kind == "value_error":
        messages = str(context["error"]).split("\n")
        if is_key:
            joined = ["." if text.startswith(f"{path[-1]} is not ") else ": " for text in messages]
            return [f"{dotted(path[:-1])}{join}{text}" for join, text in zip(joined, messages, strict=True)]
        section = type_at(model, path)
        inner = set(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else set()
        joined = [
            "." if text.split(":")[0] in inner else " " if text.startswith("must ") else ": " for text in messages
        ]
        return [f"{name}{join}{text}" if path else text for join, text in zip(joined, messages, strict=True)]
    if kind == "extra_forbidden":
        return _former(path, given) or [_unknown_key(path, model)]
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", context["expected"])
        inside = dotted([step for step in path[: -1 if is_key else None] if not isinstance(step, int)])
        if is_key:
            return [f"{inside}.{unknown(str(path[-1]), known, WHAT.get(inside, 'a key that it may have'))}"]
        if given is None:
            return [f"{name} cannot be null; choose from {', '.join(known)}"]
        what = WHAT_VALUE.get(inside) or WHAT.get(
            inside, f"one of {', '.join(known)}" if len(known) > 1 else listed(known)
        )
        return [f"{name}: {unknown(str(given), known, what)}"]
    return [f"{name} {_fault(kind, given, context)}"]


def _fault(kind: str, given: Any, context: Any) -> str:
    """Return the end of the sentence that begins with the key."""
    if kind == "string_too_short":
        return "is empty"
    if kind in _BOUND:
        limit, words = _BOUND[kind]
        return f"must be {words} {context[limit]:g}, not {shown(given)}"
    if kind == "missing":
        return "is missing"
    if kind == "finite_number":
        return f"must be a finite number, not {shown(given)}"
    if kind == "int_from_float":
        return f"must be a whole number, not {shown(given)}"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        if given is None:
            return "is null, but it is a section: write its keys below it, or remove the line"
        return f"is a section: write its keys below it, each as `key: value`, not {shown(given)}"
    if given is None:
        return "cannot be null: give it a value, or remove the line"
    if kind in ("list_type", "tuple_type"):
        return f"must be a list, such as [a, b], not {shown(given)}"
    if kind in ("too_short", "too_long"):
        few, many = context.get("min_length"), context.get("max_length")
        if few == 1:
            return "is empty: at least one must be there"
        return f"must have {f'at least {few}' if few is not None else f'at most {many}'} entries, not {shown(given)}"
    base = kind.split("_")[0]
    if base in _NUMBER:
        hint = ": put it in quotes" if base == "string" and not isinstance(given, list | dict) else ""
        return f"must be {_NUMBER[base]}, not {shown(given)}{hint}"
    return f"cannot be {shown(given)}"


def _former(path: tuple[Any, ...], given: Any) -> list[str]:
    """Return what became of a former key, or of each key of a former section."""
    inside = [dotted((*path, name)) for name in given] if isinstance(given, dict) else []
    return whereabouts(dotted(path)) or [sentence for name in inside for sentence in whereabouts(name)]


def _unknown_key(path: tuple[Any, ...], model: type[BaseModel]) -> str:
    *above, key = path
    section = type_at(model, tuple(above))
    known = list(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
    what = f"a key of {dotted(above)}" if above else "a key of the configuration"
    prefix = f"{dotted(above)}." if above else ""
    said = unknown(str(key), known, what)
    if "." in str(key) and type_at(model, (*above, *str(key).split("."))) is not None:
        first, _, rest = str(key).partition(".")
        return f"{prefix}{key} is not {what}: write `{first}:`, and `{rest}:` indented below it"
    if "did you mean" not in said:
        last = str(key).split(".")[-1]
        elsewhere = [name for name in _keys(model) if name.split(".")[-1] == last]
        if elsewhere:
            return f"{prefix}{key} is not {what}; did you mean {listed(elsewhere[:4])}?"
    return prefix + said


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Return every key of a model and the sections below it, dotted."""
    found = []
    for name, info in model.model_fields.items():
        inner = plain(info.annotation)
        found.append(f"{prefix}{name}")
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += _keys(inner, f"{prefix}{name}.")
        elif get_args(inner) and isinstance(get_args(inner)[-1], type) and issubclass(get_args(inner)[-1], BaseModel):
            found += _keys(get_args(inner)[-1], f"{prefix}{name}.<name>.")
    return found


def shown(value: Any) -> str:
    """Return a value as it stands in a message: short, and on one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= 60 else f"{text[:57]}..."
    return repr(text) if isinstance(value, str) else text
