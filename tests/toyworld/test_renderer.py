"""The renderer against rays, planes and hand-computed pixels; recordings and quick frames consist of its pictures."""

import cv2
import numpy as np
import open3d
import pytest

from toyworld.rendering.camera import camera_path, intrinsics
from toyworld.rendering.mesh import FLOOR, Mesh, coarse_mesh_of, mesh_of
from toyworld.rendering.quick import sample_room
from toyworld.rendering.recording import record
from toyworld.rendering.renderer import NOTHING, Renderer
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.rooms.world import build_world

K = np.array([[50.0, 0.0, 31.5], [0.0, 50.0, 23.5], [0.0, 0.0, 1.0]])
IDENTITY = np.eye(4)


def quad(corners, color=(200, 100, 50), owner=0) -> Mesh:
    """Return a mesh of one quadrilateral, counter-clockwise seen from its visible side."""
    vertices = np.array(corners, dtype=float)
    faces = np.array([[0, 1, 2], [0, 2, 3]], dtype=np.int32)
    return Mesh(vertices, faces, np.tile(np.array(color, np.uint8), (4, 1)), np.full(4, owner, np.int32))


def facing(z: float, left: float, right: float, top: float, bottom: float, **more) -> Mesh:
    """Return a rectangle at depth z before a camera at the origin that looks along +z; bounds in pixels of K."""
    x0, x1 = (left - 31.5) / 50 * z, (right - 31.5) / 50 * z
    y0, y1 = (top - 23.5) / 50 * z, (bottom - 23.5) / 50 * z
    return quad([(x0, y0, z), (x0, y1, z), (x1, y1, z), (x1, y0, z)], **more)


def joined(*meshes: Mesh) -> Mesh:
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, offsets)]).astype(np.int32),
        np.concatenate([m.colors for m in meshes]),
        np.concatenate([m.thing_ids for m in meshes]),
    )


def test_pixels_are_those_whose_integer_centres_the_face_covers():
    _, depth, thing = Renderer(facing(2.0, 9.6, 20.4, 4.6, 9.4, owner=3)).render(K, IDENTITY, 64, 48)
    expected = np.full((48, 64), NOTHING)
    expected[5:10, 10:21] = 3
    assert (thing == expected).all()
    assert (depth[5:10, 10:21] == np.float32(2.0)).all() and depth.sum() == pytest.approx(2.0 * 55)


def test_the_nearer_face_wins_whatever_the_order():
    near, far = facing(1.0, 20, 30, 10, 20, owner=1), facing(2.0, 10, 40, 5, 30, owner=2)
    for mesh in (joined(near, far), joined(far, near)):
        _, depth, thing = Renderer(mesh).render(K, IDENTITY, 64, 48)
        assert thing[15, 25] == 1 and depth[15, 25] == 1
        assert thing[15, 35] == 2 and depth[15, 35] == 2


def test_a_face_is_invisible_from_behind_and_behind_the_camera():
    mesh = facing(2.0, 9.6, 20.4, 4.6, 9.4)
    turned = Mesh(mesh.vertices, mesh.faces[:, ::-1].copy(), mesh.colors, mesh.thing_ids)
    assert (Renderer(turned).render(K, IDENTITY, 64, 48)[2] == NOTHING).all()
    beyond = IDENTITY.copy()
    beyond[2, 3] = 5.0
    rgb, depth, thing = Renderer(turned).render(K, beyond, 64, 48)
    assert (thing == NOTHING).all() and not rgb.any() and not depth.any()


def test_a_floor_that_passes_under_the_camera_is_clipped_not_dropped():
    """A level camera 1.5 m above a large floor has depth 1.5 f / (v - cy) below the horizon."""
    floor = quad([(-50, -50, 0), (50, -50, 0), (50, 50, 0), (-50, 50, 0)], owner=FLOOR)
    pose = np.eye(4)
    pose[:3, :3] = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    pose[2, 3] = 1.5
    _, depth, thing = Renderer(floor).render(K, pose, 64, 48)
    rows = np.arange(48)
    seen = (rows > 23.5 + 1.5 * 50 / 50) & (rows < 48)
    assert (thing[seen] == FLOOR).all() and (thing[rows < 23.5] == NOTHING).all()
    assert depth[seen] == pytest.approx(np.repeat((1.5 * 50 / (rows[seen] - 23.5))[:, None], 64, axis=1), rel=1e-5)


def test_colours_keep_their_hue_and_faces_of_a_block_differ():
    up = quad([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], color=(200, 100, 50))
    down = Mesh(up.vertices + np.array([0, 0, 5]), up.faces[:, ::-1].copy(), up.colors, up.thing_ids)
    above, below = np.eye(4), np.eye(4)
    above[:3, :3], above[2, 3] = np.diag([1, -1, -1]), 3.0
    below[2, 3] = 2.0
    bright = Renderer(up).render(K, above, 64, 48)[0][24, 32].astype(float)
    dim = Renderer(down).render(K, below, 64, 48)[0][24, 32].astype(float)
    assert bright == pytest.approx([200, 100, 50], abs=1)
    assert dim[0] < 0.85 * bright[0]
    assert dim / dim[0] == pytest.approx([1, 0.5, 0.25], abs=0.02)


def test_a_room_is_drawn_as_rays_find_it():
    """Compare colour, depth and owner of pixels with Moeller-Trumbore rays over all triangles."""
    world = build_world(5, shape="l")
    mesh = coarse_mesh_of(world)
    renderer = Renderer(mesh)
    width, height = 160, 120
    k = intrinsics(width, height)
    rng = np.random.default_rng(0)
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    disagreements = tested = 0
    for pose in camera_path(world, 8, 1)[::2]:
        _, depth, thing = renderer.render(k, pose, width, height)
        assert (thing != NOTHING).mean() > 0.9999, "rooms are closed"
        for u, v in np.column_stack([rng.integers(0, width, 60), rng.integers(0, height, 60)]):
            ray = pose[:3, :3] @ np.linalg.solve(k, [u, v, 1.0])
            e1, e2 = b - a, c - a
            p = np.cross(ray, e2)
            det = np.sum(e1 * p, axis=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                s = pose[:3, 3] - a
                along = np.sum(s * p, axis=1) / det
                q = np.cross(s, e1)
                across = q @ ray / det
                t = np.sum(e2 * q, axis=1) / det
            # With counter-clockwise faces a positive determinant means the visible side.
            hit = (det > 1e-12) & (along >= 0) & (across >= 0) & (along + across <= 1) & (t > 0.05)
            first = np.argmin(np.where(hit, t, np.inf))
            tested += 1
            right = abs(depth[v, u] - t[first]) < 1e-3 * t[first]
            disagreements += not (right and thing[v, u] == mesh.thing_ids[mesh.faces[first, 0]])
    assert tested == 240 and disagreements <= 1, "only rays along an edge may differ"


def test_the_released_mesh_looks_like_the_coarse_one():
    world = build_world(8, shape="rectangle")
    pose, k = camera_path(world, 8, 1)[3], intrinsics(80, 60)
    coarse = Renderer(coarse_mesh_of(world)).render(k, pose, 80, 60)
    fine = Renderer(mesh_of(world)).render(k, pose, 80, 60)
    same = coarse[2] == fine[2]
    assert same[coarse[2] != -3].mean() > 0.99
    both = same & (coarse[2] != -3)
    assert np.abs(coarse[1][both] - fine[1][both]).max() < 0.05


def test_a_recording_renders_its_poses_and_loses_a_short_run_of_them():
    world = build_world(2)
    film = record(world, 4, 10, 64, 48)
    frames = list(film.frames())
    assert len(frames) == len(film.poses) == 40
    rgb, depth, thing = frames[7]
    again = Renderer(coarse_mesh_of(world)).render(film.K, film.poses[7], 64, 48)
    assert all((x == y).all() for x, y in zip((rgb, depth, thing), again))
    assert (rgb.dtype, depth.dtype, thing.dtype) == (np.uint8, np.float32, np.int32)
    assert len(film.lost) == 1 and 0 < film.lost[0] < 39
    assert film.K[0, 2] == 31.5 and film.K[1, 2] == 23.5 and film.K[0, 0] == film.K[1, 1] == 0.6 * 64
    second = record(build_world(2), 4, 10, 64, 48)
    assert second.lost == film.lost
    assert b"".join(f[0].tobytes() for f in second.frames()) == b"".join(f[0].tobytes() for f in frames)


def test_quick_frames_are_a_recordings_frames_squeezed():
    film = sample_room(9, n_frames=5, width=84, height=56)
    assert film.frames.shape == (5, 56, 84, 3) and len(film.shown) == 5
    recorded = record(film.world, 8, 10, 336, 252)
    picked = [f for i, f in enumerate(recorded.frames()) if i in (0, 20, 40, 59, 79)]
    for small, ids, (rgb, _, thing) in zip(film.frames, film.shown, picked):
        expected = cv2.resize(rgb, (84, 56), interpolation=cv2.INTER_AREA).astype(float)
        assert np.abs(expected - small).mean() < 4
        scale = 84 * 56 / (336 * 252)
        share = np.bincount(thing[thing >= 0], minlength=len(film.world.things)) * scale
        assert set(np.flatnonzero(share > 15)) <= set(ids) <= set(np.flatnonzero(share > 9))
    again = sample_room(9, n_frames=5, width=84, height=56)
    assert again.frames.tobytes() == film.frames.tobytes()
    assert (again.world, again.shown) == (film.world, film.shown)


def test_cells_of_quick_frames_say_what_the_recording_shows_there():
    """A cell is 28 pixels wide; in the recording, which is four times as wide and 4.5 times as high, 112 x 126."""
    film = sample_room(9, n_frames=5, width=84, height=56)
    assert film.categories.shape == (5, 2, 3, len(CATEGORIES)) and film.depth.shape == (5, 2, 3)
    recorded = record(film.world, 8, 10, 336, 252)
    picked = [f for i, f in enumerate(recorded.frames()) if i in (0, 20, 40, 59, 79)]
    numbers = np.array([list(CATEGORIES).index(thing.category) for thing in film.world.things])
    clear = 0
    for k, (_, depth, thing) in enumerate(picked):
        for row, column in np.ndindex(2, 3):
            cell = np.s_[126 * row : 126 * (row + 1), 112 * column : 112 * (column + 1)]
            assert np.isclose(film.depth[k, row, column], depth[cell].mean(), rtol=0.03)
            ids = thing[cell][thing[cell] >= 0]
            pixels = np.bincount(numbers[ids], minlength=len(CATEGORIES)) * 28 * 28 / (112 * 126)
            found = film.categories[k, row, column]
            assert not found[pixels < 9].any() and found[pixels > 15].all()
            clear += int((pixels > 15).sum())
    assert clear > 20


def test_places_are_where_rays_from_the_camera_end():
    """Cast once more, by Open3D, and given in the plan of the first camera."""
    film = sample_room(9, n_frames=3, width=84, height=56)
    mesh = coarse_mesh_of(film.world)
    poses = camera_path(film.world, 8, 10)[[0, 40, 79]]
    scene = open3d.t.geometry.RaycastingScene()
    scene.add_triangles(mesh.vertices.astype(np.float32), mesh.faces.astype(np.uint32))
    inner = intrinsics(168, 126)  # the 4:3 camera, whose rows are squeezed to 112
    v, u = np.mgrid[:112, :168]
    v = (v + 0.5) * 126 / 112 - 0.5
    rays = np.stack([(u - inner[0, 2]) / inner[0, 0], (v - inner[1, 2]) / inner[1, 1], np.ones_like(u)], -1)
    origin, ahead = poses[0][:2, 3], poses[0][:2, 2] / np.linalg.norm(poses[0][:2, 2])
    for k, pose in enumerate(poses):
        directions = rays @ pose[:3, :3].T
        starts = np.broadcast_to(pose[:3, 3], directions.shape)
        cast = scene.cast_rays(np.concatenate([starts, directions], -1).astype(np.float32))
        ends = (starts + directions * cast["t_hit"].numpy()[..., None])[..., :2] - origin
        # z is up: what is to the right of a walker who looks along (x, y) lies along (y, -x).
        plan = np.stack([ends @ [ahead[1], -ahead[0]], ends @ ahead], -1)
        expected = plan.reshape(2, 56, 3, 56, 2).mean((1, 3))
        assert np.allclose(film.place[k], expected, atol=0.05)
    assert abs(film.place[0, 1, 1, 0]) < 1.0 < film.place[0, 1, 1, 1]  # the middle of the first frame lies ahead


def test_frames_that_are_not_made_of_cells_are_refused():
    with pytest.raises(ValueError, match="90 x 56 pixels are not made of cells of 28 x 28"):
        sample_room(9, n_frames=2, width=90, height=56)
