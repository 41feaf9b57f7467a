"""Estimate the cost of the API teacher: its requests are counted and not sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rollout3d.config import Config, Cot
from rollout3d.config.frames import teacher_set
from rollout3d.cot.teachers import Work
from rollout3d.cot.teachers._openai_client import OpenAITeacher, options
from rollout3d.errors import InvalidInput
from rollout3d.teacher import estimate
from rollout3d.teacher.estimate import Estimate
from rollout3d.teacher.pictures import Image
from rollout3d.teacher.prices import ModelPrice, price
from rollout3d.teacher.replies import Reply

QUESTION = "?" * 300
"""Text in place of a question with its options and answer, where there is none yet. [assumed length]"""


def exact(work: Work, prompt: str) -> Estimate:
    """Estimate the cost of the questions of `work`, and count those with a reply in its cache.

    Raises InvalidInput for missing pictures.
    """
    cot, frame_set = work.config.cot, teacher_set(work.config.video)
    teacher = OpenAITeacher(_Model(work.config.api.model), work.frames, work.maps, cot.frames, frame_set, prompt)
    parts = (teacher.parts(row) for row in sorted(work.questions, key=lambda row: row["scene_id"] or ""))
    return estimate.exact("annotate", parts, _price(work.config), work.cache, options(cot), **_limits(cot))


def expected(work: Work, n_rows: int, prompt: str) -> Estimate:
    """Estimate the cost of at most `n_rows` questions about the mean scan of the tables of `work`.

    Raises InvalidInput without frames.
    """
    cot, frame_set, known = work.config.cot, teacher_set(work.config.video), _price(work.config)
    one = estimate.typical(work.frames, work.maps, frame_set, cot.frames, prompt + QUESTION, known.pictures)
    if one is None:
        raise InvalidInput(f"the tables of --frames hold no frames of the sampling {frame_set}")
    load = one.times(n_rows)
    return estimate.of_load("annotate", load, known, work.cache, cot.max_tokens, upper_bound=True, **_limits(cot))


@dataclass(frozen=True)
class _Model:
    """Stands for a chat client where nothing is sent."""

    model: str

    def digest(self, parts: Sequence[str | Image], attempt: int = 0) -> str:
        raise NotImplementedError("an estimate sends nothing")

    def chat(self, parts: Sequence[str | Image], attempt: int = 0) -> Reply:
        raise NotImplementedError("an estimate sends nothing")


def _price(config: Config) -> ModelPrice:
    return price(config.api.model, config.api.prices, config.api.batch)


def _limits(cot: Cot) -> dict[str, Any]:
    return {"attempts": cot.attempts, "limit_key": "cot.max_usd", "max_usd": cot.max_usd}
