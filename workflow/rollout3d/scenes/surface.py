"""Sample points evenly over the faces of a mesh, for meshes with unevenly spaced vertices."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_LARGEST_M2 = 20_000.0
"""Largest surface of a room, m2: a mesh with more has damaged faces."""


class Samples(NamedTuple):
    """Points sampled on the faces of a mesh."""

    points: np.ndarray
    """Points (N,3), metres."""
    vertex: np.ndarray
    """Index (N,) of the nearest corner of each point's face."""
    colors: np.ndarray | None
    """Colours (N,3) u8, None for a mesh without."""


def sample_surface(
    vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray | None, spacing_m: float, rng: np.random.Generator
) -> Samples:
    """Sample one point per `spacing_m` squared of surface on average, uniform over each face; interpolate colours.

    The number of points of a face is its area divided by the spacing squared, rounded up or down at random without
    bias. Raises ValueError for more surface than a room can have, before points fill the memory.
    """
    areas = face_areas(vertices, faces)
    if not areas.sum() <= _LARGEST_M2:
        raise ValueError(f"a mesh with {areas.sum():.4g} m2 of surface: its faces are damaged")
    counts = np.floor(areas / spacing_m**2 + rng.random(len(faces))).astype(np.int64)
    face = np.repeat(np.arange(len(faces)), counts)
    weights = rng.random((len(face), 2))
    # Fold the unit square onto the triangle: uniform, with one draw per point.
    weights = np.where(weights.sum(axis=1, keepdims=True) > 1, 1 - weights, weights)
    weights = np.column_stack([1 - weights.sum(axis=1), weights])
    points = np.einsum("nk,nkd->nd", weights, vertices[faces[face]])
    mixed = None
    if colors is not None:
        mixed = np.rint(np.einsum("nk,nkd->nd", weights, colors[faces[face]].astype(np.float64))).astype(np.uint8)
    return Samples(points, faces[face, weights.argmax(axis=1)], mixed)


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the area (F,) of each face, m2."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def vertex_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Return the surface (V,) of each vertex, m2: a third of each of its faces; 0 for points that no face uses."""
    third = np.repeat(face_areas(vertices, faces) / 3, 3)
    return np.bincount(faces.ravel(), weights=third, minlength=len(vertices))


def point_spacing(areas: np.ndarray, index: np.ndarray) -> float:
    """Return the typical distance of neighbouring points, metres: the square root of the surface per point.

    `areas`: `vertex_areas` of the mesh; `index`: the points. Points that were added on the faces count too, so the
    result holds for a mesh with samples. 0 for points without surface.
    """
    return float(np.sqrt(areas[index].sum() / max(len(index), 1)))
