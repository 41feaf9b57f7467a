"""Figures of agreement, by hand."""

import numpy as np
import pytest

from rollout3d.geometry import agreement
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.camera import NEAR_M, project_lines
from rollout3d.geometry.raster import rasterise, surface_colors

EVERYWHERE = np.ones((8, 8), bool)


def pictures(n=4):
    return list(np.random.default_rng(0).integers(0, 200, (n, 8, 8, 3), np.uint8))


def test_colours_differ_by_what_no_linear_map_explains():
    drawings = pictures()
    darker = [(0.5 * picture + 20).astype(np.uint8) for picture in drawings]
    negative = [255 - picture[..., [2, 0, 1]] for picture in drawings]
    for like in (darker, negative):
        differences = agreement.color_differences(like, drawings, [EVERYWHERE] * 4)
        assert np.diagonal(differences) == pytest.approx(0, abs=1e-3)
        assert (differences[~np.eye(4, dtype=bool)] > 0.7).all()


def test_colour_difference_is_the_unexplained_share_of_the_variance():
    """Against numpy's least squares, over the drawn pixels only."""
    (picture, drawing), drawn = pictures(2), EVERYWHERE.copy()
    drawn[:, :3] = False
    mixed = (0.6 * picture + 0.4 * drawing).astype(np.uint8)
    (found,) = agreement.color_differences([mixed], [drawing], [drawn])[0]
    design = np.column_stack([drawing[drawn].astype(float), np.ones(drawn.sum())])
    wanted = mixed[drawn].astype(float)
    left = wanted - design @ np.linalg.lstsq(design, wanted, rcond=None)[0]
    assert found == pytest.approx((left**2).sum() / ((wanted - wanted.mean(axis=0)) ** 2).sum())
    assert 0.2 < found < 0.9


def test_pictures_of_one_colour_and_an_unseen_mesh_tell_nothing():
    some, flat = pictures(1), [np.full((8, 8, 3), 90, np.uint8)]
    assert np.isnan(agreement.color_differences(some, some, [~EVERYWHERE])).all()
    assert np.isnan(agreement.color_differences(flat, some, [EVERYWHERE])).all()
    assert np.isnan(agreement.color_differences(some, flat, [EVERYWHERE])).all()


NONE_ALIKE = np.eye(4, dtype=bool)


def test_photometric_ratio_is_own_over_others():
    differences = np.full((4, 4), 0.8) - 0.6 * np.eye(4)
    assert agreement.photometric_ratio(differences, NONE_ALIKE) == pytest.approx(0.25)
    assert agreement.photometric_ratio(np.roll(differences, 1, axis=0), NONE_ALIKE) == pytest.approx(1.0)
    assert np.isnan(agreement.photometric_ratio(np.full((4, 4), np.nan), NONE_ALIKE))
    assert np.isnan(agreement.photometric_ratio(differences, np.ones((4, 4), bool))), "a camera that stands still"


def test_misfits_are_the_share_of_other_poses_that_fit_better():
    differences = np.array([[0.5, 0.4, 0.6], [0.9, 0.5, 0.5], [0.9, 0.9, 0.1]])
    assert agreement.misfits(differences, NONE_ALIKE[:3, :3]).tolist() == [0.5, 0.25, 0.0]
    alike = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], bool)
    assert agreement.misfits(differences, alike).tolist() == [0.0, 0.5, 0.0]
    assert np.isnan(agreement.misfits(differences, np.ones((3, 3), bool))).all()


def test_pictures_of_one_view_look_alike():
    one, two = pictures(2)
    assert agreement.look_alike([one, (0.7 * one).astype(np.uint8), two]).tolist() == [
        [True, True, False],
        [True, True, False],
        [False, False, True],
    ]


def test_depth_scale_is_the_median_ratio():
    measured, drawn = np.array([[2.0, 4.0, 0.0, 9.0]]), np.array([[1.0, 1.0, 3.0, 3.0]])
    assert agreement.depth_scale([measured], [drawn]) == 3.0


def test_depth_differences_are_of_every_pair():
    a, b = np.full((4, 4), 1.0), np.full((4, 4), 3.0)
    assert agreement.depth_differences([a, b], [a, b, 0 * a]).tolist()[0][:2] == [0.0, 2.0]
    assert np.isnan(agreement.depth_differences([a], [0 * a])).all()


def test_gravity_tells_a_level_camera_from_one_that_sees_up_from_all_sides():
    """Four headings: with z up, the picture's up is z; with y up, z is to the right, the left, ahead and behind."""
    headings = [np.array([[c, 0, -s], [s, 0, c], [0, -1, 0]]) for c, s in ((1, 0), (0, 1), (-1, 0), (0, -1))]
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, :3] = headings
    assert agreement.gravity(poses) == pytest.approx(1.0)
    on_its_side = poses.copy()
    on_its_side[:, :3, :3] = poses[:, :3, :3] @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])
    assert agreement.gravity(on_its_side) == pytest.approx(1.0)
    y_up = poses.copy()
    y_up[:, :3] = poses[:, [0, 2, 1], :] * np.array([1, 1, -1])[:, None]
    assert agreement.gravity(y_up) == pytest.approx(0.0)


def test_depth_error_is_the_median_of_what_both_know():
    measured, drawn = np.array([[1.0, 2.0, 0.0, 4.0]]), np.array([[1.1, 2.3, 3.0, 0.0]])
    assert agreement.depth_error([measured], [drawn]) == pytest.approx(0.2)
    assert np.isnan(agreement.depth_error([measured], [0 * drawn]))


def test_upright_share_counts_pictures_whose_up_is_up():
    upright, on_its_side = np.eye(4), np.eye(4)
    upright[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]
    on_its_side[:3, :3] = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    assert agreement.upright_share([upright, upright, on_its_side]) == pytest.approx(2 / 3)


def test_path_roughness_is_step_over_spread():
    """Four places a metre apart: steps of 1 m, distances 1, 1, 1, 2, 2, 3."""
    line = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    assert agreement.path_roughness(line) == pytest.approx(1 / (10 / 6))
    assert agreement.path_roughness(line[[0, 3, 1, 2]]) == pytest.approx(2 / (10 / 6))
    assert np.isnan(agreement.path_roughness(0.01 * line)), "a camera that stands"
    assert np.isnan(agreement.path_roughness(np.where([[0], [1], [0], [1]], np.nan, line))), "no neighbours"


def test_share_within_grows_by_the_margin():
    points = [[0, 0, 0], [1.4, 0, 0], [1.6, 0, 0], [0, 0, -2]]
    assert agreement.share_within(points, [0, 0, 0], [1, 1, 1], 0.5) == 0.5


def test_lines_are_cut_before_the_camera():
    """From 1 m right of the lens, 1 m behind it, to 1 m right and 1 m ahead: cut at 5 cm, 20 focal lengths out."""
    lines = [[[1, 0, -1], [1, 0, 1]], [[0, 0, 2], [2, 2, 2]], [[0, 0, -1], [0, 1, -2]]]
    drawn = project_lines(np.diag([10.0, 10, 1]), np.eye(4), lines)
    assert np.allclose(drawn, [[[10 / NEAR_M, 0], [10, 0]], [[0, 0], [10, 10]]])


def test_edges_of_a_box_are_its_sides():
    edges = OrientedBox([0, 0, 0], [1, 2, 3], np.eye(3)).edges()
    lengths = np.linalg.norm(edges[:, 0] - edges[:, 1], axis=1)
    assert sorted(lengths.tolist()) == [1] * 4 + [2] * 4 + [3] * 4


def test_colours_run_evenly_over_a_tilted_face():
    """Red grows with world x, also where the face recedes: x = u z for K = identity."""
    vertices = np.array([[0.0, 0, 1], [4, 0, 2], [0, 4, 1]])
    colors = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 0]], np.uint8)
    depth, owner = rasterise(vertices, [[0, 1, 2]], np.eye(3), np.eye(4), 3, 3)
    rgb = surface_colors(vertices, [[0, 1, 2]], colors, np.eye(3), np.eye(4), depth, owner)
    assert owner[1, 1] == 0 and depth[1, 1] == pytest.approx(4 / 3)
    assert rgb[1, 1].tolist() == [67, 0, 0], "x = 4/3 of 4"
    assert not rgb[owner < 0].any()
