"""Sentences of the summary on what answers rest on: the frames, or habit; and the thought before them, or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollout3d.config.choices import PROBES, PROBES_WITH_ANSWER
from rollout3d.evaluation.views import VIDEO, seen_view
from rollout3d.report.lines import PROBE_WORDS
from rollout3d.scoring.aggregate import task_named

Row = Mapping[str, Any]


def pixel_lines(rows: Sequence[Row]) -> list[str]:
    """Return two lines on one benchmark: the tasks that runs answer from the frames, and the others.

    A task counts where its score is above that with every probe that was asked and lacks the answer, with intervals
    that hold for all tasks together (`evaluation.seeing`); the line names the probes. Empty without probes whose
    intervals are known.
    """
    controls = [seen_view(probe) for probe in PROBES if probe not in PROBES_WITH_ANSWER]
    views = [view for view in controls if any(row["view"] == view for row in rows)]
    gains = {(row["run"], row["task"], row["view"]): row for row in rows if row["view"] in views}
    if not any(row["low"] is not None for row in gains.values()):
        return []
    runs = list(dict.fromkeys(run for run, *_ in gains))
    tasks = list(dict.fromkeys(task for _, task, _ in gains if task != "overall"))
    seen = {
        task: [run for run in runs if all(_above(gains.get((run, task, view))) for view in views)] for task in tasks
    }
    controls = ", ".join(PROBE_WORDS[probe] for probe in PROBES if seen_view(probe) in views)
    found = [f"{_words(task)} ({', '.join(of)})" for task, of in seen.items() if of]
    others = [_words(task) for task, of in seen.items() if not of]
    return [
        f"Answered from the frames, above every control ({controls}): {', '.join(found) or 'nothing'}.",
        f"Not shown to be: {', '.join(others) or 'nothing'}.",
    ]


def _above(row: Row | None) -> bool:
    return row is not None and row["low"] is not None and row["low"] > 0


def _words(task: str) -> str:
    named = task_named(task)
    return named.words if named else task


def map_line(rows: Iterable[Row]) -> str:
    """Return a line on the accuracy of the cognitive maps in answers, by run; empty where none was compared."""
    overall = [row for row in rows if row["task"] == "overall" and row["view"] == VIDEO and row.get("mapped")]
    found = [
        f"{row['run']} {row['map_accuracy']:.1%}, by SpaceR's release {row['map_accuracy_code']:.1%} "
        f"({row['mapped']:.0%} of {row['n']:,} answers have a map)"
        for row in overall
    ]
    return f"Accuracy of cognitive maps (SpaceR, equation 4): {'; '.join(found)}" if found else ""


def thought_line(rows: Iterable[Row]) -> str:
    """Return a line on the share of answers, by run, that follow from their thought; empty where none can be judged."""
    overall = [row for row in rows if row["task"] == "overall" and row["view"] == VIDEO and row.get("readable")]
    shares = [
        f"{row['run']} {row['consistent']:.0%} ({row['readable']:.0%} of {row['n']:,} thoughts can be read)"
        for row in overall
    ]
    return f"Answers that follow from their thought: {', '.join(shares)}" if shares else ""
