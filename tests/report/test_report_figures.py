"""Figures of the report: legends cover nothing, numbers stay whole, long trainings stay small."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rollout3d.config import question_types
from rollout3d.report import figures


def scores(n_runs=6, view_score=60.0):
    names = [f"a_run_with_a_long_name_{i}" for i in range(n_runs)]
    views = (("video", view_score), ("black", 55.0), ("seen", 5.0), ("other_room", 50.0), ("seen_other_room", 10.0))
    views += (("random", 28.6), ("frequent", 34.0))
    return [
        {"benchmark": "b", "task": "overall", "run": run, "view": view, "score": score}
        for run in names
        for view, score in views
    ]


def cells(n=9999.0):
    kinds = [*question_types.NAMES, "object_rel_direction"]
    return [{"row": kind, "column": column, "ours": n} for kind in kinds for column in ("OCR-RL", "OCR-SFT")]


@pytest.mark.parametrize("width", [8, figures.NARROW])
@pytest.mark.parametrize("draw", [figures.score_bars, figures.question_bars])
def test_legends_and_names_lie_inside_the_figure_and_beside_the_bars(draw, width):
    figure = draw(scores() if draw is figures.score_bars else cells(), width)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    (axes,), (legend,) = figure.axes, figure.legends
    assert axes.get_legend() is None
    plot, key = axes.get_window_extent(renderer), legend.get_window_extent(renderer)
    assert not plot.overlaps(key)
    for box in (key, axes.get_tightbbox(renderer)):  # with all that is drawn around the plot
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1 and box.y1 <= figure.bbox.y1 + 1
    for box in (text.get_window_extent(renderer) for text in axes.texts):
        assert box.x1 <= figure.bbox.x1 + 1 and not box.overlaps(key)
    names = [label.get_window_extent(renderer) for label in axes.get_xticklabels()]
    assert not any(a.overlaps(b) for a, b in pairwise(names))


def series(n):
    rng = np.random.default_rng(0)
    return {name: [(i, 0.1 + rng.random()) for i in range(n)] for name in ("clean", "altered")}


def metrics(n):
    empty = ("loss", "kl", "frac_zero_std", "completion_len_mean", "grad_norm", "delta", "n_regions", "lr")
    points = series(n)
    return [
        dict.fromkeys(empty) | {"step": i, "rewards": [], "acc_clean": points["clean"][i][1], "acc_noisy": 0.2}
        for i in range(n)
    ]


def test_panels_of_training_have_no_legend_and_tell_the_page_their_colours():
    (panel,) = figures.training_curves(metrics(40))
    assert panel.title == "correctness by view"
    assert panel.keys == (("clean", figures.BLUE), ("altered", figures.ORANGE))
    assert figures.curves(series(40)).axes[0].get_legend() is None
    text = panel.svg.decode()
    assert all(color in text for _, color in panel.keys) and figures.GREEN not in text
    assert figures.training_curves(metrics(40)) == [panel], "same rows, same bytes"
    assert figures.training_curves([]) == []


def test_long_trainings_are_drawn_with_few_points_that_keep_the_extremes():
    points = [(i, 0.5) for i in range(20_000)]
    points[7777] = (7777, 3.0)
    figure = figures.curves({"loss": points})
    assert figure.axes[0].dataLim.y1 == 3.0, "a spike is seen"
    assert len(figures.training_curves(metrics(20_000))[0].svg) < 100_000


def test_text_is_text_in_the_pages_font_and_numbers_are_whole():
    drawing = figures.scores_chart(scores(1, 60.125), "b")
    for svg in (drawing.wide.decode(), drawing.narrow.decode()):
        assert re.findall(r">(60\.1)</text>", svg) and "most frequent answer 34.0" in svg and "another room" in svg
        assert set(re.findall(r"font-family: ([^;\"]*)", svg)) <= {figures.FONT} and "Vera" not in svg
        assert "<metadata" not in svg and "<dc:" not in svg
    fine = figures.curves({"lr": [(0, 0.12345), (1, 0.12355)]})
    texts = re.findall(r">([^<>]+)</text>", figures._svg(fine).decode())
    assert any(re.fullmatch(r"0\.123\d+", text) for text in texts), texts


def test_nothing_to_draw_is_no_figure():
    assert figures.scores_chart([], "b") is None
    assert figures.dataset_chart(cells(0.0)) is None and figures.dataset_chart([]) is None
