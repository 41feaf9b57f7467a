"""Draw worlds from a seed: rooms and the things in them.

Frame: metres, z up, floor at z = 0, walls parallel to x and y. A thing at yaw 0 has its width along x, its depth
along y, its back towards +y and its front towards -y; yaw turns it counter-clockwise seen from above.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from rollout3d.errors import InvalidInput
from rollout3d.seeding import generator
from toyworld.rooms.contents import draw_inventory
from toyworld.rooms.floorplan import OPENING_HEIGHT, SHAPES, draw_rooms, plan_of
from toyworld.rooms.furnishing import Furnisher, Placed
from toyworld.rooms.vocabulary import ARKIT, CATEGORIES, SCANNET, SCANNETPP, THEMES, Category

ATTEMPTS = 12
"""Draws of a world before giving up, each with more floor than the one before."""


@dataclass(frozen=True)
class Thing:
    """One object. Its box is exact, so `center`, `size` and `yaw_deg` are what readers must find."""

    thing_id: int
    """0-based, dense: `world.things[i].thing_id == i`."""
    category: str
    """Key of `vocabulary.CATEGORIES`."""
    center: tuple[float, float, float]
    """Centre of the box, metres."""
    size: tuple[float, float, float]
    """Width (local x), depth (local y), height (z), metres."""
    yaw_deg: float
    """Rotation about z, degrees."""

    def rotation(self) -> np.ndarray:
        """Return the (3, 3) local-to-world rotation, whose columns are the box's axes."""
        c, s = np.cos(np.radians(self.yaw_deg)), np.sin(np.radians(self.yaw_deg))
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def corners(self) -> np.ndarray:
        """Return the (8, 3) corners of the box in the world frame, metres."""
        signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
        return (signs * self.size) @ self.rotation().T + self.center


@dataclass(frozen=True)
class Doorway:
    """An opening without a door leaf in the wall that two rooms share."""

    start: tuple[float, float]
    end: tuple[float, float]
    """Its two ends in plan, metres."""
    height: float
    """Metres."""


@dataclass(frozen=True)
class World:
    """A room or a flat, and the things in it."""

    world_id: str
    seed: int
    rooms: tuple[tuple[tuple[float, float], ...], ...]
    """Simple rectilinear polygons, counter-clockwise, metres. Rooms of a flat share walls of no thickness."""
    height: float
    """Height of the ceiling, metres."""
    things: tuple[Thing, ...]
    scene_type: str
    """bedroom | living room | kitchen | bathroom | office | apartment."""
    doorways: tuple[Doorway, ...] = ()
    """Openings between the rooms of a flat."""


def build_world(seed: int, n_objects: tuple[int, int] = (15, 40), shape: str | None = None) -> World:
    """Draw a furnished world; the same arguments give the same world.

    It has between `n_objects[0]` and `n_objects[1]` things, in rooms of `shape`, one of `floorplan.SHAPES` (drawn if
    None; "flat" has several rooms). No two boxes intersect, and the floor stays connected for a disc of 0.3 m radius.
    Raises ValueError for an unknown shape, and InvalidInput for numbers that no attempt reaches.
    """
    low, high = n_objects
    if not 1 <= low <= high:
        raise InvalidInput(f"n_objects must be (least, most) with 1 <= least <= most, not {n_objects}")
    if shape is not None and shape not in SHAPES:
        raise ValueError(f"shape must be one of {', '.join(SHAPES)} or None, not '{shape}'")
    for attempt in range(ATTEMPTS):
        world = _try_world(seed, attempt, low, high, shape)
        if world is not None:
            return world
    raise InvalidInput(f"no world of {low} to {high} things in {ATTEMPTS} attempts: ask for fewer things")


def _try_world(seed: int, attempt: int, low: int, high: int, shape: str | None) -> World | None:
    rng = generator(seed, "world", low, high, shape, attempt)
    n = int(rng.integers(low, high + 1))
    if shape is None:
        weights = np.array([0.45, 0.25, 0.15 * (n >= 18), 0.2 * (n >= 22)])
        shape = SHAPES[int(rng.choice(len(SHAPES), p=weights / weights.sum()))]
    mix = [THEMES[k] for k in rng.permutation(len(THEMES))]
    # A single room has two themes, as lived-in rooms do.
    themes = tuple(mix) if shape == "flat" else (mix[0], mix[1])
    counts = draw_inventory(rng, n, themes)
    rooms, openings = draw_rooms(rng, shape, _area(counts) * (1 + 0.12 * attempt))
    height = round(float(rng.uniform(2.45, 2.8)), 2)
    of_rooms = tuple(themes[k % len(themes)] for k in range(len(rooms)))
    furnisher = Furnisher(rng, plan_of(rooms, openings), height, of_rooms)
    for name in sorted(counts, key=lambda name: _turn(CATEGORIES[name])):
        for _ in range(counts[name]):
            furnisher.place(name)
    repeated = [name for name in counts if counts[name] > 1]
    for name in repeated * 2:
        if len(furnisher.placed) < n and [p[0] for p in furnisher.placed].count(name) < CATEGORIES[name].most:
            furnisher.place(name)
    if not low <= len(furnisher.placed) <= high or not _askable(furnisher.placed, n):
        return None
    things = tuple(Thing(k, *item) for k, item in enumerate(furnisher.placed))
    doorways = tuple(Doorway(start, end, OPENING_HEIGHT) for start, end in openings)
    scene_type = "apartment" if shape == "flat" else themes[0]
    return World(f"world{seed:06d}", seed, tuple(rooms), height, things, scene_type, doorways)


def _area(counts: dict[str, int]) -> float:
    """Return the floor that things need, square metres: footprints with space to walk, and walls to stand at."""
    footprint = wall = 0.0
    for name, n in counts.items():
        category = CATEGORIES[name]
        width, depth, _ = (np.array(category.smallest) + category.largest) / 2
        if category.spot not in ("top", "hung", "ceiling"):
            footprint += n * (width + 0.15) * (depth + 0.15)
        if category.spot in ("wall", "edge", "corner"):
            wall += n * (width + 0.1)
    return float(max(11.0, 6.0 + 1.9 * footprint, (1.3 * wall / 4) ** 2))


def _turn(category: Category) -> tuple[int, float]:
    """Return a sort key: doors first, then wall furniture, tables, other things on the floor, on tops, hung ones."""
    if category.name == "door":
        return (0, 0.0)
    rank = {"wall": 1, "free": 2, "corner": 4, "edge": 5, "top": 6, "hung": 7, "ceiling": 8}[category.spot]
    return (rank + (category.name in ("chair", "stool")), -category.largest[0] * category.largest[1])


def _askable(placed: list[Placed], n: int) -> bool:
    """Return whether a world has enough to ask about in every dataset.

    It needs five categories that occur once; and of the categories that a dataset asks about, five in all, three of
    them once and one repeatedly. Worlds of fewer than twelve things are exempt.
    """
    counts = Counter(item[0] for item in placed)
    if n < 12:
        return True
    for dataset in (SCANNET, SCANNETPP, ARKIT):
        asked = [count for category, count in counts.items() if dataset in CATEGORIES[category].asked_as]
        if len(asked) < 5 or asked.count(1) < 3 or max(asked) < 2:
            return False
    return list(counts.values()).count(1) >= 5
