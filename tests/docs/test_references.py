"""Documents, docstrings and comments refer only to what the repository holds."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ELSEWHERE = [
    (
        r"\(design[:)]|\(design, section|\bdesign,? (section )?\d|\[design\]",
        "state the reason itself: there is no design document here",
    ),
    (r"\bfacts,? (section )?\d|\bdataset facts\b|\bfacts/\w+\.md", "state the fact and its public source"),
    (r"\b(the|this|our) issue\b", "state the reason: issues are not in the repository"),
]
"""Wordings that point at a document outside the repository, and what to write instead."""
ISSUE = re.compile(r"(?P<before>\S*)\s+\(?issues? #?\d")
PROJECTS = re.compile(r"pytorch|thinking-in-space|snakemake|transformers|vllm|[\w-]+/[\w-]+", re.IGNORECASE)
"""Public trackers: an issue's number is of use only beside one of these."""

PATHS = re.compile(
    r"(?<![\w/.{}<$-])(?:docs|config|tests|resources|benchmarks|slurm|envs|rules|workflow)/[\w./-]*\.(?:md|py|yaml|tsv|csv|smk|sh)\b"
)
NOT_PATHS = {"config/local.yaml", "config/presets/NAME.yaml", "config/recipes/NAME.yaml"}
"""Files that a user makes."""
LINK = re.compile(r"(?<!!)\[[^\]]*\]\((?P<target>[^)\s]+)\)|!\[[^\]]*\]\((?P<picture>[^)\s]+)\)")
MADE = {"tests/docs/test_references.py"}


@cache
def tracked() -> list[str]:
    """Files of the repository, tracked or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


TEXTS = [
    name
    for name in tracked()
    if name.endswith((".py", ".smk", ".md", ".yaml", ".toml", ".sh", "Snakefile", "Makefile"))
    and name not in MADE
    and "/three/" not in name
]


def texts() -> list[tuple[str, str]]:
    return [(name, (ROOT / name).read_text(encoding="utf-8")) for name in TEXTS]


def line(text: str, at: int) -> int:
    return text.count("\n", 0, at) + 1


@pytest.mark.parametrize(("pattern", "remedy"), ELSEWHERE, ids=["design", "facts", "issue"])
def test_no_text_refers_to_a_document_that_is_not_here(pattern, remedy):
    found = [
        f"{name}:{line(text, match.start())}: '{match[0]}': {remedy}"
        for name, text in texts()
        for match in re.finditer(pattern, text)
    ]
    assert not found, "\n".join(found)


def test_a_number_of_an_issue_names_its_public_tracker():
    found = [
        f"{name}:{line(text, match.start())}: '{match[0]}': name the project"
        for name, text in texts()
        for match in ISSUE.finditer(text)
        if not PROJECTS.search(match["before"])
    ]
    assert not found, "\n".join(found)


def test_paths_that_documents_and_code_name_exist():
    present = set(tracked())
    found = [
        f"{name}:{line(text, match.start())}: {match[0]} does not exist"
        for name, text in texts()
        if not name.startswith("tests/")
        for match in PATHS.finditer(text)
        if match[0] not in NOT_PATHS and not present & {match[0], f"workflow/rollout3d/{match[0]}"}
    ]
    assert not found, "\n".join(found)


def anchors(text: str) -> set[str]:
    """Anchors of a Markdown file's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", [n for n in TEXTS if n.endswith(".md") and not n.startswith("resources/")])
def test_links_of_a_document_lead_somewhere(name):
    path, found = ROOT / name, []
    text = path.read_text(encoding="utf-8")
    for match in LINK.finditer(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        target = match["target"] or match["picture"]
        if re.match(r"https?://|mailto:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        if not there.exists():
            found.append(f"{name}: {target}: no such file")
        elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text(encoding="utf-8")):
            found.append(f"{name}: {target}: no such heading")
    assert not found, "\n".join(found)
