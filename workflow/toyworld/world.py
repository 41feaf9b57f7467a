"""Worlds: rooms and the things in them, drawn from a seed.

Frame: metres, z up, floor at z = 0, walls parallel to x and y. A thing at yaw 0 has its width along x, its depth
along y, its back towards +y and its front towards -y; yaw turns it counter-clockwise seen from above.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from rollout3d.errors import InvalidInput
from rollout3d.seeding import generator
from toyworld.floorplan import OPENING_HEIGHT, SHAPES, draw_rooms, plan_of
from toyworld.inventory import draw_inventory
from toyworld.layout import Furnisher, Placed
from toyworld.vocabulary import ARKIT, KINDS, SCANNET, SCANNETPP, THEMES, Kind

ATTEMPTS = 12


@dataclass(frozen=True)
class Thing:
    """One object: its box is exact, so `center`, `size` and `yaw_deg` are the truth that readers must find."""

    thing_id: int
    """0-based, dense: `world.things[i].thing_id == i`."""
    kind: str
    """A key of `vocabulary.KINDS`."""
    center: tuple[float, float, float]
    """Centre of the box, metres."""
    size: tuple[float, float, float]
    """Width (local x), depth (local y), height (z), metres."""
    yaw_deg: float
    """Rotation about z, degrees."""

    def rotation(self) -> np.ndarray:
        """(3, 3) local-to-world rotation; its columns are the box's axes."""
        c, s = np.cos(np.radians(self.yaw_deg)), np.sin(np.radians(self.yaw_deg))
        return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])

    def corners(self) -> np.ndarray:
        """(8, 3) corners of the box in the world."""
        signs = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
        return (signs * self.size) @ self.rotation().T + self.center


@dataclass(frozen=True)
class Doorway:
    """An opening, without a leaf, in the wall that two rooms share."""

    start: tuple[float, float]
    end: tuple[float, float]
    height: float


@dataclass(frozen=True)
class World:
    """A room or a flat with its things."""

    world_id: str
    seed: int
    rooms: tuple[tuple[tuple[float, float], ...], ...]
    """Simple rectilinear polygons, counter-clockwise, metres. Rooms of a flat share walls of no thickness."""
    height: float
    """Of the ceiling, metres."""
    things: tuple[Thing, ...]
    scene_type: str
    """bedroom | living room | kitchen | bathroom | office | apartment."""
    doorways: tuple[Doorway, ...] = ()
    """Openings between the rooms of a flat."""


def build_world(seed: int, n_objects: tuple[int, int] = (15, 40), shape: str | None = None) -> World:
    """A furnished world drawn from `seed`: the same arguments give the same world.

    Between `n_objects[0]` and `n_objects[1]` things stand, hang or lie in rooms of one of `floorplan.SHAPES`
    (drawn if None; "flat" has several rooms). No two boxes intersect, and the floor stays connected for a person of
    0.3 m radius. Raises ValueError for an unknown shape or an impossible number.
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
        chances = np.array([0.45, 0.25, 0.15 * (n >= 18), 0.2 * (n >= 22)])
        shape = SHAPES[int(rng.choice(len(SHAPES), p=chances / chances.sum()))]
    mix = [THEMES[k] for k in rng.permutation(len(THEMES))]
    # A single room is lived in: what does not fit its main theme comes from a second one.
    themes = tuple(mix) if shape == "flat" else (mix[0], mix[1])
    counts = draw_inventory(rng, n, themes)
    rooms, openings = draw_rooms(rng, shape, _area(counts) * (1 + 0.12 * attempt))
    height = round(float(rng.uniform(2.45, 2.8)), 2)
    of_rooms = tuple(themes[k % len(themes)] for k in range(len(rooms)))
    furnisher = Furnisher(rng, plan_of(rooms, openings), height, of_rooms)
    for name in sorted(counts, key=lambda name: _turn(KINDS[name])):
        for _ in range(counts[name]):
            furnisher.place(name)
    repeated = [name for name in counts if counts[name] > 1]
    for name in repeated * 2:
        if len(furnisher.placed) < n and [p[0] for p in furnisher.placed].count(name) < KINDS[name].most:
            furnisher.place(name)
    if not low <= len(furnisher.placed) <= high or not _askable(furnisher.placed, n):
        return None
    things = tuple(Thing(k, *item) for k, item in enumerate(furnisher.placed))
    doorways = tuple(Doorway(start, end, OPENING_HEIGHT) for start, end in openings)
    scene_type = "apartment" if shape == "flat" else themes[0]
    return World(f"world{seed:06d}", seed, tuple(rooms), height, things, scene_type, doorways)


def _area(counts: dict[str, int]) -> float:
    """Floor that a household needs, square metres: its footprint with room to walk, and walls to stand at."""
    footprint = wall = 0.0
    for name, n in counts.items():
        kind = KINDS[name]
        width, depth, _ = (np.array(kind.smallest) + kind.largest) / 2
        if kind.spot not in ("top", "hung", "ceiling"):
            footprint += n * (width + 0.15) * (depth + 0.15)
        if kind.spot in ("wall", "edge", "corner"):
            wall += n * (width + 0.1)
    return float(max(11.0, 6.0 + 1.9 * footprint, (1.3 * wall / 4) ** 2))


def _turn(kind: Kind) -> tuple[int, float]:
    """Order of placing: doors, large wall furniture, tables, what stands around, what lies on top, what hangs."""
    if kind.name == "door":
        return (0, 0.0)
    rank = {"wall": 1, "free": 2, "corner": 4, "edge": 5, "top": 6, "hung": 7, "ceiling": 8}[kind.spot]
    return (rank + (kind.name in ("chair", "stool")), -kind.largest[0] * kind.largest[1])


def _askable(placed: list[Placed], n: int) -> bool:
    """Whether questions find something in every dataset: five kinds that occur once, and of the kinds that a dataset
    asks about five in all, three once and one repeatedly. Households of fewer than twelve things are let off."""
    counts = Counter(item[0] for item in placed)
    if n < 12:
        return True
    for dataset in (SCANNET, SCANNETPP, ARKIT):
        asked = [count for kind, count in counts.items() if dataset in KINDS[kind].categories]
        if len(asked) < 5 or asked.count(1) < 3 or max(asked) < 2:
            return False
    return list(counts.values()).count(1) >= 5
