"""Figures of a probe during training, and the rule of the warning that a model may not use its video.

A probe answers the same questions with four videos: their own, black frames, another room's, and their own with the
queried objects under noise. A model that uses its video scores more on the first. Light: `rollout3d watch` and the
report read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from rollout3d.seeding import generator

SEEN = {
    "black": "probe_seen",
    "other_room": "probe_seen_other_room",
    "drowned": "probe_seen_drowned",
}
"""Probe -> column of `tables.METRICS` with the score on the video minus that with the probe."""
CONTROLS = {"black": "black frames", "other_room": "another room's video"}
"""Probe that warns -> its words. Noise over the queried objects leaves the room, which helps to answer some types."""
IN_A_ROW = 2
"""Number of probes in a row at which the interval reaches zero before there is a warning. [assumed]"""
DRAWS, CONFIDENCE = 1000, 0.95


def figures(scores: Mapping[str, Mapping[str, float]], rooms: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns of one probe in `tables.METRICS`.

    `scores`: view (video, or a probe) -> question id -> score, 0 to 1; a probe may lack questions, which then count
    neither with it nor in its difference. `rooms`: question id -> physical space.
    """
    video = scores["video"]
    found: dict[str, Any] = {"probe_n": len(video), "probe_video": fmean(video.values())}
    for probe, column in SEEN.items():
        own = scores.get(probe, {})
        if not own:
            continue
        differences = {question: video[question] - score for question, score in own.items()}
        low, high = interval(differences, rooms)
        found |= {f"probe_{probe}": fmean(own.values()), column: fmean(differences.values())}
        found |= {f"{column}_low": low, f"{column}_high": high}
    return found


def interval(differences: Mapping[str, float], rooms: Mapping[str, str]) -> tuple[float | None, float | None]:
    """Return the 95 % interval of the mean difference by paired bootstrap: quantiles of the means of 1000 draws.

    `differences`: question id -> score on the video minus score on the probe, -1 to 1. Questions about one room are not
    independent, so rooms (`rooms`: question id -> physical space) are drawn with replacement, as many as there are. The
    same draws at every step: nothing but the answers moves the interval. None where all questions are about one room.
    """
    by_room: dict[str, list[float]] = {}
    for question in sorted(differences):
        by_room.setdefault(rooms[question], []).append(differences[question])
    if len(by_room) < 2:
        return None, None
    sums, counts = (np.array([of(each) for each in by_room.values()], float) for of in (sum, len))
    drawn = generator("probe interval").integers(len(sums), size=(DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def streak(rows: Sequence[Mapping[str, Any]], control: str) -> list[Mapping[str, Any]]:
    """Return the last probes, in the order of their steps, at which the video is not above a control.

    `rows` of `tables.METRICS`, or `metrics.flat` of them with `step`. It is not above where the interval of their
    difference reaches zero or lies below it. Probes without an interval are passed over.
    """
    low = f"{SEEN[control]}_low"
    probed = [row for row in rows if row.get(low) is not None]
    first = next((i for i in range(len(probed), 0, -1) if probed[i - 1][low] > 0), 0)
    return probed[first:]


def warnings(rows: Sequence[Mapping[str, Any]], new: bool = False) -> list[str]:
    """Return a sentence for each control that the score on the video has met: at two probes in a row, the last one
    among them, the interval of their difference reaches zero.

    `new`: only those whose second probe is the last one, so that a log says it once.
    """
    found = []
    for control, words in CONTROLS.items():
        met = streak(rows, control)
        if len(met) < IN_A_ROW or (new and len(met) > IN_A_ROW):
            continue
        last, column = met[-1], SEEN[control]
        found.append(
            f"the score on the video is not above that on {words} at the last {len(met)} probes, from step "
            f"{met[0]['step']:.0f} on: {last[column]:+.3f} at step {last['step']:.0f}, 95 % interval "
            f"{last[f'{column}_low']:+.3f} to {last[f'{column}_high']:+.3f}, {last['probe_n']:.0f} questions. The "
            "answers may not depend on the video, or the probe is too small to show it (training.probe_questions)"
        )
    return found
