"""Small meshes that the geometry tests share."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module

import numpy as np
import pytest

from shapes import annotated, checked

NAMES = ("agreement", "boxes", "camera", "distance", "masks", "raster", "room", "sightings", "topdown", "visibility")
MODULES = [import_module(f"rollout3d.geometry.{name}") for name in NAMES]


@pytest.fixture(scope="module", autouse=True)
def shapes(request):
    """Check shapes of arguments and results in every function of geometry while a file's tests run; its modules."""
    with pytest.MonkeyPatch.context() as patch:
        for module in MODULES:
            classes = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__]
            for owner in (module, *classes):
                for name, function in list(annotated(module, owner)):
                    if name == "__init__" and is_dataclass(owner):
                        continue  # it converts lists
                    check = checked(module, function)
                    patch.setattr(owner, name, check)
                    for user in (*MODULES, request.module) if owner is module else ():
                        if vars(user).get(name) is function:
                            patch.setattr(user, name, check)
        yield MODULES


@dataclass
class MeshBuilder:
    """Collects coloured quads and boxes into one triangle mesh."""

    corners: list[np.ndarray] = field(default_factory=list)
    triangles: list[np.ndarray] = field(default_factory=list)
    paint: list[np.ndarray] = field(default_factory=list)

    def quad(self, a, b, c, d, color=(128, 128, 128), spacing=None) -> MeshBuilder:
        """A parallelogram a-b-c-d, as two triangles or as a grid with vertices at most `spacing` apart."""
        a, b, d = (np.asarray(p, float) for p in (a, b, d))
        n, m = (1, 1) if spacing is None else (max(1, int(np.ceil(np.linalg.norm(e - a) / spacing))) for e in (b, d))
        s, t = np.meshgrid(np.linspace(0, 1, n + 1), np.linspace(0, 1, m + 1), indexing="ij")
        points = a + s.reshape(-1, 1) * (b - a) + t.reshape(-1, 1) * (d - a)
        index = np.arange((n + 1) * (m + 1)).reshape(n + 1, m + 1) + sum(map(len, self.corners))
        p, q, r, u = (i.ravel() for i in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
        self.corners.append(points)
        self.triangles.append(np.vstack([np.stack([p, q, r], 1), np.stack([p, r, u], 1)]))
        self.paint.append(np.tile(np.array(color, np.uint8), (len(points), 1)))
        return self

    def box(self, low, high, color=(128, 128, 128), spacing=None) -> MeshBuilder:
        (x, y, z), (X, Y, Z) = low, high
        for a, b, c, d in (
            [(x, y, z), (X, y, z), (X, Y, z), (x, Y, z)],
            [(x, y, Z), (X, y, Z), (X, Y, Z), (x, Y, Z)],
            [(x, y, z), (X, y, z), (X, y, Z), (x, y, Z)],
            [(x, Y, z), (X, Y, z), (X, Y, Z), (x, Y, Z)],
            [(x, y, z), (x, Y, z), (x, Y, Z), (x, y, Z)],
            [(X, y, z), (X, Y, z), (X, Y, Z), (X, y, Z)],
        ):
            self.quad(a, b, c, d, color, spacing)
        return self

    @property
    def vertices(self) -> np.ndarray:
        return np.vstack(self.corners)

    @property
    def faces(self) -> np.ndarray:
        return np.vstack(self.triangles)

    @property
    def colors(self) -> np.ndarray:
        return np.vstack(self.paint)


@pytest.fixture
def mesh() -> MeshBuilder:
    """An empty mesh to build on."""
    return MeshBuilder()


@pytest.fixture
def room() -> MeshBuilder:
    """A 6 x 4 m room with its lower corner at (1, 2), 2.5 m high, with floor, walls and ceiling."""
    builder = MeshBuilder()
    builder.quad((1, 2, 0), (7, 2, 0), (7, 6, 0), (1, 6, 0), (180, 150, 110), spacing=0.1)
    builder.quad((1, 2, 2.5), (7, 2, 2.5), (7, 6, 2.5), (1, 6, 2.5), (250, 250, 250), spacing=0.1)
    for a, b in (((1, 2), (7, 2)), ((7, 2), (7, 6)), ((7, 6), (1, 6)), ((1, 6), (1, 2))):
        builder.quad((*a, 0), (*b, 0), (*b, 2.5), (*a, 2.5), (220, 220, 230), spacing=0.1)
    return builder
