"""What scripts write into documents is what they would write now: figures of the demo, drawings, list of floors."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs"))
import drawings  # noqa: E402
import figures  # noqa: E402

import seconds  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
MOST = 200_000
"""Bytes of a picture at most."""


def test_figures_of_the_readme_are_those_of_the_last_demo():
    kept = json.loads(figures.FIGURES.read_text())
    (shown,) = figures.BLOCK.findall(figures.README.read_text())
    assert shown == figures.block(kept), "python docs/figures.py --from-json"


@pytest.mark.parametrize("path", drawings.made(), ids=lambda path: path.name)
def test_drawings_and_floors_are_up_to_date(path):
    assert path.read_text() == drawings.made()[path], "python docs/drawings.py"


def test_floors_of_the_page_are_those_that_the_test_of_imports_holds():
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (\d) \| `(\w+)` \| (.+) \|$", page, re.MULTILINE)
    floors = [{room for number, room, _ in rows if int(number) == i} for i in range(len(drawings.floors()))]
    assert floors == drawings.floors()
    assert all(len(words) > 20 for _, _, words in rows)


@pytest.mark.parametrize("path", sorted(PICTURES.iterdir()), ids=lambda path: path.name)
def test_pictures_are_small_and_shown(path):
    assert path.stat().st_size < MOST
    shown = [(ROOT / "README.md").read_text(), (ROOT / "docs" / "architecture.md").read_text()]
    assert any(f"pictures/{path.name}" in text for text in shown)


def test_the_map_of_the_tests_has_every_folder():
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    listed = re.findall(r"^\| `(\w+)` \|", (ROOT / "tests" / "README.md").read_text(), re.MULTILINE)
    assert sorted(folders - {"__pycache__"}) == listed


def test_seconds_of_a_run_are_written_into_the_map(tmp_path):
    (tmp_path / "junit.xml").write_text(
        '<testsuite><testcase classname="tests.model.test_a" time="1.6"/><testcase classname="tests.model.test_b" '
        'time="1.1"/><testcase classname="tests.scenes.test_c" time="9"><skipped/></testcase></testsuite>'
    )
    times = seconds.measured(tmp_path / "junit.xml")
    assert times == {"model": (2, pytest.approx(2.7))}
    page = "machine of the last measurement: -.\n| `model` | x | - | - |\n| `scenes` | y | - | - |\n"
    expected = "machine of the last measurement: mine.\n| `model` | x | 2 | 3 |\n| `scenes` | y | - | - |\n"
    assert seconds.written(page, times, "mine") == expected
