"""Every flag that the readers raise is documented."""

import ast
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from rollout3d import flags
from rollout3d.scenes import scan as here

ROOT = Path(here.__file__).parents[3]
MODULES = sorted(Path(here.__file__).parent.rglob("*.py"))
KNOWN = [flags.name_of(form) for group in flags.FLAGS.values() for form in group]


def is_flags(node):
    name = getattr(node, "id", getattr(node, "attr", ""))
    return name in ("flag", "flags", "odd") or any(is_flags(part) for part in getattr(node, "elts", ()))


def texts(node):
    """Patterns of the texts that a value may hold: what is filled in is a star."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(part.value if isinstance(part, ast.Constant) else "*" for part in node.values)
    elif not isinstance(node, ast.Compare | ast.Call | ast.Subscript):
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def raised(tree):
    """Patterns of the names of flags that a module raises."""
    for node in ast.walk(tree):
        values = []
        if isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            values = [node.value] if any(map(is_flags, targets)) else []
        elif isinstance(node, ast.For | ast.comprehension) and is_flags(node.target):
            values = [node.iter]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "append" and is_flags(node.func.value):
            values = node.args
        elif isinstance(node, ast.keyword) and node.arg == "flags":
            values = [node.value]
        elif isinstance(node, ast.FunctionDef) and node.name.endswith("_flags"):
            values = [part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value]
        for value in values:
            yield from (flags.name_of(text) for text in texts(value) if text.strip("*:"))


def test_the_search_finds_flags_of_every_writing():
    tree = ast.parse(
        'def odd_flags():\n    return [f"{what}_gone:{n}"]\n'
        'flags = ["a"] if x == "no" else []\nself.flags += [f"b:{n}"]\nroom.flags.append("c")\n'
        'for flag in [f"d:{name}"] * 2:\n    pass\nRoom(flags=["e"])\n'
    )
    assert sorted(set(raised(tree))) == ["*_gone", "a", "b", "c", "d", "e"]
    every = {name for path in MODULES for name in raised(ast.parse(path.read_text()))}
    assert {"no_axis_alignment", "lost_frames", "flat_box", "meta_only", "refused_box", "*_unreadable"} <= every


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_flag_that_code_raises_is_documented(path):
    unknown = [
        name
        for name in raised(ast.parse(path.read_text()))
        if name not in KNOWN and not ("*" in name and any(fnmatchcase(known, name) for known in KNOWN))
    ]
    assert not unknown, f"{path.name} raises flags that workflow/rollout3d/flags.py does not explain: {unknown}"


def test_flags_of_real_scenes_are_documented(made):
    for scene in made.rows["scenes"]:
        assert all(flags.meaning(flag) for flag in scene["flags"]), scene["flags"]


def test_a_flag_has_one_name_and_a_sentence():
    assert len(set(KNOWN)) == len(KNOWN)
    assert all(text.endswith(".") for group in flags.FLAGS.values() for text in group.values())
    assert flags.meaning("lost_frames:12").startswith("N stored frames have no pose") and flags.meaning("new") is None


def test_the_page_of_flags_is_up_to_date():
    assert (ROOT / "docs" / "flags.md").read_text() == flags.markdown(), "python -m rollout3d.flags > docs/flags.md"
