"""The four settings of the filter model (OCR, Table 1), and its answers in one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from rollout3d.config import SETTINGS, Video
from rollout3d.config.frames import train_set
from rollout3d.config.sections import Generation
from rollout3d.difficulty.select import scorer_of, style_of
from rollout3d.model.answer import Setting, answer
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore
from rollout3d.model.parts import Parts
from rollout3d.model.sampling import BackEnd, Sampling
from rollout3d.model.wordings import Style
from rollout3d.tables.rows import PredictionRow, QuestionRow


@dataclass(frozen=True)
class Recipe:
    """What a model is shown, its prompt style, and the scorer and longest answer of that style."""

    setting: Setting
    style: Style
    scorer: str
    max_new_tokens: int


def recipe(name: str, generation: Generation, video: Video) -> Recipe:
    """Return how a setting of `config.SETTINGS` is answered.

    The settings are: 2 frames; 16 frames; the BEV picture, then 16 frames; 16 frames for the filter model after GRPO,
    which was trained to reason and has a prompt for that. 2 frames are the first and the last. Frames have training's
    size in all four. Raises ValueError for another name.
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
    style = style_of(name)
    most = generation.max_new_tokens if style == "think" else generation.max_new_tokens_direct
    return Recipe(setting, style, scorer_of(name), most)


def predict(
    name: str,
    rows: Sequence[QuestionRow],
    policy: Policy,
    store: FrameStore,
    generation: Generation,
    video: Video,
    *,
    think: str | None,
    seed: int,
    back_end: BackEnd,
    parts: Parts | None = None,
) -> Iterator[PredictionRow]:
    """Answer question rows in one setting and yield prediction rows, greedily decoded.

    `think` names the wording that asks for reasoning, None where the setting asks for none. Answers in `parts` are not
    computed again.
    """
    how = recipe(name, generation, video)
    predictions = answer(
        rows,
        policy,
        store,
        [how.setting],
        sampling=Sampling(max_new_tokens=how.max_new_tokens),
        batch_size=generation.batch_size,
        scorer=how.scorer,
        prompt_style=how.style,
        think=think or "",
        seed=seed,
        back_end=back_end,
        parts=parts,
    )
    return cast(Iterator[PredictionRow], predictions)
