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


def test_photometric_ratio_ignores_exposure_and_notices_order():
    drawings = pictures()
    darker = [(0.5 * picture + 20).astype(np.uint8) for picture in drawings]
    assert agreement.photometric_ratio(darker, drawings, [EVERYWHERE] * 4) == pytest.approx(0, abs=1e-3)
    assert agreement.photometric_ratio(darker[1:] + darker[:1], drawings, [EVERYWHERE] * 4) > 0.8


def test_photometric_ratio_of_an_unseen_mesh_is_nothing():
    assert np.isnan(agreement.photometric_ratio(pictures(), pictures(), [~EVERYWHERE] * 4))


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
