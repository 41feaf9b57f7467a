"""Estimate the cost of the API teacher: its requests are counted and not sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d.config import Api, Cot
from rollout3d.cot.teachers._openai_client import OpenAITeacher, options
from rollout3d.errors import InvalidInput
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher import estimate
from rollout3d.teacher.estimate import Estimate
from rollout3d.teacher.pictures import Image
from rollout3d.teacher.prices import ModelPrice, price
from rollout3d.teacher.replies import Reply

QUESTION = "?" * 300
"""Stands for a question with its options and answer, where there is none yet. [assumed length]"""


def exact(
    cot: Cot,
    api: Api,
    rows: Sequence[QuestionRow],
    frames: Sequence[Path | str],
    maps: Sequence[Path | str],
    frame_set: str,
    prompt: str,
    cache: Path | None,
) -> Estimate:
    """Estimate the cost of question rows, and count those with a reply in the cache.

    Raises InvalidInput for missing pictures.
    """
    teacher = OpenAITeacher(_Model(cot.model), frames, maps, cot.frames, frame_set, prompt)
    parts = (teacher.parts(row) for row in sorted(rows, key=lambda row: row["scene_id"] or ""))
    return estimate.exact("annotate", parts, _price(cot, api), cache, options(cot), **_limits(cot))


def expected(
    cot: Cot,
    api: Api,
    n_rows: int,
    frames: Sequence[Path | str],
    maps: Sequence[Path | str],
    frame_set: str,
    prompt: str,
    cache: Path | None,
) -> Estimate:
    """Estimate the cost of at most `n_rows` questions about the mean scan of these tables.

    Raises InvalidInput without frames.
    """
    known = _price(cot, api)
    one = estimate.typical(frames, maps, frame_set, cot.frames, prompt + QUESTION, known.pictures)
    if one is None:
        raise InvalidInput(f"the tables of --frames hold no frames of the sampling {frame_set}")
    load = one.times(n_rows)
    return estimate.of_load("annotate", load, known, cache, cot.max_tokens, upper_bound=True, **_limits(cot))


@dataclass(frozen=True)
class _Model:
    """Stands for a chat client where nothing is sent."""

    model: str

    def digest(self, parts: Sequence[str | Image], attempt: int = 0) -> str:
        raise NotImplementedError("an estimate sends nothing")

    def chat(self, parts: Sequence[str | Image], attempt: int = 0) -> Reply:
        raise NotImplementedError("an estimate sends nothing")


def _price(cot: Cot, api: Api) -> ModelPrice:
    return price(cot.model, api.prices, api.batch)


def _limits(cot: Cot) -> dict[str, Any]:
    return {"attempts": cot.attempts, "limit_key": "cot.max_usd", "max_usd": cot.max_usd}
