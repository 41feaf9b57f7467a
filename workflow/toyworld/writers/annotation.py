"""Annotations of a world, as a human annotator makes them: raw labels, instances with boxes, over-segmentation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rollout3d.seeding import generator
from toyworld.rendering.mesh import CEILING, FLOOR, WALL, Mesh
from toyworld.rooms.vocabulary import CATEGORIES
from toyworld.rooms.world import Thing, World
from toyworld.writers.placement import moved, yaw_matrix

STRUCTURE = {FLOOR: "floor", WALL: "wall", CEILING: "ceiling"}
"""Thing id of structure -> its label."""

_SIGNS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])

_WALL_PATCH_M = 1.5


@dataclass(frozen=True)
class Box:
    """An oriented box: centre (3,), full side lengths (3,), and unit axes as the rows of `axes` (3, 3)."""

    center: np.ndarray
    size: np.ndarray
    axes: np.ndarray

    def corners(self) -> np.ndarray:
        """Return the eight corners, (8, 3)."""
        return (_SIGNS * self.size) @ self.axes + self.center

    def moved(self, matrix: np.ndarray) -> Box:
        """Return this box in another frame; `matrix`: 4x4 that leads there."""
        return Box(moved(matrix, self.center[None])[0], self.size, self.axes @ matrix[:3, :3].T)


@dataclass(frozen=True)
class Group:
    """One annotated instance: raw label, thing id (negative: structure), indices of mesh vertices, and box."""

    label: str
    thing_id: int
    vertices: np.ndarray
    box: Box


def box_of(thing: Thing) -> Box:
    """Return the oriented box of a thing, world frame."""
    axes = yaw_matrix(thing.yaw_deg)[:3, :3].T
    return Box(np.asarray(thing.center, float), np.asarray(thing.size, float), axes)


def labels_of(world: World, dataset: str, scene_id: str, seed: int) -> dict[int, str | None]:
    """Return the raw label of each thing, by thing id, as a dataset's annotators write it; None = left out.

    Where the vocabulary has several labels, one is drawn per thing.
    """
    labels: dict[int, str | None] = {}
    for thing in world.things:
        words = CATEGORIES[thing.category].labels.get(dataset, ())
        draw = generator(seed, "label", dataset, scene_id, thing.thing_id)
        labels[thing.thing_id] = words[draw.integers(len(words))] if words else None
    return labels


def groups_of(world: World, mesh: Mesh, labels: dict[int, str | None], *, structure: bool) -> list[Group]:
    """Return the labelled instances in the order of their ids, then, with `structure`, floor, wall and ceiling.

    A thing has its own box; structure has the axis-aligned hull of its vertices. World frame.
    """
    groups = []
    for thing in sorted(world.things, key=lambda thing: thing.thing_id):
        label = labels[thing.thing_id]
        if label is not None:
            vertices = np.flatnonzero(mesh.thing_ids == thing.thing_id)
            groups.append(Group(label, thing.thing_id, vertices, box_of(thing)))
    if structure:
        for thing_id, label in STRUCTURE.items():
            vertices = np.flatnonzero(mesh.thing_ids == thing_id)
            if len(vertices):
                groups.append(Group(label, thing_id, vertices, hull(mesh.vertices[vertices])))
    return groups


def with_oddities(groups: list[Group], mesh: Mesh, patches: np.ndarray, labels: dict[int, str]) -> list[Group]:
    """Make one patch of each structure in `labels` an instance of its own, as releases have them.

    `patches` is `segments_of(mesh)`; `labels` maps a structure's thing id to the label of its patch, such as
    {WALL: "remove"}. A structure with a single patch stays whole.
    """
    kept, cut = [], []
    for group in groups:
        patch = group.vertices[patches[group.vertices] == patches[group.vertices[-1]]]
        if group.thing_id in labels and len(patch) < len(group.vertices):
            rest = np.setdiff1d(group.vertices, patch)
            kept.append(Group(group.label, group.thing_id, rest, hull(mesh.vertices[rest])))
            cut.append(Group(labels[group.thing_id], group.thing_id, patch, hull(mesh.vertices[patch])))
        else:
            kept.append(group)
    return kept + cut


def hull(points: np.ndarray) -> Box:
    """Return the axis-aligned box of points (N, 3)."""
    low, high = points.min(axis=0), points.max(axis=0)
    return Box((low + high) / 2, high - low, np.eye(3))


def segments_of(mesh: Mesh) -> np.ndarray:
    """Return an over-segmentation (V,): no segment crosses an instance; things have two or three, walls many.

    Things are cut across their longest side, structure into patches of 1.5 m. A segment's number is the index of its
    first vertex, as union-find gives it: numbers are neither small nor consecutive.
    """
    segments = np.full(len(mesh.vertices), -1, dtype=np.int64)
    for thing_id in np.unique(mesh.thing_ids):
        members = np.flatnonzero(mesh.thing_ids == thing_id)
        points = mesh.vertices[members]
        spread = np.ptp(points, axis=0)
        if thing_id < 0:
            _, part = np.unique(np.floor(points / _WALL_PATCH_M), axis=0, return_inverse=True)
            part = part.reshape(-1)
        else:
            pieces, along = 2 + int(thing_id) % 2, points[:, np.argmax(spread)]
            part = np.minimum((along - along.min()) / max(spread.max(), 1e-9) * pieces, pieces - 1).astype(int)
        for number in np.unique(part):
            piece = members[part == number]
            segments[piece] = piece[0]
    return segments
