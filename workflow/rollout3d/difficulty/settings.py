"""The settings of the filter model, four of OCR (Table 1) and one of SpaceR (section 5.2), and its answers in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from rollout3d.config import SAMPLED, SETTINGS, Grpo, Video
from rollout3d.config.frames import train_set
from rollout3d.config.sections import Generation
from rollout3d.difficulty.select import N_SAMPLED, scorer_of, style_of
from rollout3d.model.answer import Setting, answer
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore
from rollout3d.model.parts import Parts
from rollout3d.model.sampling import BackEnd, Sampling
from rollout3d.model.wordings import Style
from rollout3d.tables.rows import PredictionRow, QuestionRow


@dataclass(frozen=True)
class Recipe:
    """What a model is shown, its prompt style, and the scorer of that style."""

    setting: Setting
    style: Style
    scorer: str


def recipe(name: str, video: Video) -> Recipe:
    """Return how a setting of `config.SETTINGS`, or `config.SAMPLED`, is answered.

    The settings are: 2 frames; 16 frames; the BEV picture, then 16 frames; 16 frames for the filter model after GRPO,
    which was trained to reason and has a prompt for that; 16 frames for the filter model before, asked to reason, too.
    2 frames are the first and the last. Frames have training's size in all of them. Raises ValueError for another name.
    """
    if name not in (*SETTINGS, SAMPLED):
        raise ValueError(f"unknown setting '{name}': one of {', '.join((*SETTINGS, SAMPLED))}")
    setting = Setting(
        name,
        frame_set=train_set(video),
        n_frames=2 if name == "frames2" else None,
        pixels=video.train_pixels,
        bev=name == "frames16_bev",
    )
    return Recipe(setting, style_of(name), scorer_of(name))


def sampling_of(name: str, generation: Generation, grpo: Grpo | None = None) -> Sampling:
    """Return how answers are drawn in a setting: greedily, one per question; in `config.SAMPLED` `N_SAMPLED` of them,
    as rollouts are (`grpo`), since SpaceR does not say how its 8 answers were drawn.

    Raises ValueError if `grpo` is missing there.
    """
    most = generation.max_new_tokens if style_of(name) == "think" else generation.max_new_tokens_direct
    if name != SAMPLED:
        return Sampling(max_new_tokens=most)
    if grpo is None:
        raise ValueError(f"the setting {name} needs the settings of rollouts (grpo)")
    return Sampling(n=N_SAMPLED, temperature=grpo.temperature, top_p=grpo.top_p, max_new_tokens=most)


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
    grpo: Grpo | None = None,
) -> Iterator[PredictionRow]:
    """Answer question rows in one setting and yield prediction rows.

    `grpo`: how answers are drawn in `config.SAMPLED`; those of the other settings are greedy. `think` names the
    wording that asks for reasoning, None where the setting asks for none. Answers in `parts` are not computed again.
    """
    how = recipe(name, video)
    predictions = answer(
        rows,
        policy,
        store,
        [how.setting],
        sampling=sampling_of(name, generation, grpo),
        batch_size=generation.batch_size,
        scorer=how.scorer,
        prompt_style=how.style,
        think=think or "",
        seed=seed,
        back_end=back_end,
        parts=parts,
    )
    return cast(Iterator[PredictionRow], predictions)
