"""A run answering a benchmark, on its video and, if asked for, on videos that cannot answer (`probes.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rollout3d.config import Evaluation, Video
from rollout3d.config.frames import eval_set
from rollout3d.evaluation.settings import scorer_of
from rollout3d.model.answer import Setting, answer
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore
from rollout3d.model.parts import Parts
from rollout3d.model.sampling import BackEnd, Sampling
from rollout3d.model.twins import Twins
from rollout3d.model.wordings import Style


def settings(config: Evaluation, video: Video) -> list[Setting]:
    """What a run is shown: frames (OCR: 32), and for each of `evaluation.probes` as many of that twin of the video."""
    name = eval_set(config, video)
    found = [Setting(name, frame_set=name, pixels=video.eval_pixels)]
    return [*found, *(replace(found[0], name=f"{each}{found[0].shown.n}", probe=each) for each in config.probes)]


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
    split: str | None = None,
    twins: Twins | None = None,
) -> Iterator[dict[str, Any]]:
    """PREDICTIONS rows, the video's first. Direct answers are read by VSI-Bench's evaluator; of reasoned ones the text
    in the `<answer>` tag is, by the same matching. `think` names the wording that asks for reasoning; answers in
    `parts` are not computed again; `split` names the part of the benchmark that its questions are; `twins` has the
    videos of `config.probes`."""
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
        scorer=scorer_of(style),
        prompt_style=style,
        think=think,
        seed=seed,
        back_end=back_end,
        parts=parts,
        split=split,
        twins=twins,
    )
    for row in predictions:
        yield {**row, "model": run}
