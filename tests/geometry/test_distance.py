"""Box distances: by hand, against a convex solver, and against Open3D's crop."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import lsq_linear
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from rollout3d.geometry import distance
from rollout3d.geometry.boxes import OrientedBox, import_open3d
from rollout3d.geometry.distance import (
    DRAWN,
    BoxPoints,
    box_distance,
    cloud_distances,
    min_distance,
    uniform_points,
    vsibench_points,
)


def cube(center, side=1.0, euler=(0, 0, 0)) -> OrientedBox:
    axes = np.eye(3) if not any(euler) else Rotation.from_euler("xyz", euler, degrees=True).as_matrix().T
    return OrientedBox(center, np.broadcast_to(side, 3), axes)


def random_box(rng: np.random.Generator, upright: bool = False) -> OrientedBox:
    turn = Rotation.from_euler("z", rng.uniform(0, 360), degrees=True) if upright else Rotation.random(rng=rng)
    return OrientedBox(rng.uniform(-2, 2, 3), rng.uniform(0.03, 2.0, 3), turn.as_matrix())


def by_solver(a: OrientedBox, b: OrientedBox) -> float:
    """Distance of two boxes as a bounded least squares problem over one point in each."""
    halves = np.concatenate([a.axes_lengths, b.axes_lengths]) / 2
    matrix = np.hstack([a.normalized_axes.T, -b.normalized_axes.T])
    solution = lsq_linear(matrix, b.centroid - a.centroid, (-halves, halves), method="bvls", tol=1e-14)
    return float(np.linalg.norm(matrix @ solution.x - (b.centroid - a.centroid)))


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (cube((0, 0, 0)), cube((3, 0, 0)), 2.0),  # face to face
        (cube((0, 0, 0)), cube((3, 3, 0)), 2 * math.sqrt(2)),  # edge to edge, parallel
        (cube((0, 0, 0)), cube((3, 3, 3)), 2 * math.sqrt(3)),  # corner to corner
        (cube((0, 0, 0)), cube((3, 0, 0), euler=(0, 0, 45)), 2.5 - math.sqrt(0.5)),  # edge to face
        (cube((0, 0, 0), euler=(45, 0, 0)), cube((0, 0, 3), euler=(0, 45, 0)), 3 - 2 * math.sqrt(0.5)),  # crossed edges
        (cube((0, 0, 0)), cube((1, 0, 0)), 0.0),  # touching
        (cube((0, 0, 0)), cube((0.9, 0.9, 0.9)), 0.0),  # overlapping
        (cube((0, 0, 0), side=4), cube((0.3, 0.2, 0.1), euler=(10, 20, 30)), 0.0),  # one inside the other
        (OrientedBox([0, 0, 0], [10, 1, 1], np.eye(3)), OrientedBox([0, 0, 0], [1, 10, 1], np.eye(3)), 0.0),  # a cross
        (OrientedBox([0, 0, 0], [10, 1, 1], np.eye(3)), OrientedBox([0, 0, 1.25], [1, 10, 1], np.eye(3)), 0.25),
    ],
)
def test_exact_distance_by_hand(a, b, expected):
    assert box_distance(a, b, "exact") == pytest.approx(expected, abs=1e-12)
    assert box_distance(b, a, "exact") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("upright", [False, True])
def test_exact_distance_agrees_with_a_convex_solver(upright):
    rng = np.random.default_rng(0)
    pairs = [(random_box(rng, upright), random_box(rng, upright)) for _ in range(150)]
    found = np.array([box_distance(a, b, "exact") for a, b in pairs])
    assert found == pytest.approx(np.array([by_solver(a, b) for a, b in pairs]), abs=1e-9)
    assert 5 < (found == 0).sum() < 75


@pytest.mark.parametrize("angle", [1e-9, 1e-7, 1e-6, 1e-5, 1e-3])
def test_exact_distance_of_nearly_parallel_boxes(angle):
    turn = Rotation.from_rotvec(np.array([0.3, 0.5, 0.8]) * angle).as_matrix()
    a, b = OrientedBox([0, 0, 0], [2, 1, 1], np.eye(3)), OrientedBox([0.4, 1.3, 1.7], [1, 3, 1], turn)
    assert box_distance(a, b, "exact") == pytest.approx(by_solver(a, b), abs=1e-9)


def test_boxes_without_thickness():
    sheet = OrientedBox([0, 0, 2], [1, 1, 0], np.eye(3))
    assert box_distance(cube((0, 0, 0)), sheet, "exact") == pytest.approx(1.5)
    assert (vsibench_points(sheet)[:, 2] == 2).all()
    point = OrientedBox([1, 2, 3], [0, 0, 0], np.eye(3))
    assert vsibench_points(point).tolist() == [[1, 2, 3]]


def test_sampled_grid_of_a_small_box_at_the_origin():
    # ceil(0.12 / 0.05) = 3 values an axis, without the middle one: nothing is lost to rounding at the origin
    points = vsibench_points(cube((0, 0, 0), side=0.12))
    expected = {(x, y, z) for x in (-6, 0, 6) for y in (-6, 0, 6) for z in (-6, 0, 6)} - {(0, 0, 0)}
    assert {tuple(np.rint(p * 100).astype(int)) for p in points} == expected
    assert len(points) == 26


def test_a_side_below_the_step_gives_only_its_lower_face():
    points = vsibench_points(OrientedBox([0, 0, 0], [0.04, 0.1, 0.1], np.eye(3)))
    assert points.tolist() == [[-0.02, y, z] for y in (-0.05, 0.05) for z in (-0.05, 0.05)]


def test_faces_lost_to_rounding_lengthen_the_distance_as_in_the_benchmark():
    # -0.05 + 1 - 1 = -0.050000000000000044: the crop drops both x faces of the second cube, hence all of its eight
    # points, and the halved step leaves x = 1 -+ 0.05/3. The faces of a cube at the origin survive.
    a, b = cube((0, 0, 0), side=0.1), cube((1, 0, 0), side=0.1)
    assert box_distance(a, b) == pytest.approx(1 - 0.05 - 0.05 / 3, abs=1e-12)
    assert box_distance(a, b, "exact") == pytest.approx(0.9, abs=1e-12)


def test_sampled_points_are_those_of_the_benchmarks_open3d_crop():
    open3d = pytest.importorskip("open3d") if not _has_open3d() else import_open3d()
    rng = np.random.default_rng(7)

    def cropped(box: OrientedBox, step: float) -> np.ndarray:
        obb = open3d.geometry.OrientedBoundingBox(box.centroid, box.normalized_axes.T, box.axes_lengths)
        axes = [np.linspace(-side / 2, side / 2, math.ceil(side / step)) for side in obb.extent]
        grid = np.array([g.ravel() for g in np.meshgrid(*axes)]).T
        grid = grid[~(np.abs(grid) <= obb.extent / 4).all(axis=1)]
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(grid.dot(obb.R.T) + obb.center)).crop(obb)
        return np.asarray(cloud.points) if cloud.has_points() else cropped(box, step / 2)

    for k in range(60):
        box = random_box(rng, upright=k % 2 == 0)
        assert np.array_equal(vsibench_points(box), cropped(box, 0.05))


def _has_open3d() -> bool:
    try:
        import_open3d()
    except ImportError:
        return False
    return True


def test_the_pruned_search_finds_the_smallest_of_all_pairs_of_points():
    rng = np.random.default_rng(3)
    group = [BoxPoints(random_box(rng, upright=k % 2 == 0)) for k in range(9)]
    pairs = [(a, b) for a in group for b in group if a is not b]
    assert any(box_distance(a, b, "exact") == 0 for a, b in pairs)
    for a, b in pairs[::8]:
        every = cdist(a.points, b.points).min()
        assert box_distance(a, b) == pytest.approx(every, abs=1e-15)
        assert box_distance(a, b) >= box_distance(a, b, "exact") - 1e-12


def test_the_search_goes_on_while_a_nearer_point_is_possible():
    # two parallel boards: hundreds of points are equally near to the other board, few belong to the nearest pair
    rng = np.random.default_rng(0)
    longer = []
    for angle, shift in zip(rng.uniform(0, 360, 6), rng.uniform(-0.3, 0.3, 6)):
        turn = Rotation.from_euler("z", angle, degrees=True).as_matrix()
        a = BoxPoints(OrientedBox([0.4, -1.7, 0.3], [2.4, 0.1, 2.0], turn))
        b = BoxPoints(OrientedBox(a.box.centroid + np.array([shift, 0.6, 0]) @ turn, [2.5, 0.12, 2.2], turn))
        every, _ = b.tree.query(a.points)
        assert box_distance(a, b) == box_distance(b, a) == every.min()
        bounds = distance._to_box(a.points, b.box)
        longer.append(every[np.argsort(bounds)[: distance._CHUNK]].min() > every.min())
    assert sum(longer) >= 3


def test_cached_points_give_the_distance_of_the_plain_boxes():
    a, b = cube((0, 0, 0), euler=(0, 0, 20)), cube((2, 1, 0.3), euler=(5, 0, 0))
    assert box_distance(BoxPoints(a), b) == box_distance(a, BoxPoints(b)) == box_distance(a, b)


@pytest.mark.parametrize("method", ["vsibench", "exact"])
def test_distance_of_categories_is_that_of_the_nearest_instances(method):
    chairs, tables = [cube((0, 0, 0)), cube((10, 0, 0))], [cube((5, 0, 0)), cube((12, 0, 0))]
    assert min_distance(chairs, tables, method) == box_distance(chairs[1], tables[1], method)
    assert min_distance(iter(chairs), iter(tables), "exact") == pytest.approx(1)


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="centres"):
        box_distance(cube((0, 0, 0)), cube((3, 0, 0)), "centres")
    with pytest.raises(ValueError, match="empty"):
        min_distance([], [cube((0, 0, 0))])


def test_drawn_points_lie_in_the_box_and_fill_it():
    rng = np.random.default_rng(1)
    for box in (random_box(rng) for _ in range(20)):
        points = uniform_points(box)
        assert points.shape == (DRAWN, 3) and box.contains(points, 1e-12).all()
        local = (points - box.centroid) @ box.normalized_axes.T / box.axes_lengths
        assert (np.abs(local.mean(axis=0)) < 0.05).all() and np.allclose(
            local.std(axis=0), math.sqrt(1 / 12), atol=0.02
        )
        assert (uniform_points(box) == points).all()


def test_the_distance_of_drawn_points_is_that_of_all_their_pairs():
    rng = np.random.default_rng(2)
    for _ in range(20):
        a, b = random_box(rng), random_box(rng)
        found = box_distance(a, b, "uniform")
        assert found == pytest.approx(cdist(uniform_points(a), uniform_points(b)).min(), abs=1e-12)
        assert found >= box_distance(a, b, "exact") - 1e-9


def test_equal_boxes_at_other_places_have_other_points():
    a, b = cube((0, 0, 0)), cube((3, 0, 0))
    assert not np.allclose(uniform_points(a) + np.array([3, 0, 0]), uniform_points(b))


def test_point_clouds_are_as_far_apart_as_their_nearest_points():
    corner = np.array([(x, y, 0.0) for x in range(5) for y in range(5) if x == 0 or y == 0])
    clouds = {7: corner, 3: np.array([[3.0, 4.0, 0.0]]), 9: np.array([[0.0, 0.0, 2.0], [9.0, 9.0, 9.0]])}
    # An L with arms on the axes; (3, 4) lies in its open corner, 3 from the arm on y.
    assert cloud_distances(clouds) == {(3, 7): 3.0, (3, 9): pytest.approx(math.sqrt(29)), (7, 9): 2.0}
    rng = np.random.default_rng(3)
    clouds = {k: rng.normal(size=(rng.integers(1, 300), 3)) + rng.normal(size=3) * 2 for k in range(8)}
    for (a, b), metres in cloud_distances(clouds).items():
        assert a < b and metres == pytest.approx(cdist(clouds[a], clouds[b]).min(), abs=1e-12)
    assert cloud_distances({}) == cloud_distances({1: clouds[1]}) == {}
