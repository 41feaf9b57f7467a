"""One GRPO step by hand: a group whose rollouts and rewards the test chooses, and the gradient that it gives."""

from __future__ import annotations

import torch
import training_world as tw

from rollout3d import tables
from rollout3d.model.media import FrameStore
from rollout3d.model.regions import Regions
from rollout3d.model.sampling import Completion
from rollout3d.training.data import Questions
from rollout3d.training.engines.choose import make_engine
from rollout3d.training.group import Group, Rollout
from rollout3d.training.grpo import update
from rollout3d.training.objective import advantages
from rollout3d.training.rewards import Judgement
from rollout3d.training.rollouts import Context, make_views
from rollout3d.training.world import World

CLEAN_WORDS = [[5, 9, 11, 40], [7, 8]]
NOISY_WORDS = [[5, 9, 12], [60, 61, 62, 63, 64]]


def questions(files, rows=None):
    store = FrameStore([files["frames"]])
    return Questions(rows or tables.read(tables.OCR_RL, files["ocr_rl"]), store, tw.config().video, "plain", 0)


def engine(files, grpo, **training):
    shared = tw.config(**training).training
    return make_engine(files["init"], grpo, World(), training=shared, video=tw.config().video, total=4)


def group(files, motor, grpo, rewards, words=(*CLEAN_WORDS, *NOISY_WORDS), question="q00"):
    """A group of two clean and two perturbed rollouts with given words and rewards."""
    asked = questions(files)
    row = next(r for r in tables.read(tables.OCR_RL, files["ocr_rl"]) if r["question_id"] == question)
    regions = Regions([files["objects"]], [files["regions"]], asked.frame_rows)
    media = asked.media(row)
    views = make_views(row, media.frames, Context(grpo, tw.run(), 0, 0, 4, regions))
    made = Group(row, views)
    for place, (tokens, earned) in enumerate(zip(words, rewards)):
        view = views[place // 2]
        prompt = asked.prompt(row, media.showing(view.frames), motor.policy.encoder)
        rollout = Rollout(view, prompt, Completion(list(tokens), "", True))
        rollout.judged = Judgement(None, {"correctness": earned, "format": 1.0}, earned)
        made.rollouts.append(rollout)
    for rollout, advantage in zip(made.rollouts, advantages(torch.tensor(rewards, dtype=torch.float64)).tolist()):
        rollout.advantage = advantage
    return made


def gradient(motor, groups, grpo):
    """Gradient that one update would use, before clipping."""
    found = {}

    def step(_):
        found.update({name: p.grad.clone() for name, p in motor.trained.items()})
        return 0.0

    motor.step = step
    for p in motor.trained.values():
        p.grad = None
    told = update(groups, motor, grpo, 0)
    return torch.cat([g.flatten() for g in found.values()]) if found else None, told
