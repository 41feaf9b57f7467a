"""Refuse wordings that the house language rules out: `python .ci/prose.py [--update] [FILE ...]`.

Read are docstrings, comments, help texts and messages of errors of Python files, comments of Snakemake files and
Makefile, and Markdown outside code. Each finding is printed as `file:line: what: remedy`. The rules are those that a
machine can check without being wrong; CONTRIBUTING.md has all of them. Words in bold in the column "never" of
docs/glossary.md are refused everywhere.

Identifiers are read too, outside tests. Files that were not rewritten yet stand in `.ci/prose_later.txt` and are
passed over. `--update` takes out of that list what has become clean or is gone, and adds nothing.

Exit status: 0 nothing found, 1 something found, 2 an argument that is no file.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LATER = ROOT / ".ci" / "prose_later.txt"
GLOSSARY = ROOT / "docs" / "glossary.md"
NOT_OURS = re.compile(r"/three/|^resources/|^LICENSE")
"""Texts of others, and texts that enter prompts or exported models."""


@dataclass(frozen=True)
class Passage:
    """A piece of prose: `line` is where it begins; `docstring`: its first sentence stands alone in an editor."""

    line: int
    text: str
    docstring: bool = False


@dataclass(frozen=True)
class Rule:
    """`name`: what is found; `pattern`: where; `remedy`: what to write; `first`: only at a docstring's beginning."""

    name: str
    pattern: re.Pattern[str]
    remedy: str
    first: bool = False


def _rule(name: str, pattern: str, remedy: str, first: bool = False) -> Rule:
    return Rule(name, re.compile(pattern, re.IGNORECASE), remedy, first)


_UNIT = (
    r"(second|minute|hour|day|token|frame|step|answer|scan|room|scene|question|shard|run|gpu|rank|process|batch|sample"
    r"|group|epoch|pixel|object|parameter|completion|prompt|type|category|space|node|job|update|dataset|rule|stage)"
)
_COUNTED = (
    r"(once|twice|times|seconds|minutes|hours|frames|tokens|bytes|points|pixels|questions|answers|samples|rows|steps"
    r"|rooms|scans|gpus|images|pictures|objects|characters|requests|rollouts|completions|prompts|cores|cells|dollars"
    r"|[kmg]i?b|ms|fps|\d[\d,]*(\.\d+)?)"
)
_SINGLE = (
    r"(row|row group|line|process|trainer|thread|room|shard|frame|file|call|step|video|picture|answer|question|job"
    r"|result|request|reply|token|prompt|sample|entry|folder|pass|check|message|reward|row of \w+|thin file)"
)

RULES = [
    _rule(
        "docstring begins with 'Whether'", r"^\s*whether\b", "write 'Return whether ...' or 'True if ...'", first=True
    ),
    _rule(
        "docstring leans on its neighbour",
        r"^\s*(the same (of|as|for|with|from|in)\b|as above|see above|ditto|likewise\b)",
        "a docstring stands alone: repeat what is needed",
        first=True,
    ),
    _rule(
        "docstring is a question",
        r"^[^.!\n]*\?(\s|$)",
        "say what it does or is, as a verb or a noun phrase",
        first=True,
    ),
    _rule("rate with 'a'", rf"(?<![\w-]){_COUNTED} an? {_UNIT}\b(?!['’-])", "write 'per'"),
    _rule("rate with 'a'", rf"\bone (\w+ )?{_SINGLE} an? (training )?{_UNIT}\b(?!['’-])", "write 'one ... per ...'"),
    _rule(
        "'less' for minus",
        r"(?<!no )(?<!or )(?<!much )(?<!and )\bless (the|those|black|that of|one with|its)\b",
        "write 'minus', and say which sign means what",
    ),
    _rule("personification", r"\b(wish|wishes|wished|politely|onlookers?)\b", "say what is read, compared or raised"),
    _rule("'mend'", r"\bmend(s|ed|ing)?\b", "write 'repair', 'correct' or what to do"),
    _rule("'engine' of answering", r"\bengine of answering\b", "write 'back end': transformers or vLLM"),
]

BANNED_NAMES = re.compile(r"^(.*_)?(chances|told)$")
LOG_PROBABILITIES = re.compile(r"^workflow/(rollout3d/(model|training)|toyworld)/")
"""Where an identifier `chance` would be a log-probability. Elsewhere it is the score of guessing, as in the tables."""


IDIOMS = {
    "told": r"(?! apart)",
    "chance": "".join(rf"(?<!{word} chance)" for word in ("by", "at", "to", "than", "above")) + r"(?! level| rate)",
}
"""Uses of a refused word that are plain English, as what must not stand beside it."""


def glossary_rules(text: str) -> list[Rule]:
    """Rules from the words in bold in the last column of the glossary's tables: `| say | for | never |`."""
    rules = []
    for row in re.findall(r"^\|(.+)\|$", text, re.MULTILINE):
        cells = [cell.strip() for cell in row.split("|")]
        for words in re.findall(r"\*\*([^*]+)\*\*", cells[-1]):
            pattern = rf"(?<![\w`-]){re.escape(words)}(?![\w`-]){IDIOMS.get(words, '')}"
            rules.append(_rule(f"'{words}'", pattern, f"write '{cells[0]}' ({GLOSSARY.relative_to(ROOT)})"))
    return rules


def _plain(text: str) -> str:
    """Blank out inline code, quotations and addresses, keeping lengths and line breaks."""
    blank = lambda match: re.sub(r"[^\n]", " ", match[0])  # noqa: E731
    return re.sub(r"``[^`]+``|`[^`\n]+`|\"[^\"\n]{1,80}\"|https?://\S+|\]\([^)\s]*\)", blank, text)


def _messages(tree: ast.AST) -> Iterator[ast.Constant]:
    """String constants of help texts and of raised errors."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in ("help", "description", "epilog"):
            roots: list[ast.AST] = [node.value]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            roots = list(node.exc.args)
        else:
            continue
        for root in roots:
            for part in ast.walk(root):
                if isinstance(part, ast.Constant) and isinstance(part.value, str) and " " in part.value:
                    yield part


def python_passages(text: str) -> Iterator[Passage]:
    """Docstrings (of modules, classes, functions, attributes), comments, help texts and messages of a Python file."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield Passage(node.lineno, node.value.value, docstring=True)
    for constant in _messages(tree):
        yield Passage(constant.lineno, str(constant.value))
    run: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT or token.string.startswith("#!"):
            continue
        if run and token.start[0] == last + 1:
            run.append(token.string.lstrip("# "))
        else:
            if run:
                yield Passage(start, "\n".join(run))
            run, start = [token.string.lstrip("# ")], token.start[0]
        last = token.start[0]
    if run:
        yield Passage(start, "\n".join(run))


def hash_passages(text: str) -> Iterator[Passage]:
    """Whole-line comments of a Snakemake file or Makefile."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            yield Passage(number, line.lstrip().lstrip("# "))


def markdown_passages(text: str) -> Iterator[Passage]:
    """All of a Markdown file but its code."""
    keep = re.sub(r"^```.*?^```", lambda match: re.sub(r"[^\n]", " ", match[0]), text, flags=re.DOTALL | re.MULTILINE)
    yield Passage(1, keep)


def passages(name: str, text: str) -> Iterator[Passage]:
    """Prose of a file, by the ending of its name."""
    if name.endswith(".py"):
        yield from python_passages(text)
    elif name.endswith(".md"):
        yield from markdown_passages(text)
    else:
        yield from hash_passages(text)


def names(text: str) -> Iterator[tuple[int, str]]:
    """Line and name of each identifier that a Python file defines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            name = node.name
        else:
            continue
        yield node.lineno, name


def check(name: str, text: str, rules: list[Rule]) -> list[str]:
    """Findings of one file as `file:line: what: remedy`, in the order of lines."""
    found: dict[tuple[int, str], str] = {}
    for passage in passages(name, text):
        plain = _plain(passage.text)
        if name == str(GLOSSARY.relative_to(ROOT)):
            plain = re.sub(r"\*\*[^*]+\*\*", lambda match: " " * len(match[0]), plain)
        for rule in rules:
            if rule.first and not passage.docstring:
                continue
            matches = [rule.pattern.match(plain)] if rule.first else rule.pattern.finditer(plain)
            for match in filter(None, matches):
                line = passage.line + plain.count("\n", 0, match.start())
                quoted = " ".join(passage.text[match.start() : match.end()].split())[:60]
                found[line, rule.name] = f"{name}:{line}: {rule.name} ('{quoted}'): {rule.remedy}"
    if name.endswith(".py") and not name.startswith("tests/"):
        for line, identifier in names(text):
            if not (BANNED_NAMES.match(identifier) or (identifier == "chance" and LOG_PROBABILITIES.match(name))):
                continue
            found[line, identifier] = f"{name}:{line}: identifier '{identifier}': use a word of the glossary"
    return [found[key] for key in sorted(found)]


def tracked() -> list[str]:
    """Files to read, relative to the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    kinds = (".py", ".md", ".smk", "Snakefile", "Makefile")
    return sorted(n for n in listed if n.endswith(kinds) and not NOT_OURS.search(n) and (ROOT / n).is_file())


def later() -> list[str]:
    """Files that are passed over until they are rewritten."""
    lines = LATER.read_text().splitlines() if LATER.exists() else []
    return [line for line in lines if line and not line.startswith("#")]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", help="files to check, listed or not; default: all that are not listed")
    parser.add_argument("--update", action="store_true", help="take clean and deleted files out of .ci/prose_later.txt")
    args = parser.parse_args()
    rules = [*RULES, *glossary_rules(GLOSSARY.read_text(encoding="utf-8") if GLOSSARY.exists() else "")]
    known, postponed = tracked(), later()
    asked = [str(Path(file).resolve().relative_to(ROOT)) for file in args.files]
    if missing := [file for file in asked if not (ROOT / file).is_file()]:
        print(f"no such file: {', '.join(missing)}", file=sys.stderr)
        return 2
    found = {name: check(name, (ROOT / name).read_text(encoding="utf-8"), rules) for name in asked or known}
    if args.update:
        head = [line for line in LATER.read_text().splitlines() if line.startswith("#")]
        LATER.write_text("\n".join([*head, *(name for name in postponed if found.get(name))]) + "\n")
    shown = {name: lines for name, lines in found.items() if lines and (asked or name not in postponed)}
    for lines in shown.values():
        print("\n".join(lines))
    clean = [name for name in postponed if not found.get(name, ["not read"])]
    if clean and not asked and not args.update:
        print(f"prose: {len(clean)} listed files are clean: python .ci/prose.py --update", file=sys.stderr)
    return 1 if shown else 0


if __name__ == "__main__":
    sys.exit(main())
