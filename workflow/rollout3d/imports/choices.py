"""Options and answers of released choice questions, in every form that releases give them.

Options stand in a list, in a dictionary by letter, or in the text only: below "Options:", or behind the question with
letters ("A.", "a)", "(A)"), one a line or in a row. Answers are letters, texts of options, or both. What names no
option, or two, is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from rollout3d.imports.records import Unusable
from rollout3d.questions.rel_direction import RULES as DIRECTIONS
from rollout3d.questions.templates import LETTERS

_OPTION = re.compile(r"\(?([A-Za-z])\s*[.):\]]\s*(\S.*)", re.DOTALL)
_HEADING = re.compile(r"\s*^\s*(?:Options|Choices|Candidates|Answer choices)\b[^\n:]{0,30}:[ \t]*", re.I | re.M)
_INLINE_HEADING = re.compile(r"\s+(?:Options|Choices|Candidates)\s*:[ \t]*(?=\S)", re.I)
_MARK = re.compile(r"(?:(?<=\n)|(?<=[\s,;])|^)(?:\(([A-Za-z])\)|([A-Za-z])[.):])\s+(?=\S)")
_ANSWER = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+|final\s+|right\s+)?(?:answer|option|choice)(?:\s+is\b)?\s*:?\s*)+", re.I
)
_SIDE = re.compile(
    r"(?:(?:it\s+is|to|on|at|in|the|my|your|its)\s+)*(?:(front|back|behind)[\s-]*)?"
    r"(?:(left|right)(?:[\s-]*(?:hand\s+)?side)?)?"
    r"(?:\s+of\s+.*)?"
)


def split_options(text: str, given: bool = False) -> tuple[str, list[str]]:
    """A question and the options that stand in its text, as given; no options if there are none.

    A text without a heading has options only if a row of at least two letters from A on ends it. With `given`, the
    record has a field of options, and the text is cut at a heading only.
    """
    found = _HEADING.search(text) or (None if given else _INLINE_HEADING.search(text))
    if found:
        asked, listed = text[: found.start()], text[found.end() :].strip()
        return asked.strip(), _marked(listed)[1] or _unmarked(listed)
    start, options = (len(text), []) if given else _marked(text)
    return (text[:start].strip(), options) if options and text[:start].strip() else (text.strip(), [])


def _marked(text: str) -> tuple[int, list[str]]:
    """Where a row of letters A, B, ... begins that goes to the end of the text, and its options with their letters."""
    marks = [(m.start(), m.end(), m[1] or m[2]) for m in _MARK.finditer(text)]
    for first in reversed([k for k, mark in enumerate(marks) if mark[2] in "Aa"]):
        row = marks[first:]
        letters = LETTERS if row[0][2] == "A" else LETTERS.lower()
        # A letter out of turn belongs to an option's own text.
        row = _in_turn(row, letters)
        if len(row) > 1:
            ends = [mark[0] for mark in row[1:]] + [len(text)]
            texts = [text[mark[1] : end].strip().strip(",;").strip() for mark, end in zip(row, ends, strict=True)]
            return row[0][0], [f"{mark[2]}. {option}" for mark, option in zip(row, texts, strict=True)]
    return len(text), []


def _in_turn(marks: Sequence[tuple[int, int, str]], letters: str) -> list[tuple[int, int, str]]:
    row: list[tuple[int, int, str]] = []
    for mark in marks:
        if len(row) < len(letters) and mark[2] == letters[len(row)]:
            row.append(mark)
    return row


def _unmarked(listed: str) -> list[str]:
    """Options without letters: one a line, else separated by commas or semicolons."""
    lines = [line.strip(" \t-*\u2022") for line in listed.splitlines()]
    lines = [line for line in lines if line]
    if len(lines) == 1:
        lines = [part.strip() for part in re.split(r"[;,]", lines[0]) if part.strip()]
    return lines


def given_options(value: Any) -> list[str]:
    """The options of a record's own field: a list, a dictionary by letter, or a text. Raises Unusable if malformed."""
    if not value:
        return []
    if isinstance(value, dict) and all(re.fullmatch(r"[A-Za-z]", str(key)) for key in value):
        value = [f"{key}. {text}" for key, text in sorted(value.items()) if text is not None]
    if isinstance(value, str):
        value = _marked(value.strip())[1] or value
    if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
        raise Unusable("malformed options", str(value)[:80])
    return value


def option_texts(options: Sequence[str]) -> list[str]:
    """Texts of at least two different options, whose letters, if any, are A, B, ... in order."""
    found = [_OPTION.fullmatch(option.strip()) for option in options]
    if all(found) and [match[1].upper() for match in found] == list(LETTERS[: len(options)]):
        texts = [match[2].strip() for match in found]
    elif not any(match and match[1].isupper() for match in found):
        texts = [option.strip() for option in options]
    else:
        raise Unusable("malformed options", " | ".join(options)[:80])
    plain = [_plain(text) for text in texts]
    if len(texts) < 2 or len(set(plain)) < len(texts) or not all(texts):
        raise Unusable("malformed options", " | ".join(options)[:80] or "none")
    return texts


def letter(answer: str, texts: Sequence[str]) -> str:
    """The letter of the right option: stated, with or without its text, or found by its text.

    Raises Unusable for an answer that is no option, and for a letter whose text is another option's.
    """
    refused = Unusable("malformed answer", f"'{answer[:80]}' is no option")
    named = _by_text(answer, texts)
    if named is None:
        bare = _ANSWER.sub("", answer.strip(), count=1).strip() or answer
        named = _by_text(bare, texts)
    else:
        bare = answer
    one = re.fullmatch(r"[(\[*\"']*([A-Za-z])[)\]*\"'.:\s]*", bare)
    if one:
        stated = one[1].upper()
        if stated not in LETTERS[: len(texts)]:
            if named is None:
                raise refused
            return named
        if named is not None and named != stated:
            raise Unusable("ambiguous answer", f"'{answer[:80]}' is the letter of one option and the text of another")
        return stated
    if named is not None:
        return named
    found = _OPTION.fullmatch(bare)
    if found is None or found[1].upper() not in LETTERS[: len(texts)]:
        raise refused
    stated, behind = found[1].upper(), _by_text(found[2], texts)
    if behind is None and _plain(found[2]) and not _plain(texts[LETTERS.index(stated)]).startswith(_plain(found[2])):
        raise Unusable("ambiguous answer", f"'{answer[:80]}' has the letter of another option")
    if behind is not None and behind != stated:
        raise Unusable("ambiguous answer", f"'{answer[:80]}' has the letter of another option")
    return stated


def implied_options(kind: str, listed: Sequence[str]) -> list[str]:
    """Options of a question that has none but whose text names them: directions, and objects in brackets."""
    level = kind.removeprefix("object_rel_direction_")
    if level in DIRECTIONS:
        return list(DIRECTIONS[level].options)
    return list(listed) if kind == "object_rel_distance" else []


def _by_text(answer: str, texts: Sequence[str]) -> str | None:
    """The letter of the one option whose text is the answer: as it stands, or but for case, articles and sides."""
    if answer in texts:
        return LETTERS[list(texts).index(answer)]
    for same in (_plain, _side):
        wanted = same(answer)
        found = [k for k, text in enumerate(texts) if wanted and same(text) == wanted]
        if len(found) == 1:
            return LETTERS[found[0]]
    return None


def _plain(text: str) -> str:
    """A text in small letters without article, outer signs and repeated blanks."""
    text = " ".join(text.casefold().split()).strip(" .,;:!\"'*`")
    return re.sub(r"^(?:the|an)\s+", "", text)


def _side(text: str) -> str:
    """A direction in one spelling: "to my front left" is "front-left", "behind" is "back"; empty if it is none."""
    found = _SIDE.fullmatch(_plain(text))
    if not found:
        return ""
    ahead = "back" if found[1] == "behind" else found[1]
    return "-".join(part for part in (ahead, found[2]) if part)
