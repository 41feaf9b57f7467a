"""Render small pictures of meshes with a z-buffer: colour, depth and owner of every pixel, in about a millisecond."""

from __future__ import annotations

import numpy as np
from numba import njit

from toyworld.rendering.mesh import Mesh

NEAR = 0.05
"""Surfaces nearer than this are not drawn, metres."""
NOTHING = -4
"""`thing_id` of a pixel without a surface."""


class Renderer:
    """Renders one mesh from any camera.

    Faces have one colour and are visible only from the side on which they wind counter-clockwise. Light comes from
    above and a little from +x and +y, so that the faces of a block differ.
    """

    def __init__(self, mesh: Mesh) -> None:
        self._corners = np.ascontiguousarray(mesh.vertices[mesh.faces])
        edge1 = self._corners[:, 1] - self._corners[:, 0]
        edge2 = self._corners[:, 2] - self._corners[:, 0]
        normals = np.cross(edge1, edge2)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        self._planes = np.column_stack([normals, np.sum(normals * self._corners[:, 0], axis=1)])
        ids = mesh.thing_ids[mesh.faces[:, 0]].astype(np.int32)
        self._ids = ids
        light = 0.80 + 0.20 * np.maximum(normals[:, 2], 0) - 0.16 * np.maximum(-normals[:, 2], 0)
        light += normals[:, 0] * 0.10 + normals[:, 1] * 0.05
        flat = mesh.colors[mesh.faces[:, 0]] * light[:, None]
        self._colors = np.clip(np.round(flat), 0, 255).astype(np.uint8)
        # Runs of faces with one owner are skipped at once if their bounding sphere is out of view.
        starts = np.flatnonzero(np.diff(ids, prepend=ids[0] - 1 if len(ids) else 0))
        self._runs = np.append(starts, len(ids))
        self._spheres = _spheres(self._corners, self._runs)

    def render(
        self, K: np.ndarray, pose: np.ndarray, width: int, height: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rgb (H, W, 3) uint8, depth (H, W) float32 and thing_id (H, W) int32 of one picture.

        K (3, 3) has integer pixel centres; pose (4, 4) is camera-to-world with OpenCV axes. Depth is the z coordinate
        in the camera, metres, 0 without a surface; `thing_id` is negative for floor, walls, ceiling and no surface.
        """
        intrinsics = np.array([K[0, 0], K[1, 1], K[0, 2], K[1, 2]], dtype=float)
        pose = np.ascontiguousarray(pose, dtype=float)
        return _render(
            self._corners,
            self._planes,
            self._colors,
            self._ids,
            self._runs,
            self._spheres,
            intrinsics,
            pose,
            width,
            height,
        )


@njit(cache=True)
def _spheres(corners, runs):
    """Return the bounding sphere of each run of faces: (G, 4) centre of its axis-aligned box, and radius."""
    out = np.zeros((len(runs) - 1, 4))
    for g in range(len(runs) - 1):
        low, high = np.full(3, np.inf), np.full(3, -np.inf)
        for f in range(runs[g], runs[g + 1]):
            for k in range(3):
                for c in range(3):
                    low[c] = min(low[c], corners[f, k, c])
                    high[c] = max(high[c], corners[f, k, c])
        out[g, :3] = (low + high) / 2
        out[g, 3] = np.sqrt(np.sum((high - low) ** 2)) / 2
    return out


@njit(cache=True)
def _render(corners, planes, colors, ids, runs, spheres, intrinsics, pose, width, height):
    fx, fy, cx, cy = intrinsics
    inverse_depth = np.zeros((height, width), dtype=np.float32)
    face_of = np.full((height, width), -1, dtype=np.int32)
    ex, ey, ez = pose[0, 3], pose[1, 3], pose[2, 3]
    # Slopes x/z and y/z of the picture's borders, to test bounding spheres against.
    left, right = (-0.5 - cx) / fx, (width - 0.5 - cx) / fx
    up, down = (-0.5 - cy) / fy, (height - 0.5 - cy) / fy
    nl, nr = np.sqrt(1 + left * left), np.sqrt(1 + right * right)
    nu, nd = np.sqrt(1 + up * up), np.sqrt(1 + down * down)
    view = np.empty((3, 3))
    screen = np.empty((4, 3))
    for g in range(len(runs) - 1):
        dx, dy, dz = spheres[g, 0] - ex, spheres[g, 1] - ey, spheres[g, 2] - ez
        x = pose[0, 0] * dx + pose[1, 0] * dy + pose[2, 0] * dz
        y = pose[0, 1] * dx + pose[1, 1] * dy + pose[2, 1] * dz
        z = pose[0, 2] * dx + pose[1, 2] * dy + pose[2, 2] * dz
        r = spheres[g, 3]
        if z < NEAR - r or x - left * z < -r * nl or right * z - x < -r * nr:
            continue
        if y - up * z < -r * nu or down * z - y < -r * nd:
            continue
        for f in range(runs[g], runs[g + 1]):
            if planes[f, 0] * ex + planes[f, 1] * ey + planes[f, 2] * ez <= planes[f, 3]:
                continue
            behind = 0
            for k in range(3):
                dx, dy, dz = corners[f, k, 0] - ex, corners[f, k, 1] - ey, corners[f, k, 2] - ez
                for c in range(3):
                    view[k, c] = pose[0, c] * dx + pose[1, c] * dy + pose[2, c] * dz
                behind += view[k, 2] < NEAR
            if behind == 3:
                continue
            n = 0
            for k in range(3):
                m = (k + 1) % 3
                if view[k, 2] >= NEAR:
                    screen[n, 0] = fx * view[k, 0] / view[k, 2] + cx
                    screen[n, 1] = fy * view[k, 1] / view[k, 2] + cy
                    screen[n, 2] = 1.0 / view[k, 2]
                    n += 1
                if (view[k, 2] >= NEAR) != (view[m, 2] >= NEAR):
                    t = (NEAR - view[k, 2]) / (view[m, 2] - view[k, 2])
                    screen[n, 0] = fx * (view[k, 0] + t * (view[m, 0] - view[k, 0])) / NEAR + cx
                    screen[n, 1] = fy * (view[k, 1] + t * (view[m, 1] - view[k, 1])) / NEAR + cy
                    screen[n, 2] = 1.0 / NEAR
                    n += 1
            for k in range(2, n):
                _fill(screen[0], screen[k - 1], screen[k], f, inverse_depth, face_of, width, height)
    rgb = np.zeros((height, width, 3), dtype=np.uint8)
    depth = np.zeros((height, width), dtype=np.float32)
    thing = np.full((height, width), NOTHING, dtype=np.int32)
    for j in range(height):
        for i in range(width):
            f = face_of[j, i]
            if f >= 0:
                rgb[j, i, 0], rgb[j, i, 1], rgb[j, i, 2] = colors[f, 0], colors[f, 1], colors[f, 2]
                depth[j, i] = 1.0 / inverse_depth[j, i]
                thing[j, i] = ids[f]
    return rgb, depth, thing


@njit(cache=True, inline="always")
def _fill(p, q, r, face, inverse_depth, face_of, width, height):
    """Draw one triangle with screen corners (u, v, 1/z), row by row between its edges; 1/z is linear on the screen."""
    top, bottom = min(p[1], q[1], r[1]), max(p[1], q[1], r[1])
    if bottom < 0 or top > height - 1 or max(p[0], q[0], r[0]) < 0 or min(p[0], q[0], r[0]) > width - 1:
        return
    area = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
    if area == 0:
        return
    gu = ((q[2] - p[2]) * (r[1] - p[1]) - (r[2] - p[2]) * (q[1] - p[1])) / area
    gv = ((r[2] - p[2]) * (q[0] - p[0]) - (q[2] - p[2]) * (r[0] - p[0])) / area
    first, last = max(int(np.ceil(top)), 0), min(int(np.floor(bottom)), height - 1)
    for j in range(first, last + 1):
        low, high = 1e9, -1e9
        for k in range(3):
            if k == 0:
                a, b = p, q
            elif k == 1:
                a, b = q, r
            else:
                a, b = r, p
            if (a[1] <= j) != (b[1] <= j) or a[1] == j:
                u = a[0] if a[1] == j else a[0] + (j - a[1]) * (b[0] - a[0]) / (b[1] - a[1])
                low, high = min(low, u), max(high, u)
        i0, i1 = max(int(np.ceil(low - 1e-7)), 0), min(int(np.floor(high + 1e-7)), width - 1)
        for i in range(i0, i1 + 1):
            w = np.float32(p[2] + gu * (i - p[0]) + gv * (j - p[1]))
            if w > inverse_depth[j, i]:
                inverse_depth[j, i] = w
                face_of[j, i] = face
