"""The examples of docs/adding.md: each is laid into a copy of the package as one new file, and loaded by its name."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rollout3d import doors

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "adding.md"
EXAMPLES = dict(re.findall(r"```python\n# (\S+\.py)\n(.*?)```", PAGE.read_text(), re.DOTALL))
KINDS = [door for door in doors.DOORS if door.key != "table"]
"""Doors of the page: a table of the paper is no thing that a study adds."""

LOAD = """
import inspect, sys
from importlib import import_module
from rollout3d import doors

folder, _, name = sys.argv[1].removesuffix(".py").rpartition("/")
door = next(door for door in doors.DOORS if door.folder == folder)
assert name in door.names
thing = door.load(name)
package = import_module("rollout3d." + folder.replace("/", "."))
protocols = [value for value in vars(package).values()
             if getattr(value, "_is_protocol", False) and value.__module__ == package.__name__]
asked = {member for protocol in protocols if "file of this folder" in (protocol.__doc__ or "")
         for member, value in vars(protocol).items() if inspect.isfunction(value) and not member.startswith("_")}
optional = {"estimate", "question_files", "references", "of_split", "cell"}
lacking = {member for member in asked - optional if not callable(getattr(thing, member, None))}
assert not lacking, lacking
assert asked or hasattr(thing, "TYPE"), "no protocol found"
print(sorted(asked))
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("adding") / "workflow"
    shutil.copytree(ROOT / "workflow", folder, ignore=shutil.ignore_patterns("__pycache__"))
    for data in ("resources", "config", "rules"):
        if (ROOT / data).is_dir():
            shutil.copytree(ROOT / data, folder.parent / data)
    for name, text in EXAMPLES.items():
        path = folder / "rollout3d" / name
        assert not path.exists() and path.parent.is_dir(), f"docs/adding.md: {name}"
        path.write_text(text)
    return folder


@pytest.mark.parametrize("door", KINDS, ids=lambda door: door.key)
def test_every_door_has_a_part_of_the_page_and_an_example(door):
    text = PAGE.read_text()
    assert f"`{door.folder}/`" in text, f"docs/adding.md: the table lacks {door.folder}"
    assert f"\n## {door.key.replace('_', ' ').capitalize()}\n" in text
    assert any(name.startswith(f"{door.folder}/") for name in EXAMPLES), f"docs/adding.md has no {door.key}"


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_found_by_its_file_name_and_defines_what_its_kind_asks(copy, name):
    run = subprocess.run(
        [sys.executable, "-c", LOAD, name],
        env={"PYTHONPATH": str(copy), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_paths_of_the_page_exist():
    for name in re.findall(r"`(tests/[\w/.]+\.py)`", PAGE.read_text()):
        assert (ROOT / name).is_file(), name
