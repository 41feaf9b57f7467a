"""The lint of the house language: what it refuses, what it lets pass, and that it reads the glossary."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("prose", ROOT / ".ci" / "prose.py")
prose = importlib.util.module_from_spec(_SPEC)
sys.modules["prose"] = prose
_SPEC.loader.exec_module(prose)

RULES = [*prose.RULES, *prose.glossary_rules((ROOT / "docs" / "glossary.md").read_text())]


def check(text: str, name: str = "workflow/rollout3d/model/some.py") -> list[str]:
    return prose.check(name, text, RULES)


@pytest.mark.parametrize(
    ("text", "line", "remedy"),
    [
        ('def f():\n    """Whether a scan is read."""\n', 2, "Return whether"),
        ('"""The same of each row."""\n', 1, "stands alone"),
        ('"""Is one scan read rightly?"""\n', 1, "noun phrase"),
        ("# Tokens an answer.\n", 1, "per"),
        ("x = 1  # 24 frames a second\n", 1, "per"),
        ('"""One row a room."""\n', 1, "per"),
        ("# the score with the video less the one with black frames\n", 1, "minus"),
        ("# first line\n# what the sampler told the trainer\n", 2, "log-probability"),
        ("# the chance of each token\n", 1, "probability"),
        ("# one for each kind of question\n", 1, "question type"),
        ("def f(told):\n    return told\n", 1, "glossary"),
        ("chance = 1\n", 1, "glossary"),
        ('parser.add_argument("x", help="tokens a step")\n', 1, "per"),
        ('raise ValueError(f"{n} frames a second")\n', 1, "per"),
    ],
)
def test_a_wording_is_refused_with_its_line_and_remedy(text, line, remedy):
    found = check(text)
    assert len(found) == 1 and found[0].startswith(f"workflow/rollout3d/model/some.py:{line}: ") and remedy in found[0]


@pytest.mark.parametrize(
    "text",
    [
        '"""Return whether a scan is read."""\n',
        "# Rooms are told apart by their walls, by chance. Scores above chance, no less the better.\n",
        "# The column `chance` is the score of guessing.\n",
        'prompt = "How many frames a second?"\n',
        "# It reads a scan, makes a frame, and one of a group is a sample.\n",
        "# frames per second; a person's steps in a room\n",
    ],
)
def test_plain_wordings_pass(text):
    assert not check(text)


def test_code_in_documents_is_not_read():
    text = "Read `told` and:\n\n```\nthe told, tokens a step\n```\n\nOne row a run.\n"
    assert [line.split(":")[1] for line in check(text, "docs/some.md")] == ["7"]


def test_words_of_the_glossary_are_refused_elsewhere_only():
    text = "| say | for | never |\n|---|---|---|\n| space | a room | **lokal** |\n"
    (rule,) = prose.glossary_rules(text)
    assert rule.pattern.search("in a lokal here") and not rule.pattern.search("lokality")
    assert prose.check("workflow/a.py", "# a lokal\n", [rule])


def test_listed_files_exist_and_a_new_file_is_checked(tmp_path):
    assert all((ROOT / name).exists() for name in ["docs/glossary.md", ".ci/prose_later.txt"])
    file = ROOT / ".ci" / "prose.py"
    done = subprocess.run([sys.executable, file, str(file)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    gone = subprocess.run([sys.executable, file, str(ROOT / "gone.py")], capture_output=True, text=True, check=False)
    assert gone.returncode == 2 and "gone.py" in gone.stderr
