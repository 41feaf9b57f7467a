"""Points spread over meshes."""

import numpy as np
import pytest

from rollout3d.geometry.room import room_area
from rollout3d.scenes.surface import point_spacing, sample_surface, vertex_areas
from scenes import mini


def test_samples_are_as_dense_as_asked_and_lie_on_the_surface():
    vertices, faces = mini.sheet((1, 2, 0.5), (3, 0, 0), (0, 2, 0), step=10)  # two large triangles
    found = sample_surface(vertices, faces, None, 0.05, np.random.default_rng(0))
    assert len(found.points) == pytest.approx(6 / 0.05**2, rel=0.001)
    assert np.allclose(found.points[:, 2], 0.5) and found.colors is None
    # Uniform: each of 24 equal cells holds a twenty-fourth, to five standard deviations.
    cells, _, _ = np.histogram2d(found.points[:, 0], found.points[:, 1], [6, 4], [[1, 4], [2, 4]])
    assert np.abs(cells - 100).max() < 50


def test_sample_takes_the_nearest_corner_and_mixes_colors():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    colors = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]], np.uint8)
    found = sample_surface(vertices, np.array([[0, 1, 2]]), colors, 0.05, np.random.default_rng(0))
    x, y = found.points[:, 0], found.points[:, 1]
    assert np.array_equal(found.vertex, np.argmax([1 - x - y, x, y], axis=0))
    assert np.abs(found.colors[:, 0] - 200 * x).max() <= 0.51 and np.abs(found.colors[:, 1] - 200 * y).max() <= 0.51


def test_small_faces_are_sampled_in_proportion_on_average():
    vertices, faces = mini.sheet((0, 0, 0), (1, 0, 0), (0, 1, 0), step=0.02)  # 5000 faces of 0.0002 m2
    found = sample_surface(vertices, faces, None, 0.05, np.random.default_rng(3))
    assert len(found.points) == pytest.approx(400, abs=100)


def test_vertices_share_the_surface():
    vertices, faces = mini.sheet((0, 0, 0), (2, 0, 0), (0, 1, 0), step=1)
    # Two unit squares, each cut along the diagonal from its lower left corner: sixths of a square, by hand.
    by_place = {tuple(v[:2].astype(int)): a for v, a in zip(vertices, vertex_areas(vertices, faces))}
    expected = {(0, 0): 2, (1, 0): 3, (2, 0): 1, (0, 1): 1, (1, 1): 3, (2, 1): 2}
    assert by_place == pytest.approx({place: sixths / 6 for place, sixths in expected.items()})


def test_spacing_of_a_grid_is_its_step():
    vertices, faces = mini.sheet((0, 0, 0), (8, 0, 0), (0, 6, 0), step=0.05)
    areas = vertex_areas(vertices, faces)
    assert point_spacing(areas, np.arange(len(vertices))) == pytest.approx(0.05, rel=0.02)
    inner = np.flatnonzero((vertices[:, 0] > 2) & (vertices[:, 0] < 5))
    assert point_spacing(areas, inner) == pytest.approx(0.05, rel=0.03)


def test_added_points_make_the_spacing_finer():
    vertices, faces = mini.sheet((0, 0, 0), (4, 0, 0), (0, 4, 0), step=0.5)
    extra = sample_surface(vertices, faces, None, 0.04, np.random.default_rng(0)).points
    areas = vertex_areas(np.concatenate([vertices, extra]), faces)
    assert point_spacing(areas, np.arange(len(areas))) == pytest.approx(0.04, rel=0.02)


def test_the_area_of_a_room_of_few_large_faces_needs_the_added_points():
    """Vertices of a decimated mesh are metres apart on the floor, and many on a desk of 1 m2."""
    floor = np.array([[0.0, 0, 0], [5, 0, 0], [5, 4, 0], [0, 4, 0]])
    desk = np.stack(np.meshgrid(np.linspace(1, 2, 60), np.linspace(1, 2, 60), [0.8]), -1).reshape(-1, 3)
    vertices, faces = np.concatenate([floor, desk]), np.array([[0, 1, 2], [0, 2, 3]])
    added = sample_surface(vertices, faces, None, 0.03, np.random.default_rng(0)).points

    def area(points):
        return room_area(points, 10_000, 5.0, np.random.default_rng(0))

    assert area(vertices) == pytest.approx(1.0, abs=0.01)
    # the outline of random points runs about 2 cm inside the 18 m of walls
    assert area(np.concatenate([vertices, added])) == pytest.approx(20.0 - 18 * 0.02, abs=0.1)
