"""Probes during training: a fixed set of questions that is answered every some steps, with its video and without.

Answers are greedy and direct, by the weights before the step's update, as rollouts are. They leave no trace in what is
trained: no generator of random numbers moves, modes and weights are as before, and vLLM, if it draws the rollouts,
takes the weights over once more, which empties its caches. So weights, rollouts and every other column are those of a
run without probes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from rollout3d import tables
from rollout3d.config import Video
from rollout3d.config.evaluation import official_scorer
from rollout3d.config.frames import train_set
from rollout3d.config.training import Training
from rollout3d.model.answer import Setting, answer
from rollout3d.model.encode import Prompt
from rollout3d.model.generate_hf import Batches
from rollout3d.model.media import FrameStore
from rollout3d.model.probes import probe_rows, probed
from rollout3d.model.sampling import Completion, Generate, Sampling
from rollout3d.model.twins import Twins
from rollout3d.tables.rows import QuestionRow
from rollout3d.training.blindness import SEEN, figures, warnings
from rollout3d.training.engines.engine import Engine
from rollout3d.training.loop import Loop
from rollout3d.training.metrics import Clock

BATCH = 8
"""Number of questions that a process answers together."""
ANSWER_TOKENS = 16
"""Maximum length of an answer, in tokens: the default of `generation.max_new_tokens_direct`."""

log = logging.getLogger(__name__)


class Probes:
    """The probe of a run: its questions, their videos, and the steps at which they are answered.

    `spacing`: number of steps between two probes, the first one before the first update. `regions`: files of the tables
    objects and regions, without which no object is put under noise. `seed` draws the questions, the other rooms and the
    noise.
    """

    def __init__(
        self,
        questions: Sequence[QuestionRow],
        n: int,
        spacing: int,
        frames: Sequence[Path],
        video: Video,
        seed: int,
        regions: tuple[Sequence[Path], Sequence[Path]] | None = None,
    ):
        self._spacing = spacing
        chosen = probed(questions, n, seed, by_task=False)
        # Scene by scene, so that neighbours share a video.
        self._rows = sorted((row for row in questions if row["question_id"] in chosen), key=_by_scene)
        shown, views = train_set(video), tuple(SEEN)
        self._rooms = {row["question_id"]: row["space_id"] or str(row["scene_id"]) for row in self._rows}
        self._store = FrameStore(frames)
        made = probe_rows(self._rows, frames, shown, views, seed, regions)
        self._twins = Twins(
            made, shown, self._store, *(regions or ((), ())), seed=seed, source="probes of the training"
        )
        self._settings = [
            Setting(probe or "video", shown, pixels=video.train_pixels, probe=probe) for probe in (None, *views)
        ]

    def __len__(self) -> int:
        return len(self._rows)

    def due(self, step: int) -> bool:
        """Return whether a step, counted from 0, begins with a probe."""
        return step % self._spacing == 0

    def take(self, engine: Engine) -> dict[str, Any]:
        """Answer the probe; return its columns of `tables.METRICS` on the first process, none on the others.

        All processes call it together; each answers a part of the questions.
        """
        world = engine.world
        own = self._rows[len(self) * world.rank // world.size : len(self) * (world.rank + 1) // world.size]
        # Nothing draws from torch's generators today; whatever will, must not change the training.
        with torch.random.fork_rng(devices=[world.device] if world.device.type == "cuda" else []):
            engine.sampler.take_over()  # here, since a process without questions draws nothing
            answers = list(
                answer(
                    own,
                    engine.policy,
                    self._store,
                    self._settings,
                    sampling=Sampling(max_new_tokens=ANSWER_TOKENS),
                    batch_size=BATCH,
                    scorer=official_scorer("direct"),
                    back_end=Batches(_drawing(engine), name=engine.backend),
                    twins=self._twins,
                    shows_progress=False,
                )
            )
        # The next draw takes the same weights over again: vLLM then has the empty caches of a run without probes.
        engine.sampler.stale = True
        gathered = world.gather([(row["setting"], row["question_id"], row["score"]) for row in answers])
        if gathered is None:
            return {}
        scores: dict[str, dict[str, float]] = {}
        for view, question, score in (each for part in gathered for each in part):
            scores.setdefault(view, {})[question] = score
        return figures(scores, self._rooms)


def take(probes: Probes | None, step: int, engine: Engine, clock: Clock) -> dict[str, Any]:
    """Return the columns of the step's probe (`Probes.take`), none without one, and clock the phase `probe`."""
    if probes is None or not probes.due(step):
        return {}
    with clock("probe"):
        return probes.take(engine)


def of_run(
    training: Training,
    total: int,
    tested: Path | None,
    trained: Sequence[QuestionRow],
    frames: Sequence[Path],
    video: Video,
    seed: int,
    regions: tuple[Sequence[Path], Sequence[Path]] | None = None,
) -> Probes | None:
    """Return the probe of a run of `total` steps; None if it has none.

    `training`: that section of the configuration. Asked are questions about scans: of the table `tested` (the study's
    own test questions) where it has any with frames, since answers that a model has learnt by heart need no video; else
    of the training table, `trained`.
    """
    spacing = training.probe_spacing(total)
    if not spacing:
        return None
    store = FrameStore(frames)
    held_out = tables.read_light(tables.QUESTIONS, tested) if tested else []
    for name, rows in (("test questions", held_out), ("training questions", trained)):
        asked = [row for row in rows if (row["scene_id"] or "") in store and not row["media"]]
        if asked:
            made = Probes(asked, training.probe_questions, spacing, frames, video, seed, regions)
            log.info("probes: %d %s every %d of %d steps", len(made), name, spacing, total)
            return made
    log.warning("training.probe_every: no question is about a scan with frames, so nothing is probed")
    return None


def warn(loop: Loop, columns: Mapping[str, Any]) -> None:
    """Log what the probe that was just recorded warns of; `columns` of `Probes.take`, none without a probe."""
    if columns:  # on the first process only, which has the rows
        for sentence in warnings(loop.rows(tables.METRICS), new=True):
            log.warning(sentence)


def _drawing(engine: Engine) -> Generate:
    """Return the engine's own sampler as a `sampling.Generate`, which draws by the present weights whatever policy it
    is given."""

    def generate(
        policy: Any, prompts: Sequence[Prompt], sampling: Sampling, seed: int = 0, keys: Sequence[str] | None = None
    ) -> list[list[Completion]]:
        return engine.generate(prompts, sampling, seed, keys or [prompt.key for prompt in prompts])

    return generate


def _by_scene(row: QuestionRow) -> tuple[str, str]:
    return row["scene_id"] or "", row["question_id"]
