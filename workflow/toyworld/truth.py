"""What is true of a recording, from the world itself: the yardstick for everything that readers derive from files."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np

from toyworld.floorplan import area_of
from toyworld.recording import Recording
from toyworld.world import Thing, World

MIN_PIXELS, MIN_SHARE = 20, 0.001
"""A kind is seen in a frame from this many pixels, and from this share of the frame."""


def truth(recording: Recording) -> dict[str, Any]:
    """Everything that questions ask about, as JSON values; metres, seconds, degrees, world frame.

    Keys: `world_id`, `seed`, `scene_type`; `counts` of each kind; `boxes` of each thing (thing_id, kind, center, size,
    yaw_deg); `size_cm`, the longest side of each thing, by thing id; `distances` [a, b, metres] for each pair of thing
    ids, a < b, between their boxes; `room_area_m2`; `first_seen_s` of each kind that is ever seen; `seen`, the ids of
    the things that are. Frames come one each 1 / fps seconds, lost ones among them.
    """
    world = recording.world
    first, seen = _appearances(recording)
    return {
        "world_id": world.world_id,
        "seed": world.seed,
        "scene_type": world.scene_type,
        "counts": dict(sorted(Counter(thing.kind for thing in world.things).items())),
        "boxes": [
            {
                "thing_id": thing.thing_id,
                "kind": thing.kind,
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
    """[a, b, metres] for each pair of thing ids: exact distance of the boxes, 0 if they touch."""
    plans = [_plan(thing) for thing in world.things]
    found = []
    for a, b in combinations(world.things, 2):
        gap = max(_bottom(a) - _top(b), _bottom(b) - _top(a), 0.0)
        # Boxes are prisms over their plans, so the plan distance and the gap in height are independent.
        apart = _polygon_distance(plans[a.thing_id], plans[b.thing_id])
        found.append([a.thing_id, b.thing_id, float(np.hypot(apart, gap))])
    return found


def _appearances(recording: Recording) -> tuple[dict[str, float], list[int]]:
    """First second at which each kind is seen, and the ids of the things that are ever seen."""
    things = recording.world.things
    names = sorted({thing.kind for thing in things})
    kind_of = np.array([names.index(thing.kind) for thing in things], dtype=np.int64)
    least = max(MIN_PIXELS, MIN_SHARE * recording.width * recording.height)
    first: dict[str, float] = {}
    seen = np.zeros(len(things), dtype=bool)
    for index, (_, _, thing_id) in enumerate(recording.frames()):
        pixels = np.bincount(thing_id[thing_id >= 0], minlength=len(things))
        seen |= pixels >= least
        for k in np.flatnonzero(np.bincount(kind_of, weights=pixels, minlength=len(names)) >= least):
            first.setdefault(names[k], index / recording.fps)
    return dict(sorted(first.items())), [int(k) for k in np.flatnonzero(seen)]


def _bottom(thing: Thing) -> float:
    return thing.center[2] - thing.size[2] / 2


def _top(thing: Thing) -> float:
    return thing.center[2] + thing.size[2] / 2


def _plan(thing: Thing) -> np.ndarray:
    """(4, 2) corners of the footprint, in order."""
    yaw = np.radians(thing.yaw_deg)
    across = np.array([np.cos(yaw), np.sin(yaw)]) * thing.size[0] / 2
    along = np.array([-np.sin(yaw), np.cos(yaw)]) * thing.size[1] / 2
    return np.array(thing.center[:2]) + np.array([-across - along, across - along, across + along, along - across])


def _polygon_distance(p: np.ndarray, q: np.ndarray) -> float:
    """Metres between two convex polygons (k, 2), counter-clockwise; 0 if they overlap.

    Apart, the nearest points include a corner of one of them, so corners against edges suffice; overlap shows as no
    edge of either having the other wholly on its outer side.
    """
    separated = _outside(p, q) or _outside(q, p)
    return min(_corner_distance(p, q), _corner_distance(q, p)) if separated else 0.0


def _outside(p: np.ndarray, q: np.ndarray) -> bool:
    """Whether all of q lies beyond one edge of p."""
    edge = np.roll(p, -1, axis=0) - p
    offset = q[None] - p[:, None]
    left = edge[:, None, 0] * offset[..., 1] - edge[:, None, 1] * offset[..., 0]
    return bool((left < 0).all(axis=1).any())


def _corner_distance(p: np.ndarray, q: np.ndarray) -> float:
    """Least distance from the corners of q to the edges of p."""
    edge = np.roll(p, -1, axis=0) - p
    offset = q[None] - p[:, None]
    t = np.clip(np.sum(offset * edge[:, None], axis=2) / np.sum(edge**2, axis=1)[:, None], 0, 1)
    return float(np.sqrt(np.min(np.sum((offset - t[..., None] * edge[:, None]) ** 2, axis=2))))
