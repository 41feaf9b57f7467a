"""Read presets, `config/local.yaml` and `--config`, and lay them over the defaults as one configuration.

Every problem is a sentence that names file, line, key, value and remedy, and all of them are reported at once.

Functions with a parameter `model` read a `Config` unless a subclass is given, in which another package has put the
sections that belong to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from pydantic import ValidationError

from rollout3d import resources
from rollout3d.config import Config, merge
from rollout3d.config.base import nullable_values, type_at
from rollout3d.config.names import unknown
from rollout3d.config.problems import ConfigError, dotted, explain, shown
from rollout3d.config.sections import Section

AnyConfig = TypeVar("AnyConfig", bound=Config)

COMMAND_LINE = "--config"
BASE = "config/config.yaml"
LOCAL = Path("config/local.yaml")
MODULE = "config of the module"

_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"
_TEXT = "tag:yaml.org,2002:str"


if TYPE_CHECKING:
    _Safe, _Base = yaml.SafeLoader, yaml.BaseLoader
else:  # quicker, where PyYAML was built with libyaml
    _Safe, _Base = getattr(yaml, "CSafeLoader", yaml.SafeLoader), getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class _FileLoader(_Safe):
    """Loader of YAML files. Dates stay text: no key is one."""


_FileLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if not tag.endswith(":timestamp")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _ArgumentLoader(_Base):
    """Loader of command-line values: null is null, all else stays the text that was typed and is converted by its key.

    Snakemake's own reading makes null the text "null". `None` counts too, since a Python dictionary may be typed.
    """


_ArgumentLoader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|None|)$"), ["~", "n", "N", ""])
_ArgumentLoader.add_constructor(_NULL, lambda loader, node: None)


@dataclass(frozen=True)
class Layer:
    """Values of one file or of the command line, and the line of each key."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)

    def where(self, path: Sequence[Any]) -> str:
        """Return the file, and the line of the longest part of the path that has one."""
        keys = tuple(step for step in path if isinstance(step, str))
        line = next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), None)
        return f"{self.name}:{line}" if line else self.name

    def sets(self, path: Sequence[Any]) -> int:
        """Return the number of keys of the path, from its start, that this layer has."""
        here: Any = self.values
        for depth, step in enumerate(path):
            if not isinstance(here, dict) or step not in here:
                return depth
            here = here[step]
        return len(path)


def read_yaml(path: Path | str, name: str | None = None) -> Layer:
    """Read one YAML or JSON file. Raises ConfigError that says which line is at fault."""
    name = name or str(path)
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ConfigError([f"{name}:{line}: this line is not UTF-8 text; save the file as UTF-8"]) from None
    except IsADirectoryError:
        raise ConfigError([f"{name}: is a folder; a file is expected there"]) from None
    except OSError as error:
        raise ConfigError([f"{name}: cannot be read: {error.strerror}"]) from None
    return _parse(text, name, _FileLoader)


def read_arguments(arguments: Iterable[str]) -> Layer:
    """Read the `key=value` pairs of `--config`; values are JSON, YAML or plain text, and later ones are laid over."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for argument in arguments:
        key, _, text = argument.partition("=")
        text = text.strip("'\"")  # as Snakemake does it
        name = f"{COMMAND_LINE} {key}"
        if text.lstrip()[:1] in ("{", "["):
            try:
                value = _parse(text, name, _ArgumentLoader, top=False).values["value"]
            except ConfigError as error:
                problems += error.problems
                continue
        else:
            value = None if text in ("", "~", "null", "Null", "NULL", "None") else text
        values = merge(values, {key: value})
    if problems:
        raise ConfigError(problems)
    return Layer(COMMAND_LINE, values)


def _parse(text: str, name: str, loader_class: Any, top: bool = True) -> Layer:
    """Return the mapping that a text holds; with `top` false any value, under the key "value"."""
    problems: list[str] = []
    lines: dict[tuple[str, ...], int] = {}
    loader = None
    try:
        loader = loader_class(text)
        node = loader.get_single_node()
        if node is None or (top and node.tag == _NULL and node.value == ""):  # nothing, or a lone `---`
            return Layer(name)
        if top and not isinstance(node, yaml.MappingNode):
            kind = "a list" if isinstance(node, yaml.SequenceNode) else f"only {shown(node.value)}"
            raise ConfigError([f"{name}:{node.start_mark.line + 1}: holds {kind}; write keys, each as `key: value`"])
        _check(node, (), lines, problems, name if top else f"{name}", set(), numbered=top)
        if problems:
            raise ConfigError(problems)
        value = loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError([_yaml_fault(error, text, name, top)]) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError([f"{name}: cannot be read as YAML: {error}"]) from None
    finally:
        if loader is not None:
            loader.dispose()
    return Layer(name, value, lines) if top else Layer(name, {"value": value})


def _check(
    node: Any,
    path: tuple[str, ...],
    lines: dict[tuple[str, ...], int],
    problems: list[str],
    name: str,
    above: set[int],
    numbered: bool,
) -> None:
    """Note the line of each key below a node; report keys that stand twice (YAML keeps the last) or are no text."""
    if id(node) in above:
        problems.append(f"{name}: {dotted(path)} contains itself (a YAML anchor inside its own value)")
        return
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check(item, path, lines, problems, name, above | {id(node)}, numbered)
    if not isinstance(node, yaml.MappingNode):
        return
    first: dict[str, int] = {}
    for key, value in node.value:
        line = key.start_mark.line + 1
        here = f"{name}:{line}" if numbered else name
        if key.tag == _MERGE:
            _check(value, path, {}, problems, name, above | {id(node)}, numbered)
            continue
        if not isinstance(key, yaml.ScalarNode) or (key.tag != _TEXT and numbered):
            said = shown(key.value) if isinstance(key, yaml.ScalarNode) else "a list or a section"
            problems.append(f"{here}: {dotted((*path, ''))}{said} is no name of a key; put it in quotes if it is meant")
            continue
        inner = (*path, key.value)
        if key.value in first:
            before = f", first on line {first[key.value]}" if numbered else ""
            problems.append(f"{here}: {dotted(inner)} stands twice{before}; keep one of them")
        first.setdefault(key.value, line)
        lines[inner] = line
        _check(value, inner, lines, problems, name, above | {id(node)}, numbered)


def _yaml_fault(error: yaml.YAMLError, text: str, name: str, top: bool) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if not top:
        return f"{name}: {shown(text)} is neither JSON nor YAML; quote it for the shell: --config 'key={{\"a\": 1}}'"
    if mark is None:
        return f"{name}: is not YAML: {getattr(error, 'reason', None) or str(error).splitlines()[0]}"
    rows = text.split("\n")
    for number in (mark.line, mark.line - 1):  # some readers stop only after the line at fault
        row = rows[number] if 0 <= number < len(rows) else ""
        if "\t" in row[: len(row) - len(row.lstrip())]:
            return f"{name}:{number + 1}: is indented with a tab; YAML wants spaces"
    problem = getattr(error, "problem", None) or "cannot be read"
    return f"{name}:{mark.line + 1}: is not YAML: {problem}"


def laid(
    values: dict[str, Any], layers: Sequence[Layer], model: type[AnyConfig] = Config
) -> tuple[dict[str, Any], AnyConfig]:
    """Lay the layers over `values`, in order; return what that gives, and its configuration.

    Raises ConfigError with every problem that shows without the whole study (`Config.checked`).
    """
    values, config, problems = _laid(values, layers, model)
    if problems:
        raise ConfigError(problems)
    return values, config


def _laid(
    values: dict[str, Any], layers: Sequence[Layer], model: type[AnyConfig]
) -> tuple[dict[str, Any], AnyConfig, list[str]]:
    where, problems = _places(layers), []
    for layer in layers:
        problems += _unknown_removals(values, layer.values, (), layer, model)
        values = merge(values, layer.values)
    try:
        config = model.model_validate(values)
    except ValidationError as error:
        raise ConfigError([*problems, *explain(error, model, where)]) from None
    problems += [f"{where(path)}: {text}" for path, text in _booleans(values, config, ())]
    return values, config, problems


def _places(layers: Sequence[Layer]) -> Callable[[tuple[Any, ...]], str]:
    """Return a function that names the file and line that a path of the configuration has its value from."""
    defaults: dict[str, Any] = Config().model_dump(mode="json")

    def where(path: tuple[Any, ...]) -> str:
        depth, index = max((layer.sets(path), index) for index, layer in enumerate(layers)) if layers else (0, 0)
        generated = depth and layers[index].name == BASE and _at(layers[index].values, path) == _at(defaults, path)
        return layers[index].where(path) if depth and not generated else "configuration"

    return where


def validate(layers: Sequence[Layer], model: type[AnyConfig] = Config) -> AnyConfig:
    """Lay the layers over the defaults, in order, and validate. Raises ConfigError with every problem."""
    where = _places(layers)
    _, config, problems = _laid(Config().model_dump(mode="json"), layers, model)
    try:
        config.checked()
    except ValueError as error:
        # Sentences that begin with the key at fault.
        for sentence in str(error).split("\n"):
            key = re.split(r"[ :]", sentence, maxsplit=1)[0]
            problems.append(f"{where(tuple(key.split('.')))}: {sentence}")
    if problems:
        raise ConfigError(problems)
    return config


def _at(values: Any, path: Sequence[Any]) -> Any:
    for step in path:
        values = values.get(step) if isinstance(values, dict) else None
    return values


def _unknown_removals(below: Any, values: Any, path: tuple[str, ...], layer: Layer, model: type[Config]) -> list[str]:
    """Return problems of entries of dictionaries that a layer sets to null although there is none of that name."""
    found: list[str] = []
    here = type_at(model, path)
    is_section = isinstance(here, type) and issubclass(here, Section)
    for key, value in values.items():
        inner = (*path, key)
        if isinstance(value, dict):
            found += _unknown_removals(below.get(key) if isinstance(below, dict) else None, value, inner, layer, model)
        elif value is None and not is_section and isinstance(below, str) and below != "paper":
            found.append(f"{layer.where(inner)}: {dotted(inner)} cannot be removed: {dotted(path)} is {below}, a name")
        elif value is None and not is_section and here is not None and not nullable_values(here):
            known = [*(below or ())] if isinstance(below, dict) else []
            if key not in known and key not in _possible(here):
                said = unknown(key, [*known, *_possible(here)], "there, so it cannot be removed")
                found.append(f"{layer.where(inner)}: {dotted(path)}.{said}")
    return found


def _possible(annotation: Any) -> list[str]:
    """Return the names that the keys of a dictionary may have; none if they are free."""
    from typing import Literal, get_args, get_origin

    names = get_args(annotation)
    return list(get_args(names[0])) if names and get_origin(names[0]) is Literal else []


def _booleans(values: Any, made: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], str]]:
    """Return the problems of numbers that were written as true, false, yes or no, which pydantic would read as 1 and
    0."""
    if isinstance(values, dict):
        parts = made if isinstance(made, dict) else vars(made) if isinstance(made, Section) else {}
        return [
            hit for key, value in values.items() if key in parts for hit in _booleans(value, parts[key], (*path, key))
        ]
    if isinstance(values, bool) and isinstance(made, int | float) and not isinstance(made, bool):
        return [(path, f"{dotted(path)} must be a number, not {shown(values)}")]
    return []


def load(*paths: Path | str, model: type[AnyConfig] = Config) -> AnyConfig:
    """Return the defaults with the given YAML files laid over them, in order."""
    return validate([read_yaml(path) for path in paths], model)


def read_study(
    arguments: Sequence[str] = (),
    files: Sequence[Path | str] = (),
    folder: Path | str = ".",
    model: type[AnyConfig] = Config,
) -> AnyConfig:
    """Read a clone's study. Raises ConfigError with every problem."""
    return validate(study_layers(arguments, files, folder), model)


def placed(problems: Iterable[str], layers: Sequence[Layer], model: type[Config] = Config) -> list[str]:
    """Return sentences with file and line before those that begin with a key: "runs.select: orc is no run"."""
    where, found = _places(layers), []
    for sentence in problems:
        key = tuple(re.split(r"[ :\[]", sentence, maxsplit=1)[0].split("."))
        found.append(f"{where(key)}: {sentence}" if type_at(model, key) is not None else sentence)
    return found


def study_layers(
    arguments: Sequence[str] = (),
    files: Sequence[Path | str] = (),
    folder: Path | str = ".",
    values: Mapping[str, Any] | None = None,
) -> list[Layer]:
    """Read the layers of a study: config.yaml, preset, local.yaml, other `files` (--configfile), `values`, `arguments`.

    Each is laid over those before it. The preset is the one that the command line names, else local.yaml, so that the
    literal `snakemake --profile slurm all` needs no option. In a `folder` without config/config.yaml, that file and the
    presets are those that the package ships. `values`: the config of a workflow that imports this one as a module.
    Raises ConfigError with every problem.
    """
    folder, problems = Path(folder), []
    home = folder if (folder / BASE).is_file() else resources.root()

    def read(path: Path | str, folder: Path = folder) -> Layer:
        name = os.path.relpath(folder / path, folder)
        try:
            return read_yaml(folder / path, str(path) if name.startswith("..") else name)
        except ConfigError as error:
            problems.extend(error.problems)
            return Layer(name)

    base = read(BASE, home)
    given, lying = [read(path) for path in files], [(folder / path).resolve() for path in files]
    local = read(LOCAL) if os.path.lexists(folder / LOCAL) else Layer(str(LOCAL))
    if (folder / LOCAL.with_suffix(".yml")).exists():
        problems.append(f"{LOCAL.with_suffix('.yml')}: is not read; rename it to {LOCAL.name}")
    try:
        command = read_arguments(arguments)
    except ConfigError as error:
        problems += error.problems
        command = Layer(COMMAND_LINE)
    if values is not None:
        given, lying = [*given, Layer(MODULE, _plain(values))], [*lying, Path(MODULE)]
    preset, source = _preset([*given, command], local, problems)
    presets = {path.stem: path for path in sorted((home / "config" / "presets").glob("*.yaml"))}
    under = []
    if preset is not None and not isinstance(preset, str):
        problems.append(f"{source.where(('preset',))}: preset must be one of {', '.join(presets)}, not {shown(preset)}")
    elif preset is not None and preset not in presets:
        problems.append(f"{source.where(('preset',))}: preset: {unknown(preset, presets, 'a preset')}")
    elif preset is not None and presets[preset].resolve() not in lying:
        under = [read(presets[preset].relative_to(home), home)]
    if problems:
        raise ConfigError(problems)
    shipped = {path.resolve() for path in presets.values()}
    below = [layer for layer, path in zip(given, lying, strict=True) if path in shipped]
    above = [layer for layer, path in zip(given, lying, strict=True) if path not in shipped]
    layers = [base, *under, *below, local, *above, command]
    named = [Layer(each.name, {k: v for k, v in each.values.items() if k != "preset"}, each.lines) for each in layers]
    return [*named, Layer(source.name, {"preset": preset}, source.lines)]


def _plain(values: Any) -> Any:
    """Return a copy without the kinds of dictionaries and lists that Snakemake makes of YAML."""
    if isinstance(values, Mapping):
        return {str(key): _plain(value) for key, value in values.items()}
    return [_plain(value) for value in values] if isinstance(values, list | tuple) else values


def _preset(given: Sequence[Layer], local: Layer, problems: list[str]) -> tuple[Any, Layer]:
    """Return the preset and the layer that names it. Two different ones on the command line are a problem."""
    naming = [layer for layer in given if "preset" in layer.values]
    if not naming:
        return local.values.get("preset"), local
    first, last = naming[0], naming[-1]
    if any(layer.values["preset"] != first.values["preset"] for layer in naming):
        names = " and ".join(f"{shown(layer.values['preset'])} ({layer.where(('preset',))})" for layer in naming)
        problems.append(f"{last.where(('preset',))}: two presets at once, {names}; name one")
    return last.values["preset"], last
