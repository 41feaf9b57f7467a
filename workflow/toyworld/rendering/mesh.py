"""Triangle meshes of worlds: a fine one, as a scanner would release it, and a coarse one to render.

Both are made from the same rectangles ("facets"), so the rendered surfaces are the released ones. Walls have no
thickness: each room has its own facets, seen from inside, on the lines that it shares with its neighbours. In plan all
vertices therefore lie within the union of the rooms, which is what the alpha shape of a scan measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numba import njit

from rollout3d.seeding import generator
from toyworld.rendering.furniture import blocks_of
from toyworld.rooms import free_space
from toyworld.rooms.floorplan import wall_pieces
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.rooms.world import World

FLOOR, WALL, CEILING = -1, -2, -3
"""Values of `Mesh.thing_ids` for surfaces that belong to no thing."""

TILE, CEILING_TILE, BASEBOARD = 0.6, 1.2, 0.12
"""Side of floor and ceiling tiles, and height of baseboards, metres."""


@dataclass(frozen=True)
class Mesh:
    """Triangles, with a colour and an owner for each vertex."""

    vertices: np.ndarray
    """(V, 3) float64, metres, world frame."""
    faces: np.ndarray
    """(F, 3) int32, counter-clockwise seen from the visible side."""
    colors: np.ndarray
    """(V, 3) uint8 RGB, not shaded."""
    thing_ids: np.ndarray
    """(V,) int32: `Thing.thing_id`, or FLOOR, WALL, CEILING."""


@dataclass(frozen=True)
class Facets:
    """Parallelograms `corner + s u + t v`, 0 <= s, t <= 1, visible from the side of u x v."""

    corner: np.ndarray
    u: np.ndarray
    v: np.ndarray
    """(N, 3) float64 each."""
    colors: np.ndarray
    """(N, 3) uint8."""
    thing_ids: np.ndarray
    """(N,) int32, in groups."""


def mesh_of(world: World, spacing: float = 0.06) -> Mesh:
    """Return the mesh of a scan: floor vertices at most `spacing` metres apart, and a third of the ceiling.

    The floor is complete, also under furniture, and finer than the rest, so that 10,000 vertices drawn at random cover
    it at the scale of an alpha shape's triangles (0.2 m). Facets share no vertices, since colours change at borders.
    """
    facets = _facets(world)
    seen = (facets.thing_ids != CEILING) | (np.arange(len(facets.thing_ids)) % 3 == 0)
    return _subdivided(facets, seen, spacing)


def coarse_mesh_of(world: World) -> Mesh:
    """Return the surfaces of `mesh_of` in as few triangles as possible, with the whole ceiling, for rendering."""
    facets = _facets(world)
    return _subdivided(facets, np.ones(len(facets.thing_ids), dtype=bool), np.inf)


def _subdivided(facets: Facets, seen: np.ndarray, spacing: float) -> Mesh:
    corner, u, v = facets.corner[seen], facets.u[seen], facets.v[seen]
    if np.isinf(spacing):
        cuts = np.ones((len(corner), 2), dtype=np.int64)
    else:
        coarser = np.select([facets.thing_ids[seen] == FLOOR, facets.thing_ids[seen] >= 0], [1.0, 1.6], 2.4)
        lengths = np.stack([np.linalg.norm(u, axis=1), np.linalg.norm(v, axis=1)], axis=1)
        cuts = np.maximum(np.ceil(lengths / (spacing * coarser[:, None]) - 1e-9).astype(np.int64), 1)
    vertices, faces, owner = _grid(corner, u, v, cuts)
    return Mesh(vertices, faces, facets.colors[seen][owner], facets.thing_ids[seen][owner])


@njit(cache=True)
def _grid(corner, u, v, cuts):
    """Return vertices, faces and the facet of each vertex, facet k cut into cuts[k, 0] x cuts[k, 1] cells."""
    n_vertices, n_faces = 0, 0
    for k in range(len(corner)):
        n_vertices += (cuts[k, 0] + 1) * (cuts[k, 1] + 1)
        n_faces += 2 * cuts[k, 0] * cuts[k, 1]
    vertices = np.empty((n_vertices, 3))
    faces = np.empty((n_faces, 3), dtype=np.int32)
    owner = np.empty(n_vertices, dtype=np.int64)
    a, f = 0, 0
    for k in range(len(corner)):
        m, n = cuts[k, 0], cuts[k, 1]
        for j in range(n + 1):
            for i in range(m + 1):
                at = a + j * (m + 1) + i
                owner[at] = k
                for c in range(3):
                    vertices[at, c] = corner[k, c] + u[k, c] * i / m + v[k, c] * j / n
        for j in range(n):
            for i in range(m):
                at = a + j * (m + 1) + i
                faces[f, 0], faces[f, 1], faces[f, 2] = at, at + 1, at + m + 2
                faces[f + 1, 0], faces[f + 1, 1], faces[f + 1, 2] = at, at + m + 2, at + m + 1
                f += 2
        a += (m + 1) * (n + 1)
    return vertices, faces, owner


def _facets(world: World) -> Facets:
    room, room_colors, room_ids = _room_facets(world)
    things, thing_colors, thing_ids = _thing_facets(world)
    rows = np.concatenate([room, things])
    return Facets(
        np.ascontiguousarray(rows[:, 0]),
        np.ascontiguousarray(rows[:, 1]),
        np.ascontiguousarray(rows[:, 2]),
        np.concatenate([room_colors, thing_colors]),
        np.concatenate([room_ids, thing_ids]),
    )


# Face k of a block: the corner that it starts from (0 = lower, 1 = upper bound of each axis) and its two edges.
_FACE_CORNER = np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]])
_FACE_U = np.array([[0, 1, 0], [0, -1, 0], [-1, 0, 0], [1, 0, 0], [1, 0, 0], [1, 0, 0]])
_FACE_V = np.array([[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0], [0, -1, 0]])


def _thing_facets(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (N, 3, 3) corner, u, v of the visible faces of all blocks, their colours (N, 3) and thing ids (N,)."""
    rows, colors, owner = [], [], []
    for thing in world.things:
        for *bounds, color in blocks_of(thing.category, thing.size):
            rows.append(bounds)
            colors.append(color)
            owner.append(thing.thing_id)
    blocks, owners = np.array(rows, dtype=float).reshape(-1, 3, 2), np.array(owner, dtype=np.int32)
    low, extent = blocks[:, :, 0], blocks[:, :, 1] - blocks[:, :, 0]
    hidden = _hidden(blocks, owners)
    spots = [CATEGORIES[thing.category].spot for thing in world.things]
    resting = np.array([spot not in ("hung", "ceiling") for spot in spots], dtype=bool)
    hidden[:, 5] |= resting[owners] & (low[:, 2] < 1e-9)

    turn = np.array([thing.rotation() for thing in world.things]).reshape(-1, 3, 3)[owners]
    foot = np.array([(*t.center[:2], t.center[2] - t.size[2] / 2) for t in world.things]).reshape(-1, 3)[owners]
    local = np.stack(
        [low[:, None] + extent[:, None] * _FACE_CORNER, extent[:, None] * _FACE_U, extent[:, None] * _FACE_V], axis=2
    )
    facets = np.einsum("bij,bfkj->bfki", turn, local)
    facets[:, :, 0] += foot[:, None]
    shown = ~hidden
    which = np.broadcast_to(np.arange(len(blocks))[:, None], shown.shape)[shown]
    return facets[shown], np.array(colors, dtype=np.uint8).reshape(-1, 3)[which], owners[which]


@njit(cache=True)
def _hidden(blocks, owners):
    """Return (B, 6) bools, True for a face wholly against another block of its thing; order +x -x +y -y +z -z."""
    n = len(blocks)
    out = np.zeros((n, 6), dtype=np.bool_)
    start = 0
    for i in range(n):
        while owners[start] != owners[i]:
            start += 1
        j = start
        while j < n and owners[j] == owners[i]:
            for axis in range(3):
                p, q = (axis + 1) % 3, (axis + 2) % 3
                covers = (
                    i != j
                    and blocks[j, p, 0] < blocks[i, p, 0] + 1e-9
                    and blocks[j, p, 1] > blocks[i, p, 1] - 1e-9
                    and blocks[j, q, 0] < blocks[i, q, 0] + 1e-9
                    and blocks[j, q, 1] > blocks[i, q, 1] - 1e-9
                )
                if covers and abs(blocks[j, axis, 0] - blocks[i, axis, 1]) < 1e-9:
                    out[i, 2 * axis] = True
                if covers and abs(blocks[j, axis, 1] - blocks[i, axis, 0]) < 1e-9:
                    out[i, 2 * axis + 1] = True
            j += 1
    return out


def _room_facets(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (N, 3, 3) corner, u, v of floor tiles, walls, baseboards, lintels and ceiling, their colours and ids.

    Colours are pale and vary with the seed.
    """
    rng = generator(world.seed, "palette")
    rows: list[tuple] = []
    colors: list[np.ndarray] = []
    ids: list[int] = []
    openings = [(d.start, d.end) for d in world.doorways]

    def add(corner, u, v, color, thing_id):
        rows.append((corner, u, v))
        colors.append(color)
        ids.append(thing_id)

    palettes = [_palette(rng) for _ in world.rooms]
    for room, (tiles, _, _) in zip(world.rooms, palettes):
        for x, y, dx, dy, odd in _tiles(room, TILE):
            add((x, y, 0.0), (dx, 0.0, 0.0), (0.0, dy, 0.0), tiles[odd], FLOOR)
    for room, (_, wall, _) in zip(world.rooms, palettes):
        for (ax, ay), (bx, by) in wall_pieces(room, openings):
            # Walls along x and along y differ a little in colour, so that corners are visible.
            tint = wall if abs(ax - bx) > abs(ay - by) else wall - 9
            along = (ax - bx, ay - by, 0.0)
            add((bx, by, 0.0), along, (0.0, 0.0, BASEBOARD), tint * 0.8, WALL)
            add((bx, by, BASEBOARD), along, (0.0, 0.0, world.height - BASEBOARD), tint, WALL)
    for doorway in world.doorways:
        for (ax, ay), (bx, by) in ((doorway.start, doorway.end), (doorway.end, doorway.start)):
            middle = np.array([(ax + bx) / 2, (ay + by) / 2])
            inward = np.array([ay - by, bx - ax]) * 0.01
            side = [free_space.inside(np.array(room), *(middle + inward)) for room in world.rooms].index(True)
            up = (0.0, 0.0, world.height - doorway.height)
            add((bx, by, doorway.height), (ax - bx, ay - by, 0.0), up, palettes[side][1] - 9, WALL)
    for room, (_, _, ceiling) in zip(world.rooms, palettes):
        for x, y, dx, dy, _ in _tiles(room, CEILING_TILE):
            add((x, y + dy, world.height), (dx, 0.0, 0.0), (0.0, -dy, 0.0), ceiling, CEILING)
    return np.array(rows), np.clip(np.array(colors), 0, 255).astype(np.uint8), np.array(ids, dtype=np.int32)


def _palette(rng: np.random.Generator) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """Return the RGB colours ((tile, other tile), wall, ceiling) of a room, as floats."""
    floor = np.array([186.0, 178.0, 168.0]) + rng.uniform(-14, 14) + rng.uniform(-8, 8, 3)
    wall = np.array([224.0, 222.0, 216.0]) + rng.uniform(-8, 8) + rng.uniform(-8, 8, 3)
    return (floor, floor - rng.uniform(8, 16)), wall, np.full(3, 240.0) + rng.uniform(-6, 6)


def _tiles(room: tuple[tuple[float, float], ...], step: float) -> list[tuple[float, float, float, float, int]]:
    """Return rectangles (x, y, dx, dy, parity) that pave a rectilinear polygon along a grid of `step` metres."""
    polygon = np.array(room)
    lines = []
    for axis in range(2):
        corners = polygon[:, axis]
        grid = np.arange(np.ceil(corners.min() / step) * step, corners.max(), step)
        cuts = np.unique(np.round(np.concatenate([corners, grid]), 6))
        lines.append(cuts)
    xs, ys = lines
    tiles = []
    for x, x1 in pairwise(xs):
        for y, y1 in pairwise(ys):
            middle = ((x + x1) / 2, (y + y1) / 2)
            if free_space.inside(polygon, *middle):
                odd = int(middle[0] // step + middle[1] // step) % 2
                tiles.append((x, y, x1 - x, y1 - y, odd))
    return tiles
