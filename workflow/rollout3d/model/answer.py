"""Run a model over questions and yield scored predictions: for the difficulty filter and for evaluation."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rollout3d.errors import InvalidInput
from rollout3d.geometry.frames import FrameSet, frame_set
from rollout3d.model.encode import Prompt
from rollout3d.model.generate_hf import Batches
from rollout3d.model.load import Policy
from rollout3d.model.media import FrameStore, question_media
from rollout3d.model.parts import Key, Parts, Samples
from rollout3d.model.prompts import GivenMap, Style, question_prompt
from rollout3d.model.sampling import BackEnd, Batch, Sampling
from rollout3d.model.twins import BLACK, Twins
from rollout3d.model.wordings import wording_digest, wording_name
from rollout3d.progress import progress
from rollout3d.scoring.scorers import score
from rollout3d.seeding import shard_of
from rollout3d.tables.rows import QuestionRow

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """What a model is shown with a question."""

    name: str
    """Name in the predictions: frames2, frames16, frames16_bev, uniform32, black32, ..."""
    frame_set: str = "uniform16"
    """Frames of a video that are shown (`config/frames.py`)."""
    n_frames: int | None = None
    """Number of them, evenly spaced, both ends included; None for those of the set."""
    pixels: tuple[int, int] = (4 * 28 * 28, 256 * 28 * 28)
    """Fewest and most pixels per frame."""
    bev: bool = False
    """True if the top view comes before the video."""
    probe: str | None = None
    """An altered video in place of the question's own: black, shuffled, ... (`model/twins.py`)."""

    @property
    def shown(self) -> FrameSet:
        """The frame set."""
        return frame_set(self.frame_set)

    @property
    def n(self) -> int | None:
        """Number of frames of any video, repeated where it has fewer; None where a short video has fewer."""
        return self.n_frames or self.shown.n_shown


def of_shard(rows: Iterable[QuestionRow], shard: int, n_shards: int) -> list[QuestionRow]:
    """Return the questions of one job, in table order.

    Those of a physical space are in one job, so that its video is decoded and encoded once. General data, which have no
    space, are spread by their question id.
    """
    return [
        row for row in rows if shard_of(row["space_id"] or row["scene_id"] or row["question_id"], n_shards) == shard
    ]


def build_prompt(
    row: QuestionRow,
    policy: Policy,
    store: FrameStore | None,
    setting: Setting,
    prompt_style: Style = "direct",
    think: str = "video_r1",
    twins: Twins | None = None,
    given_maps: Mapping[str, GivenMap] | None = None,
    benchmark: str | None = None,
) -> Prompt:
    """Encode one question with its scene's video (and top view), with its own pictures and video, or as text alone.

    `twins`: the videos of a setting with a probe other than black. `given_maps`: question id -> the map that its prompt
    gives. `benchmark`: whose words a direct prompt has. Raises ValueError for a probe of a question without a video.
    """
    shown = setting.frame_set, setting.n, setting.pixels
    media = question_media(row, store, *shown, bev=setting.bev)
    if setting.probe == BLACK:
        media = media.blackened()
    elif setting.probe:
        if twins is None or media.video is None:
            raise ValueError(
                f"setting {setting.name}: question {row['question_id']} has no video, or no table of probes"
            )
        media = replace(media, video=twins.video(row, setting.probe, media.video, setting.n, setting.pixels))
    given = (given_maps or {}).get(row["question_id"])
    return question_prompt(row, media, policy.encoder, prompt_style, think, given_map=given, benchmark=benchmark)


def answer(
    rows: Sequence[QuestionRow],
    policy: Policy,
    store: FrameStore | None,
    settings: Sequence[Setting],
    *,
    sampling: Sampling,
    batch_size: int,
    scorer: str,
    prompt_style: Style = "direct",
    think: str = "video_r1",
    seed: int = 0,
    back_end: BackEnd | None = None,
    parts: Parts | None = None,
    split: str | None = None,
    twins: Twins | None = None,
    given_maps: Mapping[str, GivenMap] | None = None,
    which_map: str = "none",
    shows_progress: bool = True,
    benchmark: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Answer questions and yield rows of `tables.PREDICTIONS`, setting by setting, in the order of `rows`.

    Each question has `sampling.n` answers. A setting with a probe leaves out the questions without such a twin in
    `twins`. Questions are answered scene by scene, so that neighbours share a decoded and encoded video. Draws depend
    on the question's id and `seed` only. `back_end`: `generate_hf.Batches` (default) or a `generate_vllm.Engine`.
    `split` names the part of a benchmark that the rows are. `given_maps`: question id -> the cognitive map that its
    prompt gives, and `which_map` its kind (`evaluation.given_map`). `benchmark` decides the words of direct prompts,
    and whether prompts offer a map. `shows_progress`: print how many questions are answered. Every row holds its
    settings.

    Answers in `parts` are not computed again, and every finished batch is added there. Where the prompts of a batch
    share a forward, batches are the same whatever is in `parts`, and one that lacks an answer is computed anew, so that
    the answers are those of a run without interruption. Scores come from the texts (`scoring.scorers.score`).

    Raises ValueError if two rows have one question id.
    """
    back_end = back_end or Batches()
    ids = [str(row["question_id"]) for row in rows]
    twice = [name for name, n in Counter(ids).items() if n > 1]
    if twice:
        raise InvalidInput(
            f"{len(twice)} question ids occur more than once, such as {twice[0]}: rebuild the question table"
        )
    order = sorted(range(len(rows)), key=lambda i: (rows[i]["scene_id"] or "", i))
    size = batch_size if back_end.shares_forward else 1
    done: dict[Key, Samples] = parts.read() if parts is not None else {}
    asks = {setting: _asked(setting, ids, twins) for setting in settings}
    wanted = [(setting, i) for setting in settings for i in range(len(rows)) if i in asks[setting]]
    todo: dict[Batch, list[Key]] = {}
    kept = 0
    for setting in settings:
        mine = [i for i in order if i in asks[setting]]
        for start in range(0, len(mine), size):
            places = mine[start : start + size]
            keys = [(setting.name, ids[i]) for i in places]
            if all(key in done for key in keys):
                kept += len(keys)
                continue
            for key in keys:
                done.pop(key, None)
            chosen = [rows[i] for i in places]
            encode = partial(_encode, chosen, policy, store, setting, prompt_style, think, twins, given_maps, benchmark)
            todo[Batch(tuple(ids[i] for i in places), encode)] = keys
    if kept:
        LOG.info("%d of %d answers were kept by an earlier start", kept, len(wanted))

    def fresh() -> Iterator[tuple[Key, Samples]]:
        for batch, groups in back_end.run(policy, todo, sampling, seed):
            texts = [[(c.text, len(c.token_ids)) for c in completions] for completions in groups]
            answers = dict(zip(todo[batch], texts, strict=True))
            if parts is not None:
                parts.add(answers)
            yield from answers.items()

    prompt = wording_name(prompt_style, think, which_map, benchmark)
    asked = {
        "prompt": prompt,
        "prompt_digest": wording_digest(prompt),
        "temperature": float(sampling.temperature),
        "max_new_tokens": sampling.max_new_tokens,
        "backend": back_end.name,
        "model_digest": policy.digest,
        "split": split,
    }
    label = "+".join(setting.name for setting in settings) + ": questions"
    arriving = progress(fresh(), label, total=len(wanted), before=kept) if shows_progress else fresh()
    for setting, i in wanted:
        key = setting.name, ids[i]
        while key not in done:
            arrived = next(arriving, None)
            if arrived is None:
                raise AssertionError(f"the back end ended without an answer to question {key[1]}")
            done[arrived[0]] = arrived[1]
        shown = {
            "frames": setting.n_frames or setting.shown.n,
            "frame_policy": setting.shown.policy,
            "max_pixels": setting.pixels[1],
        }
        for row in _predictions(rows[i], policy.name, setting.name, done.pop(key), scorer):
            given = (given_maps or {}).get(ids[i])
            yield row | shown | asked | {"given_map": given.text if given else None}
    for _ in arriving:  # nothing is left; this prints the last line of the progress
        raise AssertionError("the back end answered a question twice")


def _asked(setting: Setting, ids: Sequence[str], twins: Twins | None) -> set[int]:
    """Return the places of the questions that a setting has."""
    if setting.probe is None or (setting.probe == BLACK and twins is None):
        return set(range(len(ids)))
    if twins is None:
        raise InvalidInput(f"setting {setting.name} needs a table of probes")
    return {i for i, name in enumerate(ids) if twins.usable(name, setting.probe)}


def _encode(rows: Sequence[QuestionRow], *shown: Any) -> list[Prompt]:
    """Encode the questions of one batch; `shown` as of `build_prompt`."""
    return [build_prompt(row, *shown) for row in rows]


def _predictions(row: QuestionRow, model: str, setting: str, samples: Samples, scorer: str) -> Iterator[dict[str, Any]]:
    """Yield the predictions of one question, scored."""
    for sample, (text, n_tokens) in enumerate(samples):
        judged = score(text, row, scorer)
        yield {
            "question_id": row["question_id"],
            "model": model,
            "setting": setting,
            "sample": sample,
            "text": text,
            "answer": judged.answer,
            "score": judged.score,
            "scorer": scorer,
            "n_tokens": n_tokens,
        }
