"""A model's opinion of imported questions: low-quality ones are dropped, with the reason kept.

Source: OCR, "Training Data Construction": annotations of other releases are filtered with GPT-4o. The paper shows no
prompt and no frames; both are assumed (resources/prompts/judge.txt, `judge.frames`). Only questions about scans are
judged; general data pass.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from string import Template
from typing import Any

from rollout3d import tables
from rollout3d.teacher.batched import BatchedChat
from rollout3d.teacher.client import ChatClient, Image, TeacherError
from rollout3d.teacher.pictures import frame_pictures

Row = Mapping[str, Any]

FAILED = "not judged"
"""How the reason begins where no verdict could be had."""

_VERDICT = re.compile(r"\W*(KEEP|DROP)\b\W*(.*)", re.IGNORECASE | re.DOTALL)


class JudgeError(RuntimeError):
    """Too many questions could not be judged."""


class Shows:
    """What the judge is sent; `prompt` has $question, $answer and $n_frames. Safe to share between threads."""

    def __init__(self, frames: tables.SceneReader, prompt: str, n_frames: int, frame_set: str):
        self._frames, self._template, self._n, self._set = frames, Template(prompt), n_frames, frame_set
        self._reading = threading.Lock()

    def judged(self, questions: Iterable[Row]) -> list[Row]:
        """The questions that are judged, by question_id: those about scans that have frames here."""
        return sorted((r for r in questions if r["scene_id"] in self._frames), key=lambda row: row["question_id"])

    def parts(self, row: Row) -> list[str | Image]:
        """The frames, then the text."""
        with self._reading:
            pictures = frame_pictures(self._frames, row["scene_id"], self._set, self._n)
        asked = "\n".join([row["question"], *(row["options"] or [])])
        text = self._template.substitute(question=asked, answer=row["ground_truth"], n_frames=len(pictures))
        return [*pictures, text]


def judge(
    questions: Iterable[Row],
    show: Shows,
    chat: ChatClient | BatchedChat,
    max_share_failed: float,
    workers: int = 1,
) -> list[dict[str, Any]]:
    """VERDICTS rows of the questions about scans, by question_id.

    Questions about scans that have no frames here are not judged: assembly drops them for that. A reply that is
    neither KEEP nor DROP, and a request that fails for good, leave the question out. Raises JudgeError if these are
    more than `max_share_failed`, and `TeacherRefused` at the spending limit; replies paid for stay in the cache.
    """
    rows = show.judged(questions)

    def verdict(row: Row) -> dict[str, Any]:
        try:
            keep, reason = read(chat.chat(show.parts(row)).text)
        except TeacherError as error:
            keep, reason = False, f"{FAILED}: {error}"
        return {"question_id": row["question_id"], "keep": keep, "reason": reason}

    if workers == 1:
        found = list(map(verdict, rows))
    else:
        pool = ThreadPoolExecutor(workers)
        try:
            found = list(pool.map(verdict, rows))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    failed = [row for row in found if row["reason"].startswith(FAILED)]
    if len(failed) > max_share_failed * len(found):
        raise JudgeError(
            f"{len(failed)} of {len(found)} questions could not be judged, more than judge.max_share_failed = "
            f"{max_share_failed:g} of them, such as '{failed[0]['reason']}'; run the stage again, what was paid for "
            "is in the cache"
        )
    return found


def read(text: str) -> tuple[bool, str]:
    """Verdict and reason of a reply; a reply without a verdict keeps nothing."""
    found = _VERDICT.match(text)
    if found is None:
        return False, f"{FAILED}: the reply begins '{text.strip()[:60]}'"
    return found[1].upper() == "KEEP", " ".join(found[2].split())[:200] or "no reason given"
