"""A small world filmed by ray casting instead of the toy world's renderer, for the tests of its writers.

Things are plain boxes in a box, so owner and depth of every pixel are exact; the mesh has the boxes' faces as grids.
"""

from __future__ import annotations

import numpy as np

from toyworld.rendering.mesh import Mesh
from toyworld.rendering.recording import Recording
from toyworld.rooms.world import Thing, World

SEED = 11
ROOM = (4.0, 3.0, 2.4)
THINGS = (
    Thing(0, "sofa", (1.1, 1.9, 0.4), (1.6, 0.8, 0.8), 30.0),
    Thing(1, "chair", (2.9, 1.6, 0.45), (0.5, 0.5, 0.9), -20.0),
    Thing(2, "tv", (2.2, 2.9, 1.3), (1.1, 0.1, 0.6), 0.0),
    Thing(3, "backpack", (3.4, 2.5, 0.25), (0.4, 0.25, 0.5), 75.0),
    Thing(4, "trash bin", (0.4, 2.7, 0.2), (0.3, 0.3, 0.4), 10.0),
)
WORLD = World("small", 7, (((0, 0), (ROOM[0], 0), (ROOM[0], ROOM[1]), (0, ROOM[1])),), ROOM[2], THINGS, "bedroom")
_PALETTE = {-3: 250, -2: 200, -1: 120, 0: 20, 1: 60, 2: 90, 3: 150, 4: 170}


class Filmed(Recording):
    """A recording whose frames are ray-cast."""

    def frames(self):
        """Yield rgb, depth and owner per frame, as `Recording.frames` does; the grey level encodes the owner."""
        for pose in self.poses:
            depth, owner = cast(self.K, pose, self.width, self.height)
            grey = np.vectorize(_PALETTE.get)(owner).astype(np.uint8)
            yield np.stack([grey, grey // 2, 255 - grey], axis=-1), depth, owner


def film(lost: tuple[int, ...] = (), fps: float = 10, width: int = 64, height: int = 48) -> Filmed:
    """Return a recording of seven frames from the front of the room, turning from left to right, a little downwards."""
    poses = []
    for i in range(7):
        position = np.array([1.2 + 0.25 * i, 0.35 + 0.02 * i, 1.5])
        target = np.array([0.9 + 0.35 * i, 2.6, 0.55])
        z = (target - position) / np.linalg.norm(target - position)
        x = np.cross(z, [0, 0, 1.0])
        x /= np.linalg.norm(x)
        poses.append(np.vstack([np.column_stack([x, np.cross(z, x), z, position]), [0, 0, 0, 1]]))
    focal = 0.6 * max(width, height)
    K = np.array([[focal, 0, width / 2 - 0.8], [0, focal * 1.01, height / 2 - 0.2], [0, 0, 1]])
    return Filmed(WORLD, fps, width, height, K, np.array(poses), lost)


def cast(K: np.ndarray, pose: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Return depth (H, W) float32 and owner (H, W) int32 by intersecting each pixel's ray with every box."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    camera = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u, float)], axis=-1)
    rays, origin = camera @ pose[:3, :3].T, pose[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        # Where the ray leaves the room: the nearest wall ahead, axis by axis.
        exits = np.where(rays > 0, (np.array(ROOM) - origin) / rays, -origin / rays)
        exits = np.where(rays == 0, np.inf, exits)
        depth, axis = exits.min(axis=-1), exits.argmin(axis=-1)
        owner = np.where(axis < 2, -2, np.where(rays[..., 2] > 0, -3, -1))
        for thing in THINGS:
            R, half = thing.rotation(), np.array(thing.size) / 2
            start, direction = (origin - thing.center) @ R, rays @ R
            one, other = (-half - start) / direction, (half - start) / direction
            enter, leave = np.minimum(one, other).max(axis=-1), np.maximum(one, other).min(axis=-1)
            hit = (enter > 0) & (enter <= leave) & (enter < depth)
            depth, owner = np.where(hit, enter, depth), np.where(hit, thing.thing_id, owner)
    return depth.astype(np.float32), owner.astype(np.int32)


def gridded(world: World, spacing: float = 0.1) -> Mesh:
    """Return the faces of the room and of every box as grids of vertices, in place of `mesh_of`."""
    room = Thing(-9, "room", tuple(np.array(ROOM) / 2), ROOM, 0.0)
    vertices, faces, owners = [], [], []
    for thing in (*world.things, room):
        for axis in range(3):
            for side in (-0.5, 0.5):
                a, b = (axis + 1) % 3, (axis + 2) % 3
                na, nb = (max(int(np.ceil(thing.size[k] / spacing)), 1) + 1 for k in (a, b))
                local = np.zeros((na, nb, 3))
                local[..., axis] = side * thing.size[axis]
                local[..., a] = (np.linspace(-0.5, 0.5, na) * thing.size[a])[:, None]
                local[..., b] = (np.linspace(-0.5, 0.5, nb) * thing.size[b])[None, :]
                index = np.arange(na * nb).reshape(na, nb) + sum(map(len, vertices))
                quads = [index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]]
                p, q, r, s = (quad.ravel() for quad in quads)
                faces += [np.stack([p, q, r], 1), np.stack([p, r, s], 1)]
                vertices.append(local.reshape(-1, 3) @ thing.rotation().T + thing.center)
                structure = -2 if axis < 2 else (-1 if side < 0 else -3)
                owners.append(np.full(na * nb, structure if thing is room else thing.thing_id))
    owner = np.concatenate(owners).astype(np.int32)
    colors = np.stack([np.vectorize(_PALETTE.get)(owner)] * 3, axis=1).astype(np.uint8)
    return Mesh(np.concatenate(vertices), np.concatenate(faces).astype(np.int32), colors, owner)


def project(K: np.ndarray, pose: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels (N, 2) and depths (N,) of points (N, 3) seen by a camera with this camera-to-world pose."""
    camera = (points - pose[:3, 3]) @ pose[:3, :3]
    return np.stack([K[0, 0], K[1, 1]]) * camera[:, :2] / camera[:, 2:] + K[:2, 2], camera[:, 2]


def landing(K, pose, points, owner, thing_id, depth, slack=0.02) -> tuple[int, int]:
    """Return how many points are on a pixel of `thing_id`, and how many are visible by the depth image."""
    uv, z = project(K, pose, points)
    column, row = np.round(np.nan_to_num(uv, nan=-1, posinf=-1, neginf=-1)).astype(int).T
    inside = (z > 0.05) & (column >= 0) & (row >= 0) & (column < owner.shape[1]) & (row < owner.shape[0])
    column, row, z = column[inside], row[inside], z[inside]
    seen = np.abs(depth[row, column] - z) < slack
    return int((owner[row, column] == thing_id)[seen].sum()), int(seen.sum())
