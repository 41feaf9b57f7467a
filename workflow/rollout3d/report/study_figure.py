"""Figure of a study: the difference of each arm from the baseline, with its interval, a panel per measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from rollout3d.report.figures import BLUE, INK, MUTED, _clean, _svg


def arms_chart(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the figure of a table `study` as SVG; grey bands are what the design does not detect."""
    apart = [row for row in rows if row["difference"] is not None]
    measures, arms = (list(dict.fromkeys(row[name] for row in apart)) for name in ("measure", "arm"))
    columns = min(3, max(1, len(measures)))
    lines = -(-len(measures) // columns)
    figure = Figure(figsize=(2.9 * columns, 0.8 + (0.6 + 0.24 * len(arms)) * lines), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes, measure in zip(grid.flat, measures):
        _clean(axes, grid="x")
        own = {row["arm"]: row for row in apart if row["measure"] == measure}
        stated = next((row["detectable"] for row in own.values()), None)
        if stated is not None:
            axes.axvspan(-stated, stated, color=MUTED, alpha=0.15, linewidth=0)
        axes.axvline(0, color=INK, linewidth=0.8)
        for place, arm in enumerate(arms):
            if arm in own:
                row = own[arm]
                axes.plot([row["low"], row["high"]], [place, place], color=BLUE, linewidth=1.6)
                axes.plot([row["difference"]], [place], "o", color=BLUE, markersize=4)
        axes.set_title(measure.replace("_", " "), fontsize=8, color=INK)
    for axes in grid.flat[len(measures) :]:
        axes.set_visible(False)
    grid[0, 0].set_yticks(range(len(arms)), arms)
    grid[0, 0].invert_yaxis()
    figure.supxlabel("points minus vanilla, 95 % interval; grey: below what the design detects", fontsize=8, color=INK)
    return _svg(figure)
