"""Detect a run that never updates its model: warn early, and end it with an error that names the likely cause.

GRPO learns from differences of reward within a group. A policy whose answers are never well-formed, or always right,
gives none: training would go on for days, and its last weights would be its first.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean

from rollout3d import tables
from rollout3d.config import Grpo
from rollout3d.errors import UserError
from rollout3d.training.loop import Loop
from rollout3d.training.metrics import flat, has_updated

log = logging.getLogger(__name__)

CUT, ALL = 0.98, 0.99
"""Mean length of answers, as a share of `max_new_tokens`, from which they count as cut off; mean correctness from which
questions count as too easy."""


class NoUpdate(UserError, RuntimeError):
    """No step of a run has updated its model. The message says for how many steps, and names the remedies."""


def watched(loop: Loop, grpo: Grpo) -> Iterator[int]:
    """Yield the loop's steps; warn of a run whose steps never update, and end it. All processes iterate together.

    After `WARN_WITHOUT_UPDATE` such steps from the start there is a warning, after `grpo.stop_without_update`
    every process raises `NoUpdate`, behind a checkpoint and with the tables on the disk. A run that is over before that
    has failed as well. A limit of null or 0 means never. Steps are counted in the metrics table, so a resumed run
    counts on, and started again with the same limit it ends at once.
    """
    idle = 0
    """Number of steps so far if none of them updated; -1 if one did."""
    begun = False
    for step in loop:
        if not begun:
            begun, idle = True, _count(loop)
            if reached(idle, grpo.stop_without_update):
                raise NoUpdate(explain(loop, grpo, idle))
            if reached(idle, grpo.warn_without_update):
                _warn(loop, grpo, idle)
        yield step
        if idle < 0:
            continue
        last = loop.last(tables.METRICS)
        idle = loop.world.share(-1 if last is not None and has_updated(last) else idle + 1)
        if reached(idle, grpo.stop_without_update):
            loop.give_up(NoUpdate(explain(loop, grpo, idle)))
        elif idle == grpo.warn_without_update:
            _warn(loop, grpo, idle)
    idle = idle if begun else _count(loop)
    if idle >= 0 and grpo.stop_without_update:
        raise NoUpdate(explain(loop, grpo, idle))
    if idle >= 0:
        _warn(loop, grpo, idle)


def reached(idle: int, limit: int | None) -> bool:
    """Return whether the number of steps without update has reached a limit; null and 0 are no limits."""
    return limit is not None and 0 < limit <= idle


def explain(loop: Loop, grpo: Grpo, idle: int) -> str:
    """Return what happened in the first `idle` steps, the likely cause and the remedy; the same on all processes."""
    rows = [flat(row) for row in loop.rows(tables.METRICS)]
    return loop.world.share(diagnosis(rows, grpo, idle) if loop.world.first else "")


def diagnosis(rows: Sequence[Mapping[str, float]], grpo: Grpo, idle: int) -> str:
    """Return the message for a run without update, from its metrics: `metrics.flat` of each step."""
    formed, right, tokens = (mean_of(rows, name) for name in ("format", "correctness", "tokens"))
    what = "within every group the rewards of all rollouts were equal"
    if any(row["frac_zero_std"] < 1 for row in rows):
        what = "the gradient was never finite"
        why = "steps are too large or the dtype too small: lower grpo.lr, or set training.dtype: float32"
    elif formed == 0 and tokens >= CUT * grpo.max_new_tokens:
        why = "answers are cut off before they are well-formed: raise grpo.max_new_tokens, or start from an SFT run"
    elif formed == 0:
        why = "the model does not know the format: start from an SFT run, and compare prompts.think with its targets"
    elif right == 0:
        why = "the questions are too hard for this model: start from an SFT run, and look at rollouts for wrong truths"
    elif right > ALL:
        why = "the questions are too easy for this model: train on harder ones"
    else:
        why = "the rollouts of a question are all alike: raise grpo.temperature, or n_clean and n_perturbed"
    limit = grpo.stop_without_update
    end = f" Training ends with an error after {limit} such steps, or after its last one" if limit else ""
    remedy = "; grpo.stop_without_update: null lets it go on" if limit else ""
    return (
        f"no update in the first {idle} steps: {what} ({formed:.1%} of the answers well-formed, mean correctness "
        f"{right:.3f}, {tokens:.0f} of at most {grpo.max_new_tokens} tokens). Probably {why}.{end}{remedy}"
    )


def mean_of(rows: Sequence[Mapping[str, float]], name: str) -> float:
    """Return the mean over steps of a figure that the message reports; nan where no step has it."""
    column = {"tokens": "completion_len_mean"}.get(name, f"rewards/{name}")
    return fmean([row[column] for row in rows if column in row] or [math.nan])


def _warn(loop: Loop, grpo: Grpo, idle: int) -> None:
    text = explain(loop, grpo, idle)
    if loop.world.first:
        log.warning(text)


def _count(loop: Loop) -> int:
    """Return the number of recorded steps if none of them updated; -1 if one did."""
    rows = loop.rows(tables.METRICS)
    return loop.world.share(-1 if any(has_updated(row) for row in rows) else len(rows))
