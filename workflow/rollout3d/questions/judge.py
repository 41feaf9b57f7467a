"""A model's opinion of imported questions, and of a sample of generated ones: bad ones are dropped with the reason.

Source: OCR, "Training Data Construction": annotations of other releases are filtered with GPT-4o. The paper shows no
prompt and no frames; both are assumed (resources/prompts/judge.txt, `judge.frames`). Only questions about scans are
judged; general data pass. Generated questions are not judged in the paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from string import Template
from typing import Any

from rollout3d import tables
from rollout3d.config import Splits
from rollout3d.questions.select import limit_total
from rollout3d.questions.verdicts import FAILED
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher.asking import Answered, Asking, ask_all
from rollout3d.teacher.batched import BatchedChat
from rollout3d.teacher.client import ChatClient
from rollout3d.teacher.errors import TeacherError
from rollout3d.teacher.pictures import Image, ScenePictures, frame_pictures

Row = QuestionRow

MAX_TOKENS = 128
"""Maximum length of a verdict, tokens. [assumed]"""
TEMPERATURE = 0.0
"""Temperature at which the judge replies. [assumed]"""
OPTIONS = {"max_tokens": MAX_TOKENS, "temperature": TEMPERATURE}
"""What decides a verdict besides the model and what it is sent."""
COLUMNS = (
    *("question_id", "scene_id", "split", "dataset", "question_type", "question", "options", "ground_truth"),
    "source",
)
"""Columns of a question table that are read."""

_VERDICT = re.compile(r"\W*(KEEP|DROP)\b\W*(.*)", re.IGNORECASE | re.DOTALL)


def sample(questions: Sequence[Row], n: int, splits: Mapping[str, Splits], seed: int) -> list[Row]:
    """Return at most `n` generated questions of splits that are trained on, as many of each type as of the others.

    A type with fewer gives all, and the others fill up. Within a type scans take turns, in the order in which
    assembly cuts the training table.
    """
    rows = [row for row in questions if row["dataset"] in splits and row["split"] in splits[row["dataset"]].train]
    kinds = {row["question_type"] for row in rows}
    return limit_total(rows, n, seed, dict.fromkeys(kinds, Fraction(1, max(1, len(kinds)))))[0]


class Shows:
    """What the judge is sent; `prompt` has $question, $answer and $n_frames. Safe to share between threads."""

    def __init__(self, frames: tables.SceneReader, prompt: str, n_frames: int, frame_set: str):
        self._frames, self._template = frames, Template(prompt)
        self._pictures = ScenePictures(lambda scene_id: frame_pictures(frames, scene_id, frame_set, n_frames))

    def knows(self, row: Row) -> bool:
        """Return whether a question is about a scan that has frames here."""
        return row["scene_id"] is not None and row["scene_id"] in self._frames

    def judged(self, questions: Iterable[Row]) -> list[Row]:
        """Return the questions that are judged, scan by scan: those about scans that have frames here."""
        return sorted(filter(self.knows, questions), key=lambda row: (row["scene_id"] or "", row["question_id"]))

    def parts(self, row: Row) -> list[str | Image]:
        """Return the frames, then the text."""
        pictures = self._pictures[row["scene_id"] or ""]
        question = "\n".join([row["question"], *(row["options"] or [])])
        text = self._template.substitute(question=question, answer=row["ground_truth"], n_frames=len(pictures))
        return [*pictures, text]


def judge(questions: Iterable[Row], show: Shows, chat: ChatClient | BatchedChat, how: Asking) -> list[dict[str, Any]]:
    """VERDICTS rows of the questions about scans, by question_id.

    Questions about scans that have no frames here are not judged: assembly drops imported ones for that. A reply that
    is neither KEEP nor DROP, and a request that fails for good, leave an imported question out. Raises TooManyFailed if
    these are more than may be, and `TeacherRefused` at the spending limit; replies paid for stay in the cache.
    """

    def ask(row: Row) -> Answered:
        try:
            reply = chat.chat(show.parts(row))
            keep, reason = (False, f"{FAILED}: {reply.problem}") if reply.problem else read(reply.text)
        except TeacherError as error:
            keep, reason = False, f"{FAILED}: {error}"
        verdict = {"question_id": row["question_id"], "keep": keep, "reason": reason}
        return Answered([verdict], keep, reason if reason.startswith(FAILED) else None)

    found, _ = ask_all(show.judged(questions), ask, how)
    return sorted(found, key=lambda row: row["question_id"])


def read(text: str) -> tuple[bool, str]:
    """Verdict and reason of a reply; a reply without a verdict keeps nothing."""
    found = _VERDICT.match(text)
    if found is None:
        return False, f"{FAILED}: the reply begins '{text.strip()[:60]}'"
    return found[1].upper() == "KEEP", " ".join(found[2].split())[:200] or "no reason given"
