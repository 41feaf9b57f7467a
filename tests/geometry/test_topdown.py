"""Views from above of toy rooms: where things are in the picture, what the floor is, where one can walk."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from rollout3d.geometry.topdown import bev, floor_level, floor_rect, pack_grid, unpack_grid, walkable_grid

RED, GREEN = (255, 0, 0), (0, 200, 0)


def cells(walkable, x, y) -> bool:
    """Return whether the cell under a world position is walkable."""
    col, row = np.floor((np.array([x, y]) - walkable.origin) / walkable.cell_m).astype(int)
    return bool(walkable.grid[row, col])


def test_the_floor_is_found_under_furniture_ceiling_and_strays(room):
    room.box((2, 3, 0), (5, 5, 0.8), spacing=0.1)
    room.quad((1, 2, -1.3), (1.3, 2, -1.3), (1.3, 2.3, -1.3), (1, 2.3, -1.3), spacing=0.05)  # a reflection
    lift = np.array([0, 0, -1.37])  # ARKitScenes: the origin is the first camera
    for shift in (0 * lift, lift):
        assert floor_level(room.vertices + shift, room.faces) == pytest.approx(shift[2], abs=1e-9)
        assert floor_level(room.vertices + shift) == pytest.approx(shift[2], abs=1e-9)


def test_a_noisy_floor_is_found_in_its_middle(room):
    rng = np.random.default_rng(0)
    vertices = room.vertices + np.array([0, 0, 1.0]) * rng.normal(0, 0.01, (len(room.vertices), 1))
    assert floor_level(vertices, room.faces) == pytest.approx(0, abs=0.005)


def test_bev_shows_colours_at_their_world_positions(room):
    room.box((1.5, 2.5, 0), (2.5, 3.5, 0.7), RED, spacing=0.1)
    room.box((5, 4.5, 0), (6.5, 5.5, 0.5), GREEN, spacing=0.1)
    view = bev(room.vertices, room.faces, room.colors)
    assert view.rgb.shape == (432, 432, 3) and view.rgb.dtype == np.uint8
    # 6 m over 95 % of 432 px, the middle of the room in the middle of the picture
    assert view.m_per_px == pytest.approx(6 / (0.95 * 432))
    assert view.x0 + 215.5 * view.m_per_px == pytest.approx(4)
    assert view.y0 - 215.5 * view.m_per_px == pytest.approx(4)

    def at(x, y):
        return tuple(
            int(c) for c in view.rgb[round((view.y0 - y) / view.m_per_px), round((x - view.x0) / view.m_per_px)]
        )

    assert at(2, 3) == RED
    assert at(5.7, 5) == GREEN
    assert at(4, 4) == (180, 150, 110)
    assert at(0.95, 4) == at(4, 6.05) == (0, 0, 0)
    # +x is right and +y is up: red at the lower left, green at the upper right
    for color, right, top in ((RED, False, False), (GREEN, True, True)):
        row, col = np.argwhere((view.rgb == color).all(-1)).mean(0)
        assert (col > 216, row < 216) == (right, top)
    shown = np.argwhere(view.rgb.any(-1))
    assert np.ptp(shown, axis=0) + 1 == pytest.approx((4 / 6 * 410.4, 410.4), abs=1.5)


def test_bev_interpolates_colours(mesh):
    mesh.quad((0, 0, 0), (4, 0, 0), (4, 4, 0), (0, 4, 0))
    colors = np.array([[50 * x, 50 * y, 50] for x, y, _ in mesh.vertices], np.uint8)
    view = bev(mesh.vertices, mesh.faces, colors, size=100)
    rows, cols = np.nonzero(view.rgb[..., 2])
    x, y = view.x0 + cols * view.m_per_px, view.y0 - rows * view.m_per_px
    assert view.rgb[rows, cols, 0] == pytest.approx(50 * x, abs=0.51)
    assert view.rgb[rows, cols, 1] == pytest.approx(50 * y, abs=0.51)
    assert (view.rgb[rows, cols, 2] == 50).all()


def test_bev_drops_the_ceiling_but_keeps_furniture_of_a_low_scan(mesh, room):
    # 95th percentile 2.5 m: everything above 2.2 m goes, a wardrobe of 2.0 m stays
    room.box((2, 3, 0), (3, 4, 2.0), RED, spacing=0.1)
    assert not (bev(room.vertices, room.faces, room.colors).rgb == 250).all(-1).any()
    assert (bev(room.vertices, room.faces, room.colors).rgb == RED).all(-1).any()
    # a scan that ends at 0.8 m: 95th percentile less 0.3 m would cut the table
    mesh.quad((0, 0, 0), (3, 0, 0), (3, 3, 0), (0, 3, 0), (9, 9, 9), spacing=0.1)
    mesh.box((1, 1, 0), (2, 2, 0.8), RED, spacing=0.1)
    assert (bev(mesh.vertices, mesh.faces, mesh.colors).rgb == RED).all(-1).sum() == pytest.approx(
        410.4**2 / 9, rel=0.02
    )


@pytest.mark.parametrize(
    ("ceiling", "shelf", "shown"), [(2.15, 1.9, False), (2.15, 1.8, True), (4, 2.3, False), (4, 2.1, True)]
)
def test_bev_is_cut_below_a_low_ceiling_and_at_a_fixed_height_below_a_high_one(mesh, ceiling, shelf, shown):
    mesh.quad((0, 0, 0), (3, 0, 0), (3, 3, 0), (0, 3, 0), (9, 9, 9), spacing=0.1)
    mesh.quad((0, 0, ceiling), (3, 0, ceiling), (3, 3, ceiling), (0, 3, ceiling), (9, 9, 9), spacing=0.1)
    mesh.quad((1, 1, shelf), (2, 1, shelf), (2, 2, shelf), (1, 2, shelf), RED, spacing=0.2)
    assert (bev(mesh.vertices, mesh.faces, mesh.colors).rgb == RED).all(-1).any() == shown


@pytest.mark.parametrize("spacing", [0.01, 0.5])
def test_bev_is_cut_at_the_same_height_however_finely_the_furniture_is_meshed(mesh, spacing):
    """Of 18 m2 of surface 9 are ceiling at 2.5 m: the cut is at 2.2 m, and a wardrobe of 2.1 m shows its top."""
    mesh.quad((0, 0, 0), (3, 0, 0), (3, 3, 0), (0, 3, 0), (9, 9, 9), spacing=0.5)
    mesh.quad((0, 0, 2.5), (3, 0, 2.5), (3, 3, 2.5), (0, 3, 2.5), (9, 9, 9), spacing=0.5)
    mesh.quad((1, 1, 2.1), (1.5, 1, 2.1), (1.5, 1.5, 2.1), (1, 1.5, 2.1), RED, spacing=spacing)
    assert (bev(mesh.vertices, mesh.faces, mesh.colors).rgb == RED).all(-1).any()


def test_bev_without_colours_shows_height(room):
    room.box((2, 3, 0), (3, 4, 1.0), spacing=0.1)
    view = bev(room.vertices, room.faces, None)
    levels = {int(v) for v in np.unique(view.rgb)}
    assert 0 in levels and 60 in levels
    assert 60 + round(195 * 1.0 / 2.2) in levels


def test_bev_of_nothing_is_an_error(mesh):
    mesh.quad((0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0))
    with pytest.raises(ValueError, match="nothing to see"):
        bev(mesh.vertices, np.empty((0, 3), int), None)
    with pytest.raises(ValueError, match="finite"):
        bev(mesh.vertices * np.nan, mesh.faces, None)


def test_floor_rectangle_of_a_room_and_of_its_points_alone(room):
    room.box((2, 3, 0), (3, 4, 1.0), spacing=0.1)
    assert floor_rect(room.vertices, room.faces) == pytest.approx((1, 2, 7, 6))
    assert floor_rect(room.vertices) == pytest.approx((1, 2, 7, 6))


def test_floor_rectangle_of_few_large_triangles(mesh):
    mesh.quad((0, 0, 0), (8, 0, 0), (8, 5, 0), (0, 5, 0))
    mesh.quad((0, 0, 0), (8, 0, 0), (8, 0, 2), (0, 0, 2))
    assert floor_rect(mesh.vertices, mesh.faces) == pytest.approx((0, 0, 8, 5))


def test_strays_beyond_the_walls_do_not_stretch_the_floor(room):
    room.quad((20, 20, 0), (20.4, 20, 0), (20.4, 20.4, 0), (20, 20.4, 0), spacing=0.1)
    assert floor_rect(room.vertices, room.faces) == pytest.approx((1, 2, 7, 6))
    # a second room is no stray
    room.quad((10, 2, 0), (12, 2, 0), (12, 4, 0), (10, 4, 0), spacing=0.1)
    assert floor_rect(room.vertices, room.faces) == pytest.approx((1, 2, 12, 6))


def test_a_level_without_vertices_is_an_error(room):
    with pytest.raises(ValueError, match="floor"):
        floor_rect(room.vertices, room.faces, level=-5.0)


@pytest.mark.parametrize("spacing", [None, 0.08])
def test_an_empty_room_is_walkable_up_to_its_walls(mesh, spacing):
    mesh.quad((0, 0, 0), (4, 0, 0), (4, 3, 0), (0, 3, 0), spacing=spacing)
    mesh.quad((0, 0, 0), (4, 0, 0), (4, 0, 2.5), (0, 0, 2.5), spacing=spacing)
    walkable = walkable_grid(mesh.vertices, mesh.faces)
    assert walkable.grid.shape == (60, 80) and walkable.cell_m == 0.05
    assert walkable.origin == pytest.approx((0, 0))
    assert not walkable.grid[0].any()  # the wall at y = 0
    assert walkable.grid[1:].all()


def test_a_wall_divides_the_room(mesh):
    mesh.quad((0, 0, 0), (4, 0, 0), (4, 3, 0), (0, 3, 0))
    mesh.quad((0.3, 0, 0), (2.3, 3, 0), (2.3, 3, 2.5), (0.3, 0, 2.5))  # slanting
    walkable = walkable_grid(mesh.vertices, mesh.faces)
    # no way through from cell to cell across their sides
    patches, n = label(walkable.grid)
    assert n == 2
    left, right = (patches[np.arange(60), column] for column in (0, -1))
    assert left[30] != right[30]


def test_what_hangs_high_or_lies_low_does_not_block_and_a_table_does(mesh):
    mesh.quad((0, 0, 0), (6, 0, 0), (6, 3, 0), (0, 3, 0), spacing=0.08)
    mesh.quad((0.5, 0.5, 0.09), (1, 0.5, 0.09), (1, 1, 0.09), (0.5, 1, 0.09))  # rug
    mesh.quad((1.5, 0.5, 0.12), (2, 0.5, 0.12), (2, 1, 0.12), (1.5, 1, 0.12))  # step
    mesh.quad((2.5, 0.5, 1.58), (3, 0.5, 1.58), (3, 1, 1.58), (2.5, 1, 1.58))  # shelf
    mesh.quad((3.5, 0.5, 1.62), (4, 0.5, 1.62), (4, 1, 1.62), (3.5, 1, 1.62))  # lamp
    mesh.box((4.5, 0.5, 0), (5, 1, 0.7))  # table, hollow underneath
    walkable = walkable_grid(mesh.vertices, mesh.faces)
    seen = [cells(walkable, x, 0.77) for x in (0.77, 1.77, 2.77, 3.77, 4.77)]
    assert seen == [True, False, False, True, False]


def test_cells_without_floor_are_not_walkable(mesh):
    mesh.quad((0, 0, 0), (2, 0, 0), (2, 3, 0), (0, 3, 0))
    mesh.quad((3, 0, 0), (5, 0, 0), (5, 3, 0), (3, 3, 0))
    walkable = walkable_grid(mesh.vertices, mesh.faces)
    assert [cells(walkable, x, 1.5) for x in (1, 2.5, 4)] == [True, False, True]


def test_the_inside_of_a_wardrobe_is_no_room_but_a_doorway_under_a_lintel_is(mesh):
    mesh.quad((0, 0, 0), (6, 0, 0), (6, 4, 0), (0, 4, 0))
    mesh.box((0.5, 0.5, 0), (2.5, 1.5, 2.0))
    mesh.box((3.0, 0.0, 0), (3.2, 1.5, 2.5))
    mesh.box((3.0, 2.5, 0), (3.2, 4.0, 2.5))
    mesh.box((3.0, 1.5, 2.05), (3.2, 2.5, 2.5))  # lintel
    walkable = walkable_grid(mesh.vertices, mesh.faces)
    assert not cells(walkable, 1.5, 1.0)
    assert cells(walkable, 3.1, 2.0)
    assert cells(walkable, 1.5, 3.0) and cells(walkable, 5, 2)


def test_the_grid_lies_on_multiples_of_the_cell(mesh):
    mesh.quad((-0.33, 1.02, -1.4), (1.98, 1.02, -1.4), (1.98, 3.01, -1.4), (-0.33, 3.01, -1.4), spacing=0.05)
    walkable = walkable_grid(mesh.vertices, mesh.faces, cell_m=0.25)
    assert walkable.origin == pytest.approx((-0.5, 1.0))
    assert walkable.grid.shape == (9, 10)
    assert walkable.grid.all()


def test_bit_grid_by_hand_and_back():
    grid = np.zeros((2, 5), bool)
    grid[0, 0] = grid[1, 4] = True
    # 1000 0000 01.. -> the tenth cell is the second bit of the second byte
    assert pack_grid(grid) == bytes([0b10000000, 0b01000000])
    assert (unpack_grid(pack_grid(grid), cols=5, rows=2) == grid).all()
    with pytest.raises(ValueError, match="2 bytes"):
        unpack_grid(pack_grid(grid), cols=5, rows=5)
