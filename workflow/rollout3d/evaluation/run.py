"""A run answering a benchmark, on its video and, if asked for, on black frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from rollout3d.config import Evaluation, Video
from rollout3d.model.answer import Setting, answer
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore
from rollout3d.model.parts import Parts
from rollout3d.model.sampling import BackEnd, Sampling

Style = Literal["direct", "think"]


def style_of(method: str) -> Style:
    """A model as released is asked directly, as VSI-Bench does; a trained run was taught to reason and is asked to."""
    return "direct" if method == "none" else "think"


def settings(config: Evaluation, video: Video) -> list[Setting]:
    """What is shown: the evaluation frames (OCR: 32), and with `evaluation.black_frames` as many black ones."""
    n = video.eval_frames
    shown = {"frame_set": f"eval{n}", "n_frames": n, "max_pixels": video.eval_max_pixels}
    found = [Setting(f"eval{n}", **shown)]
    return [*found, Setting(f"black{n}", **shown, black=True)] if config.black_frames else found


def evaluate(
    run: str,
    rows: Sequence[Mapping[str, Any]],
    policy: Policy,
    store: FrameStore,
    config: Evaluation,
    video: Video,
    *,
    style: Style,
    think: str,
    seed: int,
    back_end: BackEnd,
    parts: Parts | None = None,
) -> Iterator[dict[str, Any]]:
    """PREDICTIONS rows, the video's first. Direct answers are read by VSI-Bench's evaluator; of reasoned ones the text
    in the `<answer>` tag is, by the same matching. `think` names the wording that asks for reasoning; answers in
    `parts` are not computed again."""
    predictions = answer(
        rows,
        policy,
        store,
        settings(config, video),
        sampling=Sampling(
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens_direct if style == "direct" else config.max_new_tokens,
        ),
        batch_size=config.batch_size,
        scorer="vsibench" if style == "direct" else "tagged",
        prompt_style=style,
        think=think,
        seed=seed,
        back_end=back_end,
        parts=parts,
    )
    for row in predictions:
        yield {**row, "model": run}
