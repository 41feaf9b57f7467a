"""Figures of the report, as PNG bytes. Drawn without a display and without global state."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Row = Mapping[str, Any]

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE, GREEN, RED = "#2f6f9f", "#d9822b", "#4b8b5a", "#b3423a"

_COLUMNS = 4
"""Panels a row."""

NAMES = {
    "object_counting": "object count",
    "object_size_estimation": "object size",
    "room_size_estimation": "room size",
    "object_abs_distance": "absolute distance",
    "object_rel_distance": "relative distance",
    "object_rel_direction": "relative direction",
    "object_rel_direction_easy": "relative direction, easy",
    "object_rel_direction_medium": "relative direction, medium",
    "object_rel_direction_hard": "relative direction, hard",
    "obj_appearance_order": "appearance order",
    "route_planning": "route planning",
    "overall": "overall",
}
"""Question types and tasks in plain words."""


def scores_chart(scores: Sequence[Row], benchmark: str) -> bytes | None:
    """Overall score of each run on its video and on black frames, over the two guessing baselines; None without."""
    overall = [row for row in scores if row["benchmark"] == benchmark and row["task"] == "overall"]
    runs = list(dict.fromkeys(row["run"] for row in overall))
    if not runs:
        return None
    value = {(row["run"], row["view"]): row["score"] for row in overall}
    figure = Figure(figsize=(8, 0.9 + 0.55 * len(runs)), layout="constrained")
    axes = figure.subplots()
    _clean(axes, grid="x")
    black = any((run, "black") in value for run in runs)
    height = 0.36 if black else 0.5
    for i, run in enumerate(runs):
        shown = (
            [("video", BLUE, "its video"), ("black", MUTED, "black frames")] if black else [("video", BLUE, "video")]
        )
        for k, (view, color, label) in enumerate(shown):
            if (run, view) in value:
                y = i + (k - 0.5) * height if black else i
                axes.barh(y, value[run, view], height * 0.92, color=color, label=label if i == 0 else None)
                axes.text(value[run, view] + 0.4, y, f"{value[run, view]:.1f}", va="center", fontsize=8, color=INK)
    for view, style, label in (("random", ":", "random guess"), ("frequent", "--", "most frequent answer")):
        found = [value[run, view] for run in runs if (run, view) in value]
        if found:
            axes.axvline(found[0], color=ORANGE, linestyle=style, linewidth=1.4, label=f"{label} {found[0]:.1f}")
    axes.set_yticks(range(len(runs)), runs)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(value.values()) + 1)
    axes.set_xlabel("overall score, percent")
    figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=8)
    return _png(figure)


def training_curves(metrics: Sequence[Row]) -> bytes | None:
    """What a run's metrics hold, one panel a quantity: raw values thin, a running mean thick. None if empty."""
    panels = [(title, series) for title, series in _panels(metrics) if series]
    if not panels:
        return None
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(figsize=(2.9 * _COLUMNS, 1.9 * rows), layout="constrained")
    places = figure.subplots(rows, _COLUMNS, squeeze=False).flat
    for axes, panel in zip(places, [*panels, *[None] * _COLUMNS]):
        if panel is None:
            axes.set_axis_off()
            continue
        title, series = panel
        _clean(axes, grid="y")
        for (label, points), color in zip(series.items(), (BLUE, ORANGE, GREEN, RED, MUTED)):
            steps, values = np.array(points, float).T
            smooth = _running_mean(values)
            if len(values) > 8:
                axes.plot(steps, values, color=color, linewidth=0.6, alpha=0.35)
            axes.plot(steps, smooth, color=color, linewidth=1.6, label=label)
        if np.ptp(axes.dataLim.intervaly) < 1e-9:
            axes.set_ylim(axes.dataLim.y0 - 0.5, axes.dataLim.y0 + 0.5)
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4), useOffset=False)
        axes.yaxis.get_offset_text().set_fontsize(7)
        if len(series) > 1:
            axes.legend(frameon=False, fontsize=7)
    return _png(figure)


def _panels(metrics: Sequence[Row]) -> Iterable[tuple[str, dict[str, list[tuple[float, float]]]]]:
    def of(**columns: str) -> dict[str, list[tuple[float, float]]]:
        found = {
            label: [(row["step"], row[column]) for row in metrics if row[column] is not None]
            for label, column in columns.items()
        }
        return {label.replace("_", " "): points for label, points in found.items() if points}

    rewards: dict[str, list[tuple[float, float]]] = {}
    for row in metrics:
        for part in row["rewards"]:
            rewards.setdefault(part["name"], []).append((row["step"], part["value"]))
    yield "reward parts", rewards
    yield "correctness by view", of(clean="acc_clean", altered="acc_noisy")
    yield "loss", of(loss="loss")
    yield "KL to the reference", of(kl="kl")
    yield "groups without spread", of(share="frac_zero_std")
    yield "tokens an answer", of(tokens="completion_len_mean")
    yield "gradient norm", of(norm="grad_norm")
    yield "schedule delta", of(delta="delta")
    if any(row["delta"] for row in metrics):
        yield "objects perturbed a step", of(objects="n_regions")
    yield "learning rate", of(rate="lr")


def dataset_chart(cells: Sequence[Row]) -> bytes | None:
    """Figure 3: questions of each type in OCR-RL and OCR-SFT, most frequent first."""
    kinds = list(dict.fromkeys(cell["row"] for cell in cells))
    count = {(cell["row"], cell["column"]): cell["ours"] or 0 for cell in cells}
    if not any(count.values()):
        return None
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    _clean(axes, grid="y")
    places = np.arange(len(kinds))
    for k, (column, color) in enumerate((("OCR-RL", "#a9c9e0"), ("OCR-SFT", BLUE))):
        values = [count.get((kind, column), 0) for kind in kinds]
        bars = axes.bar(places + (k - 0.5) * 0.4, values, 0.38, color=color, label=f"{column}, {int(sum(values))}")
        axes.bar_label(bars, [f"{int(v)}" for v in values], fontsize=7, color=INK, padding=1)
    names = [NAMES.get(kind, kind).replace("relative direction, ", "direction ") for kind in kinds]
    axes.set_xticks(places, [name.replace(" ", "\n", 1) for name in names], fontsize=8)
    axes.set_ylabel("questions")
    axes.legend(frameon=False, fontsize=8)
    return _png(figure)


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Mean over a centred window of a tenth of the series, shorter at both ends."""
    half = len(values) // 20
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _clean(axes: Axes, grid: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()
