"""Judge whether an answer follows from the thought before it: whether its own counts, distances and sides lead to it.

Only sentences that `questions.reasoning` and the files of `types` can write are understood: thoughts of a model that
the geometric teacher taught can be judged, and thoughts in other words are left out. Nothing is compared with the
scene, so a thought may be wrong about the room and still lead to its answer. The papers measure no such thing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation

from rollout3d.questions import types
from rollout3d.questions.reasoning import SENTENCES, Contradiction, Said
from rollout3d.questions.templates import LETTERS, option_text, parse
from rollout3d.scoring.parse import extract_answer, well_formed
from rollout3d.tables.rows import QuestionRow

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
"""Between sentences; a decimal point has no space behind it."""
_THOUGHT = re.compile(r"<think>(.*?)</think>", re.DOTALL)


def follows(text: str, row: QuestionRow) -> bool | None:
    """Return whether a well-formed answer with reasoning is the one that its thought leads to.

    False if the thought contradicts itself, such as "2 plus 1 is 4". None if the text is not well-formed, or if no
    sentence that decides the answer is understood.
    """
    of_type = types.known(row["question_type"])
    if of_type is None or of_type.leads_to is None or not well_formed(text, strict=False):
        return None
    thought, answer = _THOUGHT.search(text), extract_answer(text)
    if thought is None or answer is None:
        return None
    statements = said(thought[1], {**SENTENCES, **of_type.sentences})
    try:
        led = set(of_type.leads_to(statements))
    except (Contradiction, InvalidOperation):
        return False
    led |= set(_stated(statements, row["options"] or ()))
    return bool(_same(led, answer, row["options"] or ())) if led else None


def said(thought: str, sentences: Mapping[str, Sequence[str]]) -> dict[str, list[Mapping[str, str]]]:
    """Return what the sentences of a thought say, by the names of the templates that they were written with.

    Of several templates that a sentence may be written with, the one with most words of its own.
    """
    found: dict[str, list[Mapping[str, str]]] = {}
    for sentence in _SENTENCE.split(thought.strip()):
        readings = list(_readings(sentence, sentences))
        if readings:
            _, name, fields = max(readings, key=lambda reading: reading[0])
            found.setdefault(name, []).append(fields)
    return found


def _readings(sentence: str, sentences: Mapping[str, Sequence[str]]) -> Iterator[tuple[int, str, dict[str, str]]]:
    """Yield the readings of a sentence: number of the template's own characters, its name, and its fields."""
    for name, ways in sentences.items():
        for way in ways:
            fields = parse(way, sentence)
            if fields is not None:
                yield len(sentence) - sum(map(len, fields.values())), name, fields


def _stated(statements: Said, options: Sequence[str]) -> Iterator[str]:
    """Yield the answers that a thought ends with: "The answer is 2.", "The answer is option B.", "So it is left, option
    B.": of the last both the text and the letter."""
    for fields in statements.get("answer", ()):
        if not fields["answer"].startswith("option "):
            yield fields["answer"]
    for fields in (*statements.get("option", ()), *statements.get("named option", ())):
        if "text" in fields:
            yield fields["text"]
        place = LETTERS.find(fields["letter"])
        yield option_text(options[place]) if 0 <= place < len(options) else fields["letter"]


def _same(led: set[str], answer: str, options: Sequence[str]) -> bool:
    """Return whether everything that a thought leads to is the answer; of a choice, its text or its letter."""
    if options:
        place = LETTERS.find(answer.rstrip("."))
        given = option_text(options[place]) if len(answer.rstrip(".")) == 1 and 0 <= place < len(options) else answer
        return led == {given}
    try:
        return {Decimal(value) for value in led} == {Decimal(answer)}
    except InvalidOperation:
        return led == {answer}
