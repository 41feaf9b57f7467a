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
