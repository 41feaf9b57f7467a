"""Contribution of one source file to a closure: its digest, its imports, the tables and the resources that it names.

The digest covers the syntax tree without docstrings, comments, positions, log messages, `TYPE_CHECKING` blocks and the
help texts of arguments. Fields without a value are left out, so that fields which newer versions of Python add to their
trees change nothing.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rollout3d import resources
from rollout3d.code.entries import DECLARING, MODULES, REGISTRIES, SCHEMA, Chosen, selected

PACKAGE = "rollout3d"
BESIDE = ("toyworld",)
"""Packages at the place of `PACKAGE`; paths of their files begin with the package's name."""
PACKAGES = (PACKAGE, *BESIDE)
_DECLARING = tuple(f"{PACKAGE}.{path.removesuffix('.py').replace('/', '.')}" for path in DECLARING)
_SKIPPED_FIELDS = frozenset(("ctx", "kind", "type_comment", "type_ignores"))
_LEVELS = frozenset(("debug", "info", "warning", "error", "exception", "critical", "log"))
_LOGGERS = frozenset(("LOG", "_log", "log", "logging", "logger"))
_PURE = frozenset(("len", "max", "min", "sum", "round", "sorted", "str", "repr", "dict", "list", "join", "items"))
_STATEMENTS = ("body", "orelse", "finalbody")
_TEXTS_OF_ARGUMENTS = frozenset(("help", "metavar", "description"))


@dataclass(frozen=True)
class Source:
    """Contribution of one file to a closure; `imports` are module names, `paths` absolute paths that it builds."""

    digest: str
    imports: tuple[str, ...]
    tables: tuple[str, ...]
    """Names of `rollout3d.tables` that the file uses; "*" if it uses the module as a value."""
    strings: tuple[str, ...]
    """Short string constants, only of a file that uses `tables.TABLES`."""
    paths: tuple[str, ...]


def read(text: str, path: str, location: Path, chosen: Chosen) -> Source:
    """Analyse the text of the file `path` (relative to the package), which lies at `location`."""
    tree = ast.parse(text)
    for (file, variable), key in REGISTRIES.items():
        if file == path:
            _prune(tree, path, variable, selected(chosen, key))
    if path in SCHEMA:
        tree.body = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    if path == "tables/__init__.py":
        # Re-exports of tables: those count whose names other files use.
        tree.body = [n for n in tree.body if not (isinstance(n, ast.ImportFrom) and n.module in _DECLARING)]
    reader = _Reader(module_of(path))
    reader.node(tree)
    used = set() if path.startswith("tables/") else reader.tables_used()
    imports = {*reader.imports, *(_DECLARING if path == "tables/__init__.py" else ())}
    imports |= {f"{reader.module}.*"} if path in MODULES else set()
    return Source(
        hashlib.sha256("\0".join(reader.out).encode("utf-8", "surrogatepass")).hexdigest(),
        tuple(sorted(imports)),
        tuple(sorted(used)),
        tuple(sorted(reader.strings)) if "TABLES" in used else (),
        tuple(sorted(_paths(tree, path, location))) if "__file__" in text or "shipped(" in text else (),
    )


def module_of(path: str) -> tuple[str, bool]:
    """Dotted name of a file, and whether it is a package."""
    parts = path.removesuffix(".py").split("/")
    if parts[0] not in BESIDE:
        parts = [PACKAGE, *parts]
    package = parts[-1] == "__init__"
    return ".".join(parts[:-1] if package else parts), package


class _Reader:
    """Walks a tree once: writes what the digest covers to `out`, and collects imports and names."""

    def __init__(self, module: tuple[str, bool]):
        self.module, self.package = module
        self.out: list[str] = []
        self.imports: set[str] = set()
        self.strings: set[str] = set()
        self._aliases: set[str] = set()
        self._direct: set[str] = set()
        self._attributes: dict[str, set[str]] = {}
        self._names: set[str] = set()

    def node(self, node: ast.AST) -> None:
        out = self.out
        out.append(type(node).__name__)
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                self._names.add(node.id)
            out.append(node.id)
            return
        if isinstance(node, ast.Constant):
            value = node.value
            if isinstance(value, str) and len(value) < 40:
                self.strings.add(value)
            out.append(f"{type(value).__name__}:{value!r}")
            return
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            self._attributes.setdefault(node.value.id, set()).add(node.attr)
            out.append(f"{node.value.id}.{node.attr}")
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            self._import(node)
        elif isinstance(node, ast.Call):
            self._call(node)
        for name in node._fields:
            value = getattr(node, name, None)
            if value is None or name in _SKIPPED_FIELDS:
                continue
            if isinstance(value, list):
                if name in _STATEMENTS:
                    value = [each for each in value if not _idle(each)]
                if value:
                    out.append(f"{name}[")
                    for each in value:
                        if isinstance(each, ast.AST):
                            self.node(each)
                        else:
                            out.append(repr(each))
                    out.append("]")
            elif isinstance(value, ast.AST):
                out.append(f"{name}=")
                self.node(value)
            else:
                out.append(f"{name}={value!r}")
        out.append(")")

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        if isinstance(node, ast.Import):
            self.imports |= {alias.name for alias in node.names if alias.name.split(".")[0] in PACKAGES}
            if any(alias.name == f"{PACKAGE}.tables" for alias in node.names):
                self._aliases |= {alias.asname or "" for alias in node.names}
            return
        base = node.module or ""
        if node.level:
            above = self.module.split(".")
            above = above[: len(above) - node.level + self.package]
            base = ".".join([*above, *([node.module] if node.module else [])])
        if base.split(".")[0] not in PACKAGES:
            return
        self.imports.add(base)
        self.imports |= {f"{base}.{alias.name}" for alias in node.names}
        for alias in node.names:
            if base == PACKAGE and alias.name == "tables":
                self._aliases.add(alias.asname or alias.name)
            elif base in (f"{PACKAGE}.tables", *_DECLARING):
                self._direct.add(alias.name)

    def _call(self, node: ast.Call) -> None:
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in ("add_argument", "ArgumentParser"):
            node.keywords = [each for each in node.keywords if each.arg not in _TEXTS_OF_ARGUMENTS]
        elif name in ("import_module", "__import__") and node.args:
            pattern = _pattern(node.args[0])
            if pattern.split(".")[0] in (*PACKAGES, "*"):
                self.imports.add(pattern)

    def tables_used(self) -> set[str]:
        used = set(self._direct)
        for alias in self._aliases:
            used |= self._attributes.get(alias, set())
            if alias in self._names:
                used.add("*")
        return used


def _pattern(node: ast.expr) -> str:
    """The module that an expression names, with * for each part that is known only when the code runs."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)
    return "*"


def _idle(node: ast.stmt) -> bool:
    """Return whether a statement cannot change a result: a text, `pass`, a log message, names for the type checker."""
    if isinstance(node, ast.Pass):
        return True
    if isinstance(node, ast.If) and not node.orelse:
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    if not isinstance(node, ast.Expr):
        return False
    call = node.value
    if isinstance(call, ast.Constant):
        return True
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr in _LEVELS):
        return False
    if not (isinstance(call.func.value, ast.Name) and call.func.value.id in _LOGGERS):
        return False
    inside = [each for argument in (*call.args, *call.keywords) for each in ast.walk(argument)]
    return not any(
        isinstance(each, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom)
        or (isinstance(each, ast.Call) and _called(each) not in _PURE)
        for each in inside
    )


def _called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def _prune(tree: ast.Module, path: str, variable: str, entries: frozenset[str] | None) -> None:
    """Remove from a registry's file the items that are not chosen, and what only they use."""
    registry = _assigned(tree, variable)
    if registry is None:
        raise ValueError(f"{path}: has no dictionary {variable} at module level; correct rollout3d/code/entries.py")
    dropped: list[ast.expr] = []
    if isinstance(registry, ast.Dict) and all(isinstance(key, ast.Constant) for key in registry.keys):
        items = list(zip(registry.keys, registry.values, strict=True))
        kept = [(k, v) for k, v in items if entries is None or (isinstance(k, ast.Constant) and k.value in entries)]
        dropped = [value for key, value in items if (key, value) not in kept]
        registry.keys, registry.values = [key for key, _ in kept], [value for _, value in kept]
    elif isinstance(registry, ast.DictComp) and isinstance(registry.generators[0].iter, ast.Tuple):
        listed = registry.generators[0].iter
        dropped = [e for e in listed.elts if entries is not None and not (isinstance(e, ast.Name) and e.id in entries)]
        listed.elts = [each for each in listed.elts if each not in dropped]
    else:
        raise ValueError(
            f"{path}: {variable} is neither a literal nor a comprehension; correct rollout3d/code/source.py"
        )
    gone = {name for value in dropped for name in _names(value)}
    tree.body = [
        each for each in tree.body if not (isinstance(each, ast.FunctionDef) and each.name in gone - _used(tree, each))
    ]
    gone -= _used(tree)
    for each in tree.body:
        if isinstance(each, ast.ImportFrom):
            each.names = [alias for alias in each.names if (alias.asname or alias.name) not in gone]
    tree.body = [each for each in tree.body if not (isinstance(each, ast.ImportFrom) and not each.names)]


def _assigned(tree: ast.Module, variable: str) -> ast.expr | None:
    """Return the value that a file assigns to a variable at module level; None if it assigns none."""
    for node in tree.body:
        if isinstance(node, ast.AnnAssign):
            targets: list[ast.expr] = [node.target]
        elif isinstance(node, ast.Assign):
            targets = node.targets
        else:
            continue
        if any(isinstance(each, ast.Name) and each.id == variable for each in targets):
            return node.value
    return None


def _names(node: ast.AST) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))


def _used(tree: ast.Module, but: ast.stmt | None = None) -> set[str]:
    return {name for each in tree.body if each is not but for name in _names(each)}


def _paths(tree: ast.Module, path: str, location: Path) -> set[str]:
    """Return the paths that a file builds from its own place, such as `Path(__file__).parent / "templates"`, or takes
    from `resources.shipped("resources/prompts")`."""
    above = location.parents[path.count("/")]
    root = resources.root(above / PACKAGE if path.split("/")[0] in BESIDE else above)
    known: dict[str, Path] = {}
    found: set[str] = set()

    def value(node: ast.AST) -> Path | None:
        if isinstance(node, ast.Name):
            return known.get(node.id)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Path":
            return location if [getattr(each, "id", "") for each in node.args] == ["__file__"] else None
        if isinstance(node, ast.Call) and _called(node) == "shipped":
            named = node.args[0] if node.args else None
            return root / str(named.value) if isinstance(named, ast.Constant) else None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
            return value(node.func.value) if node.func.attr in ("resolve", "absolute") else None
        if isinstance(node, ast.Attribute) and node.attr == "parent":
            inner = value(node.value)
            return inner and inner.parent
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute) and node.value.attr == "parents":
            inner = value(node.value.value)
            if inner and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, int):
                return inner.parents[node.slice.value]
            return None
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
            inner = value(node.left)
            return inner and inner / str(node.right.value)
        return None

    def visit(node: ast.AST) -> None:
        built = None if isinstance(node, ast.Name) else value(node)
        if built is not None:
            found.add(str(built))
            return
        for child in ast.iter_child_nodes(node):
            visit(child)

    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            named = value(node.value)
            if named is not None:
                known[node.targets[0].id] = named
        visit(node)
    return found
