"""Let a run answer a benchmark, on its video and, if wanted, on altered videos (`model/probes.py`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import cast

from rollout3d.config import Evaluation, Video
from rollout3d.config.evaluation import map_given, official_scorer
from rollout3d.config.frames import eval_set
from rollout3d.model.answer import Setting, answer
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore
from rollout3d.model.parts import Parts
from rollout3d.model.prompts import GivenMap
from rollout3d.model.sampling import BackEnd, Sampling
from rollout3d.model.twins import Twins
from rollout3d.model.wordings import Style
from rollout3d.tables.rows import PredictionRow, QuestionRow


def settings(config: Evaluation, video: Video, benchmark: str | None = None) -> list[Setting]:
    """Return the settings of a run: frames (OCR: 32; a benchmark may have its own), and for each of `evaluation.probes`
    as many of that twin."""
    name = eval_set(config, video, benchmark)
    found = [Setting(name, frame_set=name, pixels=video.eval_pixels)]
    n = found[0].shown.n or ""
    return [*found, *(replace(found[0], name=f"{each}{n}", probe=each) for each in config.probes)]


def evaluate(
    run: str,
    rows: Sequence[QuestionRow],
    policy: Policy,
    store: FrameStore,
    config: Evaluation,
    video: Video,
    *,
    style: Style,
    think: str | None,
    most_tokens: int,
    batch_size: int,
    seed: int,
    back_end: BackEnd,
    parts: Parts | None = None,
    benchmark: str | None = None,
    split: str | None = None,
    twins: Twins | None = None,
    given_maps: Mapping[str, GivenMap] | None = None,
) -> Iterator[PredictionRow]:
    """Answer question rows and yield prediction rows, those of the questions' own video first.

    Answers are scored by the official scorer of `style` on `benchmark`, which may have frames and a direct prompt of
    its own. `think` names the wording that asks for reasoning, None for direct answers. `most_tokens`: maximum length
    of an answer. `batch_size`: questions that are answered together, where the back end shares forwards. Answers in
    `parts` are not computed again. `split` names the part of the benchmark that its questions are. `twins` has the
    videos of `config.probes`. `given_maps`: question id -> the map that its prompt gives, of the kind
    `config.given_map`.
    """
    predictions = answer(
        rows,
        policy,
        store,
        settings(config, video, benchmark),
        sampling=Sampling(
            temperature=config.temperature,
            max_new_tokens=most_tokens,
        ),
        batch_size=batch_size,
        scorer=official_scorer(style, benchmark),
        prompt_style=style,
        think=think or "",
        seed=seed,
        back_end=back_end,
        parts=parts,
        split=split,
        twins=twins,
        given_maps=given_maps,
        which_map=map_given(config, style, benchmark),
        benchmark=benchmark,
    )
    for row in predictions:
        yield cast(PredictionRow, {**row, "model": run})
