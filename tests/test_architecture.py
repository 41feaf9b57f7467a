"""The layers of the package: nothing imports from a higher layer, or from a neighbour that must stay independent."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "workflow" / "rollout3d"
TOYWORLD = PACKAGE.parent / "toyworld"
ROOMS = ("rooms", "rendering", "writers")
"""Parts of the toy world that serve as a reference for readers and geometry."""

FLOORS = [
    {
        "cluster",
        "failures",
        "files",
        "code",
        "doors",
        "errors",
        "fingerprint",
        "flags",
        "tables",
        "config",
        "provenance",
        "seeding",
        "texts",
        "progress",
        "resources",
        "releases",
        "resize",
    },
    {"geometry"},
    {"scenes"},
    {"questions", "scoring", "teacher", "model"},
    {"imports", "difficulty", "cot", "training", "evaluation"},
    {"report", "preflight", "planning", "publish"},
    {"study", "stages"},
]
STRANGERS = [{"imports"}, {"difficulty"}, {"cot"}, {"training"}, {"evaluation"}]
"""Modules of one layer that must not import each other."""


def imports(path: Path, package: str = "rollout3d") -> set[str]:
    """Return the names of a package's modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= set(names) if node.module == package else {node.module, *names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == package}
    return found


def room(module: str) -> str:
    return module.split(".")[1]


def floor(name: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if name in rooms)


FILES = [p for p in sorted(PACKAGE.rglob("*.py")) if p.parent != PACKAGE or p.stem not in ("__init__", "__main__")]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_imports_upward_or_from_a_stranger(path):
    here = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(path):
        there = room(module)
        assert floor(there) <= floor(here), f"{path} imports {module} from a floor above"
        if {here} in STRANGERS and {there} in STRANGERS:
            assert here == there, f"{path} imports {module} from a room beside it"


def test_rollout3d_never_imports_the_toy_world():
    for path in FILES:
        names = imports(path, "toyworld")
        assert not names, f"{path} imports {names}"


def test_toy_rooms_and_writers_share_no_code_with_readers_or_geometry():
    files = [*TOYWORLD.glob("*.py"), *(p for part in ROOMS for p in (TOYWORLD / part).glob("*.py"))]
    assert len(files) > 20
    for path in files:
        for module in imports(path):
            assert floor(room(module)) == 0, f"{path} imports {module}"
        inside = {name.split(".")[1] for name in imports(path, "toyworld") if "." in name}
        assert not inside & {"model", "stages"}, f"{path} imports {inside}"


@pytest.mark.parametrize("name", ["torch", "open3d", "cv2", "av", "numba", "transformers", "scipy"])
def test_what_the_snakefile_imports_is_light(name):
    light = [p for m in FLOORS[0] - {"resize"} for p in (*PACKAGE.glob(f"{m}.py"), *PACKAGE.glob(f"{m}/*.py"))]
    assert len(light) > 8
    light += [*(PACKAGE / "preflight").glob("*.py"), PACKAGE / "model" / "directory.py"]
    for path in [*light, PACKAGE / "stages" / "registry.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(n.split(".")[0] == name for n in names), f"{path} imports {name}"


def test_no_file_is_longer_than_a_person_reads():
    root = PACKAGE.parents[1]
    files = [p for folder in ("workflow", "tests", "rules") for p in (root / folder).rglob("*.[ps][ym]*")]
    lengths = {str(p.relative_to(root)): len(p.read_text().splitlines()) for p in files if p.suffix in (".py", ".smk")}
    long = {name: n for name, n in lengths.items() if n > 420 and not name.endswith("tables/rows.py")}  # made
    assert not long, f"split these: {long}"
