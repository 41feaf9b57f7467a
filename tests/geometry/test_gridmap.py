"""Cognitive maps: cells by hand, for any grid size."""

from __future__ import annotations

import pytest

from rollout3d.geometry.gridmap import cognitive_map

RECT = (-1.0, 2.0, 4.0, 12.0)  # 5 m wide, 10 m deep


def test_columns_grow_with_x_and_rows_with_y():
    found = cognitive_map({"table": [(-0.9, 2.1), (3.9, 11.9)], "chair": [(1.74, 3.01)]}, RECT)
    # (1.74 + 1) / 5 * 10 = 5.48; (3.01 - 2) / 10 * 10 = 1.01
    assert found == {"table": [[0, 0], [9, 9]], "chair": [[5, 1]]}


def test_centres_on_or_beyond_the_border_count_to_the_nearest_cell():
    objects = {"door": [(4.0, 12.0), (-1.0, 2.0), (-5.0, 40.0)], "window": []}
    assert cognitive_map(objects, RECT) == {"door": [[9, 9], [0, 0], [0, 9]], "window": []}


@pytest.mark.parametrize(("grid", "expected"), [(1, [0, 0]), (4, [2, 1]), (20, [11, 5])])
def test_any_grid_size(grid, expected):
    # 0.55 of the width, 0.25001 of the depth
    assert cognitive_map({"sofa": [(1.75, 4.5001, 0.4)]}, RECT, grid=grid) == {"sofa": [expected]}


def test_cells_are_half_open_and_plain_integers():
    (cell,) = cognitive_map({"bed": [(1.5, 7.0)]}, RECT)["bed"]
    assert cell == [5, 5]
    assert all(type(v) is int for v in cell)


@pytest.mark.parametrize(("rect", "grid"), [((0, 0, 0, 5), 10), ((0, 0, 5, -1), 10), (RECT, 0)])
def test_a_floor_without_area_is_refused(rect, grid):
    with pytest.raises(ValueError, match="area"):
        cognitive_map({}, rect, grid)


def test_a_centre_that_is_not_finite_is_refused():
    with pytest.raises(ValueError):
        cognitive_map({"bed": [(float("nan"), 1.0)]}, RECT)
