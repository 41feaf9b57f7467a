"""Clean a teacher's reply of fences, emphasis, brackets and units around its answer.

Without this, a right answer in the wrong dress would be paid for again. The student learns the clean answer ("2.9",
"B"), which VSI-Bench's evaluator can read. Nothing is guessed: two numbers, two letters, a letter with another option's
text, or a unit that the question did not ask for are no answer.
"""

from __future__ import annotations

import re

from rollout3d.tables.rows import QuestionRow

_BETWEEN = r"(?:\s|```\w*|~~~\w*|\*\*|__)*"
_REPLY = re.compile(
    rf"{_BETWEEN}<think>(?P<think>.*?)</think>{_BETWEEN}<answer>(?P<answer>.*?)</answer>{_BETWEEN}", re.DOTALL
)
_TAGS = ("<think>", "</think>", "<answer>", "</answer>")
_FENCE = re.compile(r"(```|~~~)\w*[ \t]*\n(.*?)\n?\s*\1", re.DOTALL)
_PAIRS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(?:```|~~~)\w*[ \t]*\n(.*?)\n?\s*(?:```|~~~)",
        r"\*\*(.*?)\*\*",
        r"__(.*?)__",
        r"\*(.*?)\*",
        r"`(.*?)`",
        r"\$\$?(.*?)\$?\$",
        r"\\\((.*?)\\\)",
        r"\\\[(.*?)\\\]",
        r"\\(?:boxed|text|textbf|mathrm|mathbf)\{(.*?)\}",
        r"\"(.*?)\"",
        r"'(.*?)'",
        r"[“‘](.*?)[”’]",
        r"\[(.*?)\]",
        r"\{(.*?)\}",
        r"\((.*?)\)",
    )
)
"""What may stand around a whole answer."""
_LEAD = re.compile(
    r"[*_]{0,2}(?:(?:the|my) )?(?:(?:final|correct) )?answer(?: is)?\s*:?[*_]{0,2}\s+|(?:the )?(?:correct )?option\s+",
    re.I,
)
_LATEX = re.compile(r"\\(?:text|mathrm)\{(.*?)\}")
_LETTER = re.compile(r"\W{0,3}([A-Za-z])\W{0,3}")
_LETTER_AND_TEXT = re.compile(r"[(\[*]{0,3}([A-Za-z])(?:[)\].:,*]{1,4}\s*|\s+(?:[-–—]\s*)?)(.+)", re.DOTALL)

_ABOUT = r"(?:about|around|approximately|approx\.?|roughly|circa|ca\.?|~|≈)?\s*"
_DIGITS = re.compile(
    _ABOUT + r"([+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|[+-]?\.\d+)\s*(.*)", re.IGNORECASE | re.DOTALL
)
_SPELT = re.compile(_ABOUT + r"([a-z]+(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?)\b\s*(.*)", re.I | re.S)
_ONES = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_WORDS = {word: n for n, word in enumerate(_ONES)} | {word: 10 * n for n, word in enumerate(_TENS, 2)}
_UNITS = {
    "square meters": re.compile(r"(?:square|sq\.?)[ -]*m(?:et(?:er|re)s?)?\.?|sqm|m²|m\^?\{?2\}?|m\s*\*\*\s*2", re.I),
    "centimeters": re.compile(r"cms?\.?|centimet(?:er|re)s?", re.I),
    "meters": re.compile(r"m\.?|met(?:er|re)s?", re.I),
}
_ASKED = {
    "square meters": re.compile(r"\bsquare met(?:er|re)|\bm²|\bm\^2|\bsq\.? ?m\b", re.I),
    "centimeters": re.compile(r"\bcentimet(?:er|re)|\bcm\b", re.I),
    "meters": re.compile(r"\bmet(?:er|re)s?\b|\bin m\b|\(m\)", re.I),
}
"""Unit -> how a question asks for it; the first that is found counts."""


def parts(text: str) -> tuple[str, str] | None:
    """Return reasoning and answer of a reply without white space and fences around them.

    None unless the reply is one `<think>` block followed by one `<answer>` block, with nothing but fences, emphasis and
    white space around them.
    """
    found = _REPLY.fullmatch(text)
    if found is None or any(text.count(tag) != 1 for tag in _TAGS):
        return None
    think = found["think"].strip()
    fenced = _FENCE.fullmatch(think)
    return (fenced[2] if fenced else think).strip(), found["answer"].strip()


def clean_answer(answer: str, row: QuestionRow) -> str | None:
    """Return `answer` in the form that the student learns, or None if it is no single answer to question `row`.

    A choice becomes its letter, and a number its digits; both may carry the words of the question around them: the
    option's text, the unit. Other answers lose only what stands around the whole.
    """
    bare = _undress(answer)
    if row["answer_type"] == "choice":
        return _letter(bare, row["options"] or [])
    if row["answer_type"] in ("number", "regression"):
        return _number(_LATEX.sub(r"\1", bare), row["question"])
    return bare or None


def _undress(text: str) -> str:
    """Remove white space, pairs of marks and a leading "Answer:" until nothing changes."""
    before = None
    while text != before:
        before = text = text.strip()
        for pair in _PAIRS:
            found = pair.fullmatch(text)
            if found and not pair.search(found[1]):
                text = found[1].strip()
        lead = _LEAD.match(text)
        if lead and text[lead.end() :].strip():
            text = text[lead.end() :]
    return text


def _letter(text: str, options: list[str]) -> str | None:
    texts = dict(_option(option) for option in options)
    found = _LETTER.fullmatch(text)
    if found:
        return found[1].upper()
    found = _LETTER_AND_TEXT.fullmatch(text)
    if found and texts.get(found[1].upper()) == _plain(found[2]):
        return found[1].upper()
    same = [letter for letter, words in texts.items() if words and words == _plain(text)]
    return same[0] if len(same) == 1 else None


def _option(option: str) -> tuple[str, str]:
    """Return letter and text of an option such as "A. left"."""
    letter, _, words = option.partition(".")
    return letter.strip().upper(), _plain(words)


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s-]", " ", text.lower()).split())


def _number(text: str, question: str) -> str | None:
    found = _DIGITS.fullmatch(text.rstrip(". ") if not text.lower().endswith("m.") else text)
    if found:
        number, rest = found[1].replace(",", "").lstrip("+"), found[2]
        number = re.sub(r"^(-?)\.", r"\g<1>0.", number)
    else:
        found = _SPELT.fullmatch(text.rstrip(". "))
        number = _spelt(found[1]) if found else None
        if found is None or number is None:
            return None
        rest = found[2]
    return number if _is_unit(_undress(rest), question) else None


def _spelt(words: str) -> str | None:
    parts = re.split(r"[- ]", words.lower())
    values = [_WORDS[word] for word in parts if word in _WORDS]
    if len(values) < len(parts) or (len(values) == 2 and not (values[0] >= 20 and 0 < values[1] < 10)):
        return None
    return str(sum(values))


def _is_unit(rest: str, question: str) -> bool:
    """Return whether what follows a number is nothing, the unit that `question` asks for, or what it counts."""
    if not rest:
        return True
    asked = next((unit for unit, pattern in _ASKED.items() if pattern.search(question)), None)
    if asked:
        return _UNITS[asked].fullmatch(rest) is not None
    known = {_singular(word) for word in re.findall(r"[a-z]+", question.lower())}
    return all(re.fullmatch(r"[a-z]+", word) and _singular(word) in known for word in rest.lower().split())


def _singular(word: str) -> str:
    return re.sub(r"(?<=(?:s|x|z|h))es$|(?<!s)s$", "", word)
