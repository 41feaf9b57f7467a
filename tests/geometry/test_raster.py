"""The z-buffer: depths against ray equations, coverage without gaps or overlaps, cutting at the lens."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import Delaunay

from rollout3d.geometry.camera import project
from rollout3d.geometry.masks import splat_mask, splat_radius
from rollout3d.geometry.raster import rasterise, rasterise_top, window_of

K = np.array([[60.0, 0, 31.5], [0, 55.0, 23.5], [0, 0, 1]])
W, H = 64, 48


def looking(eye, forward, down=(0, 0, -1)) -> np.ndarray:
    """Camera-to-world pose at `eye` that looks along `forward`, with the picture's lower side towards `down`."""
    z = np.array(forward, float) / np.linalg.norm(forward)
    x = np.cross(np.array(down, float), z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([x, np.cross(z, x), z], axis=1)
    pose[:3, 3] = eye
    return pose


def rays(pose) -> np.ndarray:
    """World directions (H,W,3) through the pixel centres, with viewing depth 1."""
    v, u = np.mgrid[:H, :W]
    camera = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones((H, W))], axis=-1)
    return camera @ pose[:3, :3].T


def test_a_wall_that_fills_the_picture_has_its_distance_everywhere():
    pose = looking((0, 0, 1.5), (1, 0, 0))
    vertices = [[3, -9, -9], [3, 9, -9], [3, 9, 9], [3, -9, 9]]
    depth, face = rasterise(vertices, [[0, 1, 2], [0, 2, 3]], K, pose, W, H)
    assert depth.dtype == np.float32 and face.dtype == np.int32
    assert depth == pytest.approx(np.full((H, W), 3.0), abs=1e-6)
    assert set(np.unique(face)) == {0, 1}


def test_depth_is_perspective_correct_on_a_floor_that_passes_under_the_camera():
    pose = looking((0, 0, 1.5), (1, 0.3, -0.5))
    vertices = np.array([[-50, -50, 0], [50, -50, 0], [50, 50, 0], [-50, 50, 0.0]])
    depth, face = rasterise(vertices, [[0, 1, 2], [0, 2, 3]], K, pose, W, H)
    slope = rays(pose)[..., 2]
    with np.errstate(divide="ignore"):
        expected = np.where(slope < 0, 1.5 / -slope, np.inf)
    hit = pose[:3, 3] + rays(pose) * np.where(np.isfinite(expected), expected, 0)[..., None]
    on_floor = np.isfinite(expected) & (np.abs(hit[..., :2]) < 49.9).all(-1)
    assert on_floor.mean() > 0.5
    assert depth[on_floor] == pytest.approx(expected[on_floor], rel=1e-6)
    assert (depth[slope >= 0] == 0).all() and (face[slope >= 0] == -1).all()


def test_faces_are_cut_where_they_come_closer_than_the_lens():
    # A corridor wall from 5 m behind to 5 m ahead, 0.2 m to the right
    pose = looking((0, 0, 0), (1, 0, 0))
    vertices = np.array([[-5, -0.2, -9], [5, -0.2, -9], [5, -0.2, 9], [-5, -0.2, 9.0]])
    depth, _ = rasterise(vertices, [[0, 1, 2], [0, 2, 3]], K, pose, W, H)
    sideways = rays(pose)[..., 1]
    expected = np.where(sideways < 0, 0.2 / np.maximum(-sideways, 1e-9), 0)
    expected = np.where((expected >= 0.05) & (expected <= 5), expected, 0)
    assert (expected > 0).mean() > 0.4
    assert depth == pytest.approx(expected, rel=1e-5)


def test_random_triangles_agree_with_ray_casting():
    rng = np.random.default_rng(4)
    vertices = rng.uniform(-3, 3, (240, 3))
    faces = np.arange(240).reshape(80, 3)
    pose = looking((0.1, -0.2, 0.3), (0.7, 0.4, -0.2))
    depth, face = rasterise(vertices, faces, K, pose, W, H)
    # Moeller-Trumbore for every pixel and triangle; |det| and margins keep clear of edges
    eye, direction = pose[:3, 3], rays(pose).reshape(-1, 1, 3)
    a, b, c = vertices[faces].transpose(1, 0, 2)[:, None]
    p = np.cross(direction, c - a)
    det = ((b - a) * p).sum(-1)
    s = ((eye - a) * p).sum(-1) / det
    q = np.cross(eye - a, b - a)
    t = (direction * q).sum(-1) / det
    z = ((c - a) * q).sum(-1) / det
    margin = np.minimum(np.minimum(s, t), 1 - s - t)
    z = np.where((margin > 0) & (z >= 0.05), z, np.inf)
    nearest = z.argmin(1).reshape(H, W)
    expected = z.min(1).reshape(H, W)
    clear = (np.abs(margin).min(1) > 1e-9).reshape(H, W)
    assert clear.mean() > 0.99 and np.isfinite(expected).mean() > 0.5
    assert depth[clear] == pytest.approx(np.where(np.isfinite(expected), expected, 0)[clear], rel=1e-6)
    assert (face[clear] == np.where(np.isfinite(expected), nearest, -1)[clear]).all()


def test_neighbouring_faces_neither_overlap_nor_leave_gaps():
    rng = np.random.default_rng(0)
    # Whole and half pixels, so that many centres lie exactly on edges and corners
    points = np.unique(np.vstack([rng.integers(0, 41, (60, 2)) / 2, [[0, 0], [20, 0], [0, 20], [20, 20]]]), axis=0)
    faces = Delaunay(points).simplices
    # every other face turned over: winding must not matter
    faces[::2] = faces[::2, ::-1]
    vertices = np.pad(points, ((0, 0), (0, 1)))
    count = np.zeros((22, 22), int)
    for face in faces:
        count += rasterise_top(vertices, [face], 0, 20, 1.0, 22, 22)[1] >= 0
    assert (count[1:20, 1:20] == 1).all()
    # of the outer border one side of each direction belongs to the square, the other does not
    assert count.max() == 1 and count.sum() == 20 * 20


def test_projected_vertices_lie_on_the_rendered_surface():
    rng = np.random.default_rng(2)
    grid = np.stack(np.meshgrid(np.linspace(-2, 2, 25), np.linspace(-2, 2, 25)), -1).reshape(-1, 2)
    vertices = np.column_stack([grid, rng.uniform(0, 0.02, len(grid))])
    pose = looking((-2.5, 0, 1.5), (1, 0, -0.6))
    depth, _ = rasterise(vertices, Delaunay(grid).simplices, K, pose, W, H)
    uv, z = project(K, pose, vertices)
    col, row = np.floor(uv + 0.5).astype(int).T
    inside = (col >= 1) & (col < W - 1) & (row >= 1) & (row < H - 1)
    seen = depth[row[inside], col[inside]]
    assert inside.sum() > 100
    assert np.median(np.abs(seen - z[inside]) / z[inside]) < 0.02


def test_the_order_of_faces_does_not_matter_unless_they_coincide():
    rng = np.random.default_rng(9)
    vertices, faces = rng.uniform(-2, 2, (90, 3)), np.arange(90).reshape(30, 3)
    pose = looking((-4, 0, 0), (1, 0, 0))
    depth, face = rasterise(vertices, faces, K, pose, W, H)
    back, other = rasterise(vertices, faces[::-1], K, pose, W, H)
    assert (depth == back).all()
    assert (np.where(face >= 0, 29 - face, -1) == other).all()
    _, tie = rasterise(vertices, np.vstack([faces, faces]), K, pose, W, H)
    assert (tie == face).all()


def test_part_of_a_picture_is_the_whole_pictures_part_to_the_bit():
    rng = np.random.default_rng(7)
    pose = looking((0.2, -0.4, 1.4), (1, 0.3, -0.2))
    vertices = rng.uniform((-2, -3, 0), (5, 3, 3), (300, 3))  # some behind the lens, some cut by it
    faces = rng.integers(0, 300, (150, 3))
    depth, face = rasterise(vertices, faces, K, pose, W, H)
    assert (face >= 0).mean() > 0.5
    for left, top, right, bottom in ((0, 0, W, H), (10, 5, 40, 30), (63, 47, 64, 48), (20, 0, 21, H)):
        part, part_face = rasterise(vertices, faces, K, pose, W, H, (left, top, right, bottom))
        assert np.array_equal(part, depth[top:bottom, left:right])
        assert np.array_equal(part_face, face[top:bottom, left:right])


def test_the_window_of_faces_holds_all_their_pixels():
    rng = np.random.default_rng(9)
    pose = looking((0, 0, 1), (1, 0, 0))
    met = cut = 0
    for _ in range(200):
        vertices = rng.uniform((-1, -2, -1), (4, 2, 3), (3, 3))
        face = rasterise(vertices, [[0, 1, 2]], K, pose, W, H)[1]
        window = window_of(vertices, [[0, 1, 2]], K, pose, W, H)
        rows, cols = np.nonzero(face >= 0)
        if window is None:
            assert not len(rows)
            continue
        left, top, right, bottom = window
        assert 0 <= left < right <= W and 0 <= top < bottom <= H
        if len(rows):
            assert left <= cols.min() and cols.max() < right and top <= rows.min() and rows.max() < bottom
            met += 1
            cut += (vertices[:, 0] < 0.05).any()
        if (vertices[:, 0] > 0.05).all():  # then it is the corners' own, pixel for pixel
            uv = project(K, pose, vertices)[0]
            low, high = np.ceil(uv.min(axis=0)), np.floor(uv.max(axis=0)) + 1
            assert window == (*np.maximum(low, 0), *np.minimum(high, (W, H)))
    assert met > 50 and cut > 10


def test_from_above_the_highest_surface_below_the_ceiling_is_seen():
    # a table top over a floor, and a ramp from z = 0 to z = 4 that the ceiling cuts at z = 2
    floor = [[0, 0, 0], [10, 0, 0], [10, 10, 0], [0, 10, 0]]
    table = [[2, 2, 1], [4, 2, 1], [4, 4, 1], [2, 4, 1]]
    vertices = np.array([*floor, *table, [5, 5, 0], [9, 5, 4], [9, 9, 4], [5, 9, 0]], float)
    quads = [[4 * k + i for i in t] for k in range(3) for t in ((0, 1, 2), (0, 2, 3))]
    height, face = rasterise_top(vertices, quads, x0=0.05, y0=9.95, m_per_px=0.1, width=100, height=100, ceiling=2.0)
    x, y = np.meshgrid(0.05 + 0.1 * np.arange(100), 9.95 - 0.1 * np.arange(100))
    expected = np.where((x > 2) & (x < 4) & (y > 2) & (y < 4), 1.0, 0.0)
    ramp = (x > 5) & (x < 9) & (y > 5) & (y < 9) & (x - 5 <= 2)
    assert height == pytest.approx(np.where(ramp, x - 5, expected), abs=1e-6)
    assert set(face[ramp]) == {4, 5}
    empty, none = rasterise_top(vertices, quads, 20, 20, 0.1, 5, 5)
    assert np.isnan(empty).all() and (none == -1).all()


def test_faces_that_cannot_be_drawn_leave_the_picture_empty():
    pose = looking((0, 0, 0), (1, 0, 0))
    vertices = [[2, 0, 0], [2, 1, 0], [2, 2, 0], [-1, -1, 0], [-1, 1, 0], [-1, 0, 1], [np.nan, 0, 0], [2, -1, 1]]
    for faces in ([[0, 1, 2]], [[3, 4, 5]], [[0, 6, 7]], np.empty((0, 3), int)):
        depth, face = rasterise(vertices, faces, K, pose, W, H)
        assert not depth.any() and (face == -1).all()


@pytest.mark.parametrize("faces", [[[0, 1, 3]], [[-1, 1, 2]]])
def test_indices_beyond_the_vertices_are_refused(faces):
    with pytest.raises(ValueError, match="there are 3"):
        rasterise(np.eye(3), faces, K, np.eye(4), W, H)


def test_splatted_vertices_cover_the_rendered_object_and_little_more(mesh):
    mesh.box((2, -0.4, 0.2), (2.8, 0.5, 0.9), spacing=0.03)
    pose = looking((0, 0, 1.5), (1, 0, -0.4))
    near_K = K * np.array([[4], [4], [1]])
    truth = rasterise(mesh.vertices, mesh.faces, near_K, pose, 4 * W, 4 * H)[1] >= 0
    uv, z = project(near_K, pose, mesh.vertices)
    mask = splat_mask(uv, z, splat_radius(240, 0.03, z), 4 * W, 4 * H)
    assert mask[truth].all()
    assert truth.sum() / mask.sum() > 0.85  # over the union, as the mask holds all of the truth
