"""Options and answers of released choice questions, in every form that releases give them.

Options stand in a list, in a dictionary by letter, or in the text only: below "Options:", or behind the question with
letters ("A.", "a)", "(A)"), one a line or in a row. Answers are letters, texts of options, or both. What names no
option, or two, is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rollout3d.imports.records import Unusable
from rollout3d.questions.templates import LETTERS

if TYPE_CHECKING:
    from rollout3d.questions.types import QuestionType

_OPTION = re.compile(r"\(?([A-Za-z])\s*[.):\]]\s*(\S.*)", re.DOTALL)
_HEADING = re.compile(r"^[ \t]*(?:Options|Choices|Candidates|Answer choices)\b[^\n:]{0,30}:[ \t]*", re.I | re.M)
_INLINE_HEADING = re.compile(r"(?<=\s)(?:Options|Choices|Candidates)[ \t]*:[ \t]*(?=\S)", re.I)
_MARK = re.compile(
    r"(?:(?<=\n)|^)[ \t]*(?:\(([A-Za-z])\)|([A-Za-z])[.):])[ \t]*(?=\S)"
    r"|(?<=[\s,;])(?:\(([A-Za-z])\)[ \t]*|([A-Za-z])[.):]\s+)(?=\S)"
)
_MAX_ROWS = 20
"""Places where a row of letters may begin, from the end of a text: a damaged one may have thousands."""
_NONE = {"none", "null", "n/a", "[]", "{}"}
_ANSWER = re.compile(
    r"(?:(?:the\s+)?(?:correct\s+|final\s+|right\s+)?(?:answer|option|choice)(?:\s+is\b)?\s*:?\s*)+", re.I
)
_SIDE = re.compile(
    r"(?:(?:it\s+is|to|on|at|in|the|my|your|its)\s+)*(?:(front|back|behind)[\s-]*)?"
    r"(?:(left|right)(?:[\s-]*(?:hand\s+)?side)?)?"
    r"(?:\s+of\s+.*)?"
)


def split_options(text: str, given: bool = False) -> tuple[str, list[str]]:
    """Return a question and the options that stand in its text, as given; no options if there are none.

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
    marks = [(m.start(), m.end(), m[1] or m[2] or m[3] or m[4]) for m in _MARK.finditer(text)]
    for first in reversed([k for k, mark in enumerate(marks) if mark[2] in "Aa"][-_MAX_ROWS:]):
        row = marks[first:]
        letters = LETTERS if row[0][2] == "A" else LETTERS.lower()
        # A letter out of turn belongs to an option's own text.
        row = _in_turn(row, letters)
        if len(row) > 1:
            ends = [mark[0] for mark in row[1:]] + [len(text)]
            texts = [text[mark[1] : end].strip().strip(",;").strip() for mark, end in zip(row, ends, strict=True)]
            if not any("\n" in option for option in texts[:-1]):
                texts[-1] = texts[-1].partition("\n")[0].strip()  # behind it: how to answer
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
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        try:
            value = json.loads(value)
        except ValueError:
            raise Unusable("malformed options", value[:80]) from None
    if not value or (isinstance(value, str) and value.strip().lower() in _NONE):
        return []
    if isinstance(value, dict) and all(re.fullmatch(r"[A-Za-z]", str(key)) for key in value):
        value = [f"{key}. {text}" for key, text in sorted(value.items()) if text is not None]
    if isinstance(value, str):
        value = _marked(value.strip())[1] or value
    if isinstance(value, list):
        value = [str(option) if type(option) in (int, float) else option for option in value]
    if not isinstance(value, list) or not all(isinstance(option, str) for option in value):
        raise Unusable("malformed options", str(value)[:80])
    return value


def option_texts(options: Sequence[str]) -> list[str]:
    """Return texts of at least two different options, whose letters, if any, are A, B, ... in order."""
    found = [match for option in options if (match := _OPTION.fullmatch(option.strip()))]
    if len(found) == len(options) and [match[1].upper() for match in found] == list(LETTERS[: len(options)]):
        texts = [match[2].strip() for match in found]
    elif not any(match[1].isupper() for match in found):
        texts = [option.strip() for option in options]
    else:
        raise Unusable("malformed options", " | ".join(options)[:80])
    plain = [_plain(text) for text in texts]
    if len(texts) < 2 or len(set(plain)) < len(texts) or not all(texts):
        raise Unusable("malformed options", " | ".join(options)[:80] or "none")
    return texts


def letter(answer: str, texts: Sequence[str]) -> str:
    """Return the letter of the right option: stated, with or without its text, or found by its text.

    Raises Unusable for an answer that is no option, and for a letter whose text is another option's.
    """
    bare = _bare(answer, texts)
    named, one = _by_text(bare, texts), re.fullmatch(r"[(\[*\"']*([A-Za-z])[)\]*\"'.:\s]*", bare)
    if one and one[1].upper() in LETTERS[: len(texts)]:
        if named not in (None, one[1].upper()):
            raise Unusable("ambiguous answer", f"'{answer[:80]}' is the letter of one option and the text of another")
        return one[1].upper()
    if named is not None:
        return named
    both = _OPTION.fullmatch(bare)
    if both is None or both[1].upper() not in LETTERS[: len(texts)]:
        raise Unusable("malformed answer", f"'{answer[:80]}' is no option")
    stated, behind = both[1].upper(), _plain(both[2])
    # A long option may be cut short behind its letter.
    if _by_text(both[2], texts) != stated and not _plain(texts[LETTERS.index(stated)]).startswith(behind or " "):
        raise Unusable("ambiguous answer", f"'{answer[:80]}' has the letter of another option")
    return stated


def word(answer: str, texts: Sequence[str]) -> str:
    """The letter of the option that an answer names in words: where options are implied, letters mean nothing."""
    named = _by_text(_bare(answer, texts), texts)
    if named is None:
        raise Unusable("malformed answer", f"'{answer[:80]}' is none of {', '.join(texts)}, which the question implies")
    return named


def _bare(answer: str, texts: Sequence[str]) -> str:
    """Return the answer without words such as "The answer is", unless they belong to an option."""
    if _by_text(answer, texts) is not None:
        return answer
    return _ANSWER.sub("", answer.strip(), count=1).strip() or answer


def implied_options(of_type: QuestionType, listed: Sequence[str]) -> list[str]:
    """Return the options of a question that has none but whose text names them: directions, and objects in brackets."""
    return list(of_type.implied or (listed if of_type.options == "things" else ()))


def _by_text(answer: str, texts: Sequence[str]) -> str | None:
    """The letter of the one option whose text is the answer: as it stands, or but for case, articles and sides."""
    if answer in texts:
        return LETTERS[list(texts).index(answer)]
    for same in (_plain, side):
        wanted = same(answer)
        found = [k for k, text in enumerate(texts) if wanted and same(text) == wanted]
        if len(found) == 1:
            return LETTERS[found[0]]
    return None


def _plain(text: str) -> str:
    """Return a text in small letters without article, outer signs and repeated blanks."""
    text = " ".join(text.casefold().split()).strip(" .,;:!\"'*`")
    return re.sub(r"^(?:the|an)\s+", "", text)


def side(text: str) -> str:
    """A direction in one spelling: "to my front left" is "front-left", "behind" is "back"; empty if it is none."""
    found = _SIDE.fullmatch(_plain(text))
    if not found:
        return ""
    ahead = "back" if found[1] == "behind" else found[1]
    return "-".join(part for part in (ahead, found[2]) if part)
