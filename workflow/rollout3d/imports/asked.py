"""Question, options and answer of a released record, whatever its shape.

Three shapes are known: Video-R1's (problem, options, solution; SpaceR's too), VSI-Bench's (question, options,
ground_truth), and conversations (VLM-3R, VSI-590K), which hold the options in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rollout3d.imports.choices import given_options, split_options
from rollout3d.imports.records import Unusable, text_of
from rollout3d.scoring.parse import extract_answer

_PREAMBLE = re.compile(
    r"\s*(?:<\|?(?:image|video)(?:_pad)?\|?>\s*|These are frames of a video\.\s*|Question:\s*)*", re.IGNORECASE
)
_ASKED = re.compile(r"(?:Please a|A)nswer (?:the question using|with the option's letter)[^\n]*\s*$")
_TAG = re.compile(r"</?answer>")
_TALK = ("conversations", "conversation", "messages")
_ANSWERS = ("solution", "ground_truth", "answer")


@dataclass(frozen=True)
class Asked:
    """A question without preamble and options, the options as given, the answer without its tag."""

    question: str
    options: list[str]
    answer: str


def asked(record: Mapping[str, Any]) -> Asked:
    """Return what a record asks and answers. Raises Unusable for a missing or malformed field."""
    talk = next((key for key in _TALK if key in record), None)
    if talk:
        text, answer = _turns(record[talk])
    else:
        text = text_of(record, "problem" if "problem" in record else "question")
        answer = next((record[key] for key in _ANSWERS if record.get(key) is not None), None)
        if isinstance(answer, bool) or not isinstance(answer, str | int | float):
            raise Unusable("missing field", "solution or ground_truth")
        answer = text_of({"answer": str(answer)}, "answer")
    options = given_options(record.get("options") or record.get("choices"))
    preamble = _PREAMBLE.match(text)  # matches any text
    text = _ASKED.sub("", text[preamble.end() if preamble else 0 :]).strip()
    choice = str(record.get("problem_type", "multiple choice")).lower() == "multiple choice"
    question, listed = split_options(text, given=bool(options) or not choice)
    if not question.strip():
        raise Unusable("missing field", "question")
    options = [text_of({"option": option}, "option") for option in options or listed]
    bare = extract_answer(answer) or answer
    if _TAG.search(bare):
        raise Unusable("malformed answer", f"'{answer[:80]}' has a tag that is empty, open or within another")
    return Asked(question.strip(), options, bare)


def _turns(talk: Any) -> tuple[str, str]:
    """Return the texts of the two turns of a conversation."""
    if not (isinstance(talk, list) and all(isinstance(turn, dict) for turn in talk)):
        raise Unusable("malformed conversation", f"{str(talk)[:80]}")
    talk = [turn for turn in talk if turn.get("from", turn.get("role")) != "system"]
    if len(talk) != 2:
        raise Unusable("malformed conversation", f"{str(talk)[:80]}")
    return _turn(talk[0]), _turn(talk[1])


def _turn(turn: Mapping[str, Any]) -> str:
    said = turn.get("value", turn.get("content"))
    if isinstance(said, list):
        said = "\n".join(str(part["text"]) for part in said if isinstance(part, dict) and "text" in part)
    return text_of({"value": said}, "value")
