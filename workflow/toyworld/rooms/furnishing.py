"""Place things in rooms so that none touches another and the floor stays walkable."""

from __future__ import annotations

import numpy as np

from toyworld.rooms import free_space
from toyworld.rooms.floorplan import CELL, Plan
from toyworld.rooms.vocabulary import CATEGORIES, Category

BODY_RADIUS = 0.3
"""Radius of the disc that must be able to move everywhere, metres: half the width of a person."""
HEAD = 1.9
"""Things whose lower edge is above this do not block the floor, metres."""
GAP = 0.04
"""Smallest distance between neighbours, metres."""
TRIES = 24
"""Proposals per thing; half as many for one that stands on furniture."""

Size = tuple[float, float, float]
"""Width, depth, height, metres."""
Placed = tuple[str, tuple[float, float, float], Size, float]
"""Category, centre, size, yaw in degrees."""


class Furnisher:
    """Fills a floor plan with things, one at a time; `placed` lists those that stand so far."""

    def __init__(self, rng: np.random.Generator, plan: Plan, height: float, themes: tuple[str, ...]) -> None:
        """Start with an empty plan; `height`: of the ceiling, metres; `themes`: scene type of each room."""
        self.rng, self.plan, self.height, self.themes = rng, plan, height, themes
        self.placed: list[Placed] = []
        self.clearance = plan.clearance
        self.boxes = np.zeros((160, 8))
        """(160, 8) boxes of `free_space`, in the order of `placed`."""
        self.zones = np.zeros((80, 8))
        """(80, 8) boxes that stay empty: before openings and doors, and before what hangs on walls."""
        self.n_zones = 0
        lengths = np.hypot(*(plan.walls[:, 2:] - plan.walls[:, :2]).T)
        self.wall_lengths, self.wall_cumulative = lengths, np.cumsum(lengths / lengths.sum())
        areas = np.array([np.ptp(p[:, 0]) * np.ptp(p[:, 1]) for p in plan.polygons])
        self.room_cumulative = np.cumsum(areas / areas.sum())
        for start, end in plan.openings:
            a, b = np.array(start), np.array(end)
            across = np.array([b[1] - a[1], a[0] - b[0]]) / np.hypot(*(b - a))
            self._keep_free((a + b) / 2, np.hypot(*(b - a)) + 0.1, 1.2, across, 0.0, 2.1)

    def place(self, name: str) -> bool:
        """Place one more thing of a category; return whether a try succeeded."""
        category, rng = CATEGORIES[name], self.rng
        width, depth, height = (round(float(v), 3) for v in rng.uniform(category.smallest, category.largest))
        size = (width, depth, height)
        way = getattr(self, f"_{category.spot}")
        for attempt in range(TRIES if category.spot != "top" else TRIES // 2):
            # The first half of the tries insists on a room of a fitting theme.
            picky = attempt < TRIES // 2 and any(theme in category.themes for theme in self.themes)
            found = way(category, size, picky)
            if found and self._accept(category, size, *found):
                return True
        return False

    # Proposals, one method per spot: (room, (x, y), bottom, yaw in degrees) or None.

    def _wall(self, category: Category, size: Size, picky: bool, gap: float = 0.03, bottom: float = 0.0):
        k = int(np.searchsorted(self.wall_cumulative, self.rng.random()))
        k = min(k, len(self.wall_lengths) - 1)
        room, long = int(self.plan.wall_room[k]), self.wall_lengths[k]
        if long < size[0] + 0.1 or (picky and self.themes[room] not in category.themes):
            return None
        x0, y0, x1, y1 = self.plan.walls[k]
        along = np.array([x1 - x0, y1 - y0]) / long
        inward = np.array([-along[1], along[0]])
        # Places near corners are drawn more often, which leaves long stretches for large furniture.
        t = self.rng.beta(0.6, 0.6) * (long - size[0] - 0.1) + size[0] / 2 + 0.05
        at = np.array([x0, y0]) + along * t + inward * (size[1] / 2 + gap)
        return room, at, bottom, float(np.degrees(np.arctan2(inward[0], -inward[1])))

    def _edge(self, category: Category, size: Size, picky: bool):
        found = self._wall(category, size, picky, gap=0.1 + 0.15 * self.rng.random())
        return found and (*found[:3], found[3] + self.rng.uniform(-25, 25))

    def _hung(self, category: Category, size: Size, picky: bool):
        bottom = min(self.rng.uniform(*category.heights), self.height - size[2] - 0.1)
        return self._wall(category, size, picky, gap=0.02, bottom=bottom)

    def _corner(self, category: Category, size: Size, picky: bool):
        if self.rng.random() < 0.4:
            return self._edge(category, size, picky)
        room = self._room()
        polygon = self.plan.polygons[room]
        k = int(self.rng.integers(len(polygon)))
        a, b, c = polygon[k - 1], polygon[k], polygon[(k + 1) % len(polygon)]
        before, after = (a - b) / np.hypot(*(a - b)), (c - b) / np.hypot(*(c - b))
        offset = max(size[:2]) / 2 + 0.12
        return room, b + (before + after) * offset, 0.0, self.rng.uniform(-8, 8)

    def _free(self, category: Category, size: Size, picky: bool):
        if category.name == "table" and self.rng.random() < 0.5:
            return self._wall(category, size, picky, gap=0.05)
        tables = [k for k, item in enumerate(self.placed) if item[0] == "table"]
        if category.name in ("chair", "stool") and tables and self.rng.random() < 0.7:
            return self._beside(tables[int(self.rng.integers(len(tables)))], size)
        room = self._room()
        if picky and self.themes[room] not in category.themes:
            return None
        low, high = self.plan.polygons[room].min(axis=0), self.plan.polygons[room].max(axis=0)
        at = low + (high - low) * self.rng.random(2)
        return room, at, 0.0, 90.0 * self.rng.integers(4) + self.rng.uniform(-12, 12)

    def _beside(self, host: int, size: Size):
        """Propose a place at one of the four sides of a table, facing it."""
        side = self.rng.integers(4)
        _, _, table, yaw = self.placed[host]
        across, along = (1, 0) if side % 2 == 0 else (0, 1)
        out = table[across] / 2 + size[1] / 2 + self.rng.uniform(0.08, 0.22)
        sideways = self.rng.uniform(-0.5, 0.5) * max(table[along] - size[0], 0.0)
        # The front of a thing is -y: on the table's -y side it must look towards +y, hence the turn by 180 degrees.
        turn = 180.0 - 90.0 * side
        local = {0: (sideways, -out), 1: (-out, sideways), 2: (sideways, out), 3: (out, sideways)}[int(side)]
        at = self._to_world(host, local)
        return self._room_at(at), at, 0.0, yaw + turn + self.rng.uniform(-14, 14)

    def _top(self, category: Category, size: Size, picky: bool):
        hosts = [k for k, item in enumerate(self.placed) if item[0] in category.hosts]
        if not hosts:
            return None
        host = hosts[int(self.rng.integers(len(hosts)))]
        _, center, top, yaw = self.placed[host]
        spare = np.array(top[:2]) / 2 - np.array(size[:2]) / 2 - 0.04
        if spare.min() < 0:
            return None
        # Pillows lie at the head, screens stand at the back, keyboards and mice in front of them.
        low, high = {
            "pillow": (0.7, 1.0),
            "monitor": (0.5, 1.0),
            "keyboard": (-1.0, -0.4),
            "computer mouse": (-1.0, -0.2),
        }.get(category.name, (-1.0, 1.0))
        local = (self.rng.uniform(-1, 1) * spare[0], self.rng.uniform(low, high) * spare[1])
        at = self._to_world(host, local)
        return self._room_at(at), at, center[2] + top[2] / 2, yaw + self.rng.uniform(-6, 6)

    def _ceiling(self, category: Category, size: Size, picky: bool):
        room = self._room()
        low, high = self.plan.polygons[room].min(axis=0), self.plan.polygons[room].max(axis=0)
        at = low + (high - low) * self.rng.uniform(0.2, 0.8, 2)
        return room, at, self.height - size[2] - 0.01, 90.0 * self.rng.integers(2)

    # Acceptance.

    def _accept(self, category: Category, size: Size, room: int, at: np.ndarray, bottom: float, yaw: float) -> bool:
        """Place a thing if it fits its room, touches nothing and keeps the floor connected; return whether it does."""
        if room < 0:
            return False
        center = (round(float(at[0]), 3), round(float(at[1]), 3), round(bottom + size[2] / 2, 4))
        yaw = round(float((yaw + 180.0) % 360.0 - 180.0), 2)
        row = free_space.box_row(center, size, yaw)
        n = len(self.placed)
        if not free_space.fits(row, self.plan.polygons[room], 0.008) or free_space.hits(row, self.boxes, n, GAP):
            return False
        blocking = category.spot != "top" and bottom < HEAD
        if blocking and category.spot != "hung" and free_space.hits(row, self.zones, self.n_zones, 0.0):
            return False
        view = None
        if category.spot == "hung" or category.name == "door":
            forward = np.array([row[5], -row[4]])
            view = free_space.box_row((*(at + forward * 0.3), center[2]), (size[0], size[1] + 0.6, size[2]), yaw)
            if free_space.hits(view, self.boxes, n, 0.0) or free_space.hits(row, self.zones, self.n_zones, 0.0):
                return False
        if blocking:
            grid = free_space.add_obstacle(self.clearance, row, self.plan.x0, self.plan.y0, CELL)
            total, largest, _, _ = free_space.free_regions(grid, BODY_RADIUS)
            if largest < total or not self._reaches_all(grid):
                return False
            self.clearance = grid
        if view is not None:
            self.zones[self.n_zones] = view
            self.n_zones += 1
        self.boxes[n] = row
        self.placed.append((category.name, center, size, yaw))
        return True

    def _reaches_all(self, grid: np.ndarray) -> bool:
        """Return whether every room keeps free floor, (rows, cols) `grid` being metres to the nearest obstacle."""
        if len(self.plan.polygons) == 1:
            return bool(grid.max() >= BODY_RADIUS)
        for polygon in self.plan.polygons:
            (i0, j0), (i1, j1) = ((polygon.min(0), polygon.max(0)) - np.array([self.plan.x0, self.plan.y0])) // CELL
            if grid[max(int(j0), 0) : int(j1), max(int(i0), 0) : int(i1)].max() < 2 * BODY_RADIUS:
                return False
        return True

    def _keep_free(self, at, width: float, depth: float, forward: np.ndarray, bottom: float, top: float) -> None:
        yaw = float(np.degrees(np.arctan2(forward[0], -forward[1])))
        row = free_space.box_row((*at, (bottom + top) / 2), (width, depth, top - bottom), yaw)
        self.zones[self.n_zones] = row
        self.n_zones += 1

    def _room(self) -> int:
        return min(int(np.searchsorted(self.room_cumulative, self.rng.random())), len(self.plan.polygons) - 1)

    def _room_at(self, at: np.ndarray) -> int:
        for room, polygon in enumerate(self.plan.polygons):
            if free_space.inside(polygon, at[0], at[1]):
                return room
        return -1

    def _to_world(self, host: int, local: tuple[float, float]) -> np.ndarray:
        x, y, _, _, c, s = self.boxes[host, :6]
        return np.array([x + c * local[0] - s * local[1], y + s * local[0] + c * local[1]])
