"""A model's opinion of imported questions: low-quality ones are dropped, with the reason kept.

Source: OCR, "Training Data Construction": annotations of other releases are filtered with GPT-4o. The paper shows no
prompt and no frames; both are assumed (resources/prompts/judge.txt, `judge.frames`). Only questions about scans are
judged; general data pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from string import Template
from typing import Any

from rollout3d import tables
from rollout3d.teacher.asking import Answered, Asking, ask_all
from rollout3d.teacher.batched import BatchedChat
from rollout3d.teacher.client import ChatClient
from rollout3d.teacher.errors import TeacherError
from rollout3d.teacher.pictures import Image, ScenePictures, frame_pictures

Row = Mapping[str, Any]

FAILED = "not judged"
"""How the reason begins where no verdict could be had."""

_VERDICT = re.compile(r"\W*(KEEP|DROP)\b\W*(.*)", re.IGNORECASE | re.DOTALL)


class Shows:
    """What the judge is sent; `prompt` has $question, $answer and $n_frames. Safe to share between threads."""

    def __init__(self, frames: tables.SceneReader, prompt: str, n_frames: int, frame_set: str):
        self._frames, self._template = frames, Template(prompt)
        self._pictures = ScenePictures(lambda scene_id: frame_pictures(frames, scene_id, frame_set, n_frames))

    def judged(self, questions: Iterable[Row]) -> list[Row]:
        """The questions that are judged, scan by scan: those about scans that have frames here."""
        known = (row for row in questions if row["scene_id"] in self._frames)
        return sorted(known, key=lambda row: (row["scene_id"], row["question_id"]))

    def parts(self, row: Row) -> list[str | Image]:
        """The frames, then the text."""
        pictures = self._pictures[row["scene_id"]]
        question = "\n".join([row["question"], *(row["options"] or [])])
        text = self._template.substitute(question=question, answer=row["ground_truth"], n_frames=len(pictures))
        return [*pictures, text]


def judge(questions: Iterable[Row], show: Shows, chat: ChatClient | BatchedChat, how: Asking) -> list[dict[str, Any]]:
    """VERDICTS rows of the questions about scans, by question_id.

    Questions about scans that have no frames here are not judged: assembly drops them for that. A reply that is
    neither KEEP nor DROP, and a request that fails for good, leave the question out. Raises TooManyFailed if these are
    more than may be, and `TeacherRefused` at the spending limit; replies paid for stay in the cache.
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
