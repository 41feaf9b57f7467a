"""The four ways in which the filter model is asked (OCR, Table 1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rollout3d.config import SETTINGS, Difficulty, Video
from rollout3d.config.frames import train_set
from rollout3d.difficulty.select import scorer_of
from rollout3d.model.answer import Setting, answer
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore
from rollout3d.model.parts import Parts
from rollout3d.model.sampling import BackEnd, Sampling

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """What is shown, how it is asked, and how the answer is read."""

    setting: Setting
    style: Literal["direct", "think"]
    scorer: Literal["vsibench", "tagged"]
    max_new_tokens: int


def asked(name: str, config: Difficulty, video: Video) -> Asked:
    """One of `config.SETTINGS`: 2 frames; 16 frames; the BEV picture, then 16 frames; 16 frames for the filter model
    after GRPO, which was trained to reason and is asked to.

    2 frames are the first and the last. Frames have training's size in all four. Raises ValueError for another name.
    """
    if name not in SETTINGS:
        raise ValueError(f"unknown setting '{name}': one of {', '.join(SETTINGS)}")
    setting = Setting(
        name,
        frame_set=train_set(video),
        n_frames=2 if name == "frames2" else None,
        pixels=video.train_pixels,
        bev=name == "frames16_bev",
    )
    if name == "frames16_grpo":
        return Asked(setting, "think", scorer_of(name), config.max_new_tokens_grpo)
    return Asked(setting, "direct", scorer_of(name), config.max_new_tokens)


def predict(
    name: str,
    rows: Sequence[Row],
    policy: Policy,
    store: FrameStore,
    config: Difficulty,
    video: Video,
    *,
    think: str,
    seed: int,
    back_end: BackEnd,
    parts: Parts | None = None,
) -> Iterator[dict[str, Any]]:
    """PREDICTIONS rows of one setting, greedily decoded. `think` names the wording that asks for reasoning; answers in
    `parts` are not computed again."""
    how = asked(name, config, video)
    return answer(
        rows,
        policy,
        store,
        [how.setting],
        sampling=Sampling(max_new_tokens=how.max_new_tokens),
        batch_size=config.batch_size,
        scorer=how.scorer,
        prompt_style=how.style,
        think=think,
        seed=seed,
        back_end=back_end,
        parts=parts,
    )
