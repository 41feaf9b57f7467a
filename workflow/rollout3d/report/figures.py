"""Figures of the report, as SVG with real text. Drawn without a display and without global state.

A figure that would become too small on a phone is drawn twice, wide and narrow; the page shows the one that fits.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rollout3d.questions import types
from rollout3d.scoring.aggregate import task_named

Row = Mapping[str, Any]

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE, GREEN, RED = "#2f6f9f", "#d9822b", "#4b8b5a", "#b3423a"
COLORS = (BLUE, ORANGE, GREEN, RED, MUTED)
FONT = "-apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
"""Font of the page. Figures are laid out for DejaVu Sans, which is wider than the others."""
NARROW = 3.5
"""Width in inches of a figure for phones: 336 pixels of the 360 of a narrow screen."""
_POINTS = 300
"""Most points of a curve; a longer one is drawn as the band between the extremes of as many bins."""


def words(name: str) -> str:
    """Return the name of a question type or task in plain words; another name, such as "overall", as it is."""
    of_type = types.known(name)
    if of_type is not None:
        return of_type.words
    task = task_named(name)
    return task.words if task else name


@dataclass(frozen=True)
class Drawing:
    """A figure as SVG for wide windows, and for those of a phone."""

    wide: bytes
    narrow: bytes


@dataclass(frozen=True)
class Panel:
    """One quantity of a training over its steps. The page draws title and legend, so that they cover no curve."""

    title: str
    keys: tuple[tuple[str, str], ...]
    """Label and colour of each curve."""
    svg: bytes


def scores_chart(scores: Sequence[Row], benchmark: str) -> Drawing | None:
    """Draw each run's overall score with its video, with black frames and with another room's video, over the two
    guessing baselines. None without scores."""
    overall = [row for row in scores if row["benchmark"] == benchmark and row["task"] == "overall"]
    if not overall:
        return None
    return Drawing(_svg(score_bars(overall, 8)), _svg(score_bars(overall, NARROW)))


def score_bars(overall: Sequence[Row], width: float) -> Figure:
    """Return the chart of overall scores as a figure of `width` inches."""
    runs = list(dict.fromkeys(row["run"] for row in overall))
    value = {(row["run"], row["view"]): row["score"] for row in overall}
    controls = (("black", MUTED, "black frames"), ("other_room", GREEN, "another room"))
    controls = [each for each in controls if any((run, each[0]) in value for run in runs)]
    shown = [("video", BLUE, "its video" if controls else "video"), *controls]
    each = 0.55 if len(shown) < 3 else 0.7
    figure = Figure(figsize=(width, 0.95 + (0.5 if width > NARROW else 0.9) + each * len(runs)), layout="constrained")
    axes = figure.subplots()
    _clean(axes, grid="x")
    height = 0.5 if not controls else 0.72 / len(shown)
    for i, run in enumerate(runs):
        for k, (view, color, label) in enumerate(shown):
            if (run, view) in value:
                y = i + (k - (len(shown) - 1) / 2) * height
                axes.barh(y, value[run, view], height * 0.92, color=color, label=label if i == 0 else None)
                inside = {"xytext": (3, 0), "textcoords": "offset points", "va": "center", "fontsize": 8}
                axes.annotate(f"{value[run, view]:.1f}", (value[run, view], y), color=INK, **inside)
    for view, style, label in (("random", ":", "random guess"), ("frequent", "--", "most frequent answer")):
        found = [value[run, view] for run in runs if (run, view) in value]
        if found:
            axes.axvline(found[0], color=ORANGE, linestyle=style, linewidth=1.4, label=f"{label} {found[0]:.1f}")
    axes.set_yticks(range(len(runs)), runs)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.14 * max(value[key] for key in value if not key[1].startswith("seen")) + 1)
    axes.set_xlabel("overall score, percent", fontsize=8, color=INK)
    figure.legend(loc="outside upper left", ncols=4 if width > NARROW else 2, frameon=False, fontsize=8)
    return figure


def training_curves(metrics: Sequence[Row]) -> list[Panel]:
    """Return one panel per quantity of a run's metrics: raw values thin, a running mean thick."""
    panels = []
    for title, series in _panels(metrics):
        if series:
            keys = tuple(zip(series, COLORS)) if len(series) > 1 else ()
            panels.append(Panel(title, keys, _svg(curves(series))))
    return panels


def share_panel(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float, float | None, float | None]]],
    colors: Sequence[str],
) -> Panel:
    """Return a panel of shares over the steps: points (step, percent, low, high), with the interval as a band."""
    figure = Figure(figsize=(2.75, 1.6))
    axes = figure.add_axes((0.16, 0.15, 0.81, 0.75))
    _clean(axes, grid="y")
    for points, color in zip(series.values(), colors):
        steps, values = [point[0] for point in points], [point[1] for point in points]
        band = [(step, low, high) for step, _, low, high in points if low is not None and high is not None]
        if len(band) > 1:
            places, lows, highs = zip(*band)
            axes.fill_between(places, lows, highs, color=color, alpha=0.18, linewidth=0)
        axes.plot(steps, values, color=color, linewidth=1.6, marker="o", markersize=2.5)
    axes.set_ylim(-3, 103)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    return Panel(title, tuple(zip(series, colors)), _svg(figure))


def curves(series: Mapping[str, Sequence[tuple[float, float]]]) -> Figure:
    """Draw curves of (step, value) points; axes lie at the same place in every figure, so that panels align."""
    figure = Figure(figsize=(2.75, 1.6))
    axes = figure.add_axes((0.16, 0.15, 0.81, 0.75))
    _clean(axes, grid="y")
    for points, color in zip(series.values(), COLORS):
        steps, values = np.array(points, float).T
        every = np.unique(np.linspace(0, len(steps) - 1, _POINTS).round().astype(int))
        if len(steps) > _POINTS:
            bins = np.array_split(values, _POINTS)
            lowest, highest = ([pick(part) for part in bins] for pick in (min, max))
            middles = [part.mean() for part in np.array_split(steps, _POINTS)]
            axes.fill_between(middles, lowest, highest, color=color, alpha=0.25, linewidth=0)
        elif len(values) > 8:
            axes.plot(steps, values, color=color, linewidth=0.6, alpha=0.45)
        axes.plot(steps[every], _running_mean(values)[every], color=color, linewidth=1.6)
    if np.ptp(axes.dataLim.intervaly) < 1e-9:
        axes.set_ylim(axes.dataLim.y0 - 0.5, axes.dataLim.y0 + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4), useOffset=False)
    axes.yaxis.get_offset_text().set_fontsize(8)
    return figure


def _panels(metrics: Sequence[Row]) -> Iterable[tuple[str, dict[str, list[tuple[float, float]]]]]:
    def of(**columns: str) -> dict[str, list[tuple[float, float]]]:
        found = {
            label: [(row["step"], row[column]) for row in metrics if row.get(column) is not None]
            for label, column in columns.items()
        }
        return {label.replace("_", " "): points for label, points in found.items() if points}

    rewards: dict[str, list[tuple[float, float]]] = {}
    for row in metrics:
        for part in row["rewards"]:
            rewards.setdefault(part["name"], []).append((row["step"], part["value"]))
    yield "reward parts", rewards
    yield "correctness by view", of(clean="acc_clean", altered="acc_noisy")
    shown = {"video": "probe_video", "black": "probe_black", "other_room": "probe_other_room"}
    yield "probes by video", of(**shown, objects_under_noise="probe_drowned")
    above = {"black": "probe_seen", "other_room": "probe_seen_other_room"}
    yield "probes: video minus control", of(**above, objects_under_noise="probe_seen_drowned")
    yield "loss", of(loss="loss")
    yield "KL to the reference", of(kl="kl")
    yield "groups without spread", of(share="frac_zero_std")
    yield "tokens per answer", of(tokens="completion_len_mean")
    yield "gradient norm", of(norm="grad_norm")
    yield "schedule delta", of(delta="delta")
    if any(row["delta"] for row in metrics):
        yield "objects perturbed per step", of(objects="n_regions")
    yield "learning rate", of(rate="lr")


def dataset_chart(cells: Sequence[Row]) -> Drawing | None:
    """Draw Figure 3: questions of each type in OCR-RL and OCR-SFT, most frequent first. None without questions."""
    if not any(cell["ours"] for cell in cells):
        return None
    return Drawing(_svg(question_bars(cells, 8)), _svg(question_bars(cells, NARROW)))


def question_bars(cells: Sequence[Row], width: float) -> Figure:
    """Return Figure 3 as a figure of `width` inches: vertical bars if wide, horizontal ones if narrow."""
    counted = list(dict.fromkeys(cell["row"] for cell in cells))
    count = {(cell["row"], cell["column"]): cell["ours"] or 0 for cell in cells}
    names = [words(name).replace("relative direction, ", "direction ") for name in counted]
    wide = width > NARROW
    figure = Figure(figsize=(width, 3.4 if wide else 0.7 + 0.42 * len(counted)), layout="constrained")
    axes = figure.subplots()
    _clean(axes, grid="y" if wide else "x")
    places = np.arange(len(counted))
    for k, (column, color) in enumerate((("OCR-RL", "#a9c9e0"), ("OCR-SFT", BLUE))):
        values = [count.get((name, column), 0) for name in counted]
        label = f"{column}, {int(sum(values)):,}"
        draw = axes.bar if wide else axes.barh
        bars = draw(places + (k - 0.5) * 0.4, values, 0.38, color=color, label=label)
        axes.bar_label(bars, [f"{int(v):,}" for v in values], fontsize=8, color=INK, padding=2)
    if wide:
        axes.set_xticks(places, [name.replace(" ", "\n", 1) for name in names], fontsize=8)
        axes.set_ylabel("questions", fontsize=8, color=INK)
        axes.margins(y=0.08)
    else:
        axes.set_yticks(places, [name.replace(" ", "\n", 1) for name in names], fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.14)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, fontsize=8)
    return figure


def _running_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over a centred window of a tenth of the series, shorter at both ends."""
    half = len(values) // 20
    sums = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _clean(axes: Axes, grid: Literal["x", "y"]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(colors=INK, labelsize=8, length=0)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _svg(figure: Figure) -> bytes:
    """Return a figure as SVG with text as text, in the page's font; the same figure gives the same bytes."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "rollout3d"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", buffer.getvalue(), flags=re.S)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", FONT, text)
    # A hundredth of a point is finer than any screen; numbers that are read stay as they are.
    places = re.compile(r' (?:d|x|y|points|transform)="[^"]*"')
    return places.sub(lambda found: re.sub(r"(\d+\.\d\d)\d+", r"\1", found[0]), text).encode()
