"""The true answers about a recording, from the world itself: the reference for what readers derive from files."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np

from toyworld.rendering.recording import Recording
from toyworld.rooms.floorplan import area_of
from toyworld.rooms.world import Thing, World

MIN_PIXELS, MIN_SHARE = 20, 0.001
"""A category counts as seen in a frame from this many pixels and from this share of the frame, whichever is more."""


def truth(recording: Recording) -> dict[str, Any]:
    """Return everything that questions ask about, as JSON values; metres, seconds, degrees, world frame.

    Keys: `world_id`, `seed`, `scene_type`; `counts`: things per category; `boxes`: thing_id, kind (its category),
    center, size, yaw_deg of each thing; `size_cm`: longest side by thing id; `distances`: [a, b, metres] between the
    boxes of each pair of thing ids, a < b; `room_area_m2`; `first_seen_s`: by category, those never seen left out;
    `seen`: ids of the things that are ever seen. Frame i is at i / fps seconds, frames without a pose included.
    """
    world = recording.world
    first, seen = _appearances(recording)
    return {
        "world_id": world.world_id,
        "seed": world.seed,
        "scene_type": world.scene_type,
        "counts": dict(sorted(Counter(thing.category for thing in world.things).items())),
        "boxes": [
            {
                "thing_id": thing.thing_id,
                "kind": thing.category,
                "center": list(thing.center),
                "size": list(thing.size),
                "yaw_deg": thing.yaw_deg,
            }
            for thing in world.things
        ],
        "size_cm": {str(thing.thing_id): round(100 * max(thing.size)) for thing in world.things},
        "distances": distances(world),
        "room_area_m2": sum(area_of(room) for room in world.rooms),
        "first_seen_s": first,
        "seen": seen,
    }


def distances(world: World) -> list[list[float]]:
    """Return [a, b, metres] for each pair of thing ids: the exact distance of their boxes, 0 if they touch."""
    plans = [_plan(thing) for thing in world.things]
    found = []
    for a, b in combinations(world.things, 2):
        gap = max(_bottom(a) - _top(b), _bottom(b) - _top(a), 0.0)
        # Boxes are prisms over their plans, so the plan distance and the gap in height are independent.
        apart = _polygon_distance(plans[a.thing_id], plans[b.thing_id])
        found.append([a.thing_id, b.thing_id, float(np.hypot(apart, gap))])
    return found


def _appearances(recording: Recording) -> tuple[dict[str, float], list[int]]:
    """Return the second at which each category is first seen, and the ids of the things that are ever seen."""
    things = recording.world.things
    names = sorted({thing.category for thing in things})
    category_of = np.array([names.index(thing.category) for thing in things], dtype=np.int64)
    least = max(MIN_PIXELS, MIN_SHARE * recording.width * recording.height)
    first: dict[str, float] = {}
    seen = np.zeros(len(things), dtype=bool)
    for index, (_, _, thing_id) in enumerate(recording.frames()):
        pixels = np.bincount(thing_id[thing_id >= 0], minlength=len(things))
        seen |= pixels >= least
        for k in np.flatnonzero(np.bincount(category_of, weights=pixels, minlength=len(names)) >= least):
            first.setdefault(names[k], index / recording.fps)
    return dict(sorted(first.items())), [int(k) for k in np.flatnonzero(seen)]


def _bottom(thing: Thing) -> float:
    return thing.center[2] - thing.size[2] / 2


def _top(thing: Thing) -> float:
    return thing.center[2] + thing.size[2] / 2


def _plan(thing: Thing) -> np.ndarray:
    """Return the (4, 2) corners of the footprint, counter-clockwise."""
    yaw = np.radians(thing.yaw_deg)
    across = np.array([np.cos(yaw), np.sin(yaw)]) * thing.size[0] / 2
    along = np.array([-np.sin(yaw), np.cos(yaw)]) * thing.size[1] / 2
    return np.array(thing.center[:2]) + np.array([-across - along, across - along, across + along, along - across])


def _polygon_distance(p: np.ndarray, q: np.ndarray) -> float:
    """Return the metres between two convex polygons (k, 2), counter-clockwise; 0 if they overlap.

    The nearest points of two separate polygons include a corner of one of them, so corners against edges suffice. Two
    polygons overlap if no edge of either has the other wholly on its outer side.
    """
    separated = _outside(p, q) or _outside(q, p)
    return min(_corner_distance(p, q), _corner_distance(q, p)) if separated else 0.0


def _outside(p: np.ndarray, q: np.ndarray) -> bool:
    """Return whether all of q lies beyond one edge of p."""
    edge = np.roll(p, -1, axis=0) - p
    offset = q[None] - p[:, None]
    left = edge[:, None, 0] * offset[..., 1] - edge[:, None, 1] * offset[..., 0]
    return bool((left < 0).all(axis=1).any())


def _corner_distance(p: np.ndarray, q: np.ndarray) -> float:
    """Return the smallest distance from the corners of q to the edges of p."""
    edge = np.roll(p, -1, axis=0) - p
    offset = q[None] - p[:, None]
    t = np.clip(np.sum(offset * edge[:, None], axis=2) / np.sum(edge**2, axis=1)[:, None], 0, 1)
    return float(np.sqrt(np.min(np.sum((offset - t[..., None] * edge[:, None]) ** 2, axis=2))))
