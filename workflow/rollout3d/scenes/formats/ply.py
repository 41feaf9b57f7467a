"""Triangle meshes in PLY: the mesh format of all three datasets."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from rollout3d.scenes.reading import ScanError, reading

if TYPE_CHECKING:
    from rollout3d.scenes.formats.packed import PackedPath

_TYPES = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_INTEGERS = frozenset(name for name, code in _TYPES.items() if code[0] in "iu")
_HEADER_BYTES = 1 << 17
_EXTENT_M = 100.0
"""Largest extent of a mesh, metres: one that spans more is in other units, or has damaged coordinates."""
_PADDING = 64
"""Largest number of bytes after the last face that are ignored."""
_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
"""Format in the header -> byte order of NumPy."""


class Mesh(NamedTuple):
    """A triangle mesh."""

    vertices: np.ndarray
    """Vertices (V,3) f64."""
    faces: np.ndarray
    """Faces (F,3) i32."""
    colors: np.ndarray | None
    """Colours (V,3) u8, None for a file without."""


class _Element(NamedTuple):
    """An element of the header."""

    name: str
    size: int
    """Number of its entries."""
    scalars: list[tuple[str, str]]
    """Name and type of each scalar property."""
    lists: list[tuple[str, str, str]]
    """Name, type of the length and type of the entries of each list property."""


def read_ply(path: Path | PackedPath) -> Mesh:
    """Read the triangles of a PLY file; split polygons into fans, and skip other elements.

    Binary (both byte orders) and ASCII. Elements before the faces may have scalars only, as in all known releases.
    Counts are compared with the size of the file before memory is allocated for them. Raises `ScanError` for a
    truncated file, for no vertices, for vertices that are not finite or span more than 100 m, and for faces with the
    index of a vertex that is not there.
    """
    with reading(path):
        data = path.read_bytes()
        order, elements, start = _header(path, data)
        tables = _ascii(data[start:], elements) if order == "" else _binary(data, start, order, elements)
        vertex, faces = tables.get("vertex"), tables.get("face", np.empty((0, 3), np.int32))
        if vertex is None or not len(vertex):
            raise ScanError(path, "no vertices")
        vertices = np.stack([vertex[axis] for axis in "xyz"], axis=1).astype(np.float64)
        if not np.isfinite(vertices).all():
            broken = int((~np.isfinite(vertices).all(axis=1)).sum())
            raise ScanError(path, f"{broken} of {len(vertices)} vertices are not finite")
        extent = float(np.ptp(vertices, axis=0).max())
        if extent > _EXTENT_M:
            raise ScanError(path, f"the mesh spans {extent:.4g} m: not in metres, or damaged")
        if len(faces) and not (faces.min() >= 0 and faces.max() < len(vertices)):
            stray = faces.min() if faces.min() < 0 else faces.max()
            raise ScanError(path, f"faces name vertex {stray}, the file has {len(vertices)}")
        colors = None
        if {"red", "green", "blue"} <= set(vertex.dtype.names or ()):
            colors = np.stack([vertex[c] for c in ("red", "green", "blue")], axis=1)
            if colors.dtype.kind not in "iu":  # some tools write 0..1
                colors = np.rint(255 * np.nan_to_num(colors))
            colors = np.clip(colors, 0, 255).astype(np.uint8)
        return Mesh(vertices, faces, colors)


def check_ply(path: Path) -> None:
    """Raise ScanError for a file that is no PLY, or too short for the counts in its header; nothing else is read."""
    with reading(path), open(path, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        order, elements, at = _header(path, file.read(_HEADER_BYTES), size)
        for element in elements:
            each = sum(np.dtype(code).itemsize for _, code in element.scalars)
            # A list may be empty; those of faces have at least three entries.
            entries = 3 if element.name == "face" else 0
            each += sum(np.dtype(n).itemsize + entries * np.dtype(code).itemsize for _, n, code in element.lists)
            at += element.size * (each if order else 2)
        if at > size:
            raise ScanError(path, f"truncated: {size} bytes, at least {at} by its header; download it again")


def _header(path: Path | PackedPath, data: bytes, size: int | None = None) -> tuple[str, list[_Element], int]:
    """Return byte order ("" = ASCII), elements and end of the header; `size`: of the file, if `data` is its start."""
    size = len(data) if size is None else size
    end = data.find(b"end_header", 0, 65536)
    if not data.startswith(b"ply") or end < 0:
        raise ScanError(path, "not a PLY file")
    start = data.index(b"\n", end) + 1
    order, elements = None, []
    for line in data[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        if words[:1] == ["format"]:
            order = _ORDER[words[1]]
        elif words[:1] == ["element"]:
            elements.append(_Element(words[1], int(words[2]), [], []))
            # An entry takes at least one byte, in ASCII and in binary.
            if not 0 <= elements[-1].size <= size:
                raise ScanError(path, f"claims {words[2]} of '{words[1]}', more than its {size} bytes can hold")
        elif words[:2] == ["property", "list"]:
            if not {words[2], words[3]} <= _INTEGERS:
                raise ScanError(path, f"a PLY list of {words[3]} counted in {words[2]}: integers are expected")
            elements[-1].lists.append((words[4], _TYPES[words[2]], _TYPES[words[3]]))
        elif words[:1] == ["property"]:
            elements[-1].scalars.append((words[2], _TYPES[words[1]]))
    if order is None:
        raise ScanError(path, "a PLY header without format")
    return order, elements, start


def _binary(data: bytes, start: int, order: str, elements: list[_Element]) -> dict[str, np.ndarray]:
    tables: dict[str, np.ndarray] = {}
    for element in elements:
        if not element.lists:
            dtype = np.dtype([(name, order + code) for name, code in element.scalars])
            if start + element.size * dtype.itemsize > len(data):
                raise ValueError(f"truncated: {element.size} of '{element.name}' do not fit into the file")
            tables[element.name] = np.frombuffer(data, dtype, element.size, start)
            start += element.size * dtype.itemsize
        elif element.name == "face":
            tables["face"], start = _binary_faces(data, start, order, element)
            if element is elements[-1] and len(data) - start > _PADDING:
                raise ValueError(f"holds {len(data) - start} bytes behind its last face: counts or data are damaged")
            break  # elements after the faces are not needed
        else:
            raise ValueError(f"PLY element '{element.name}' with lists before the faces")
    return tables


def _binary_faces(data: bytes, start: int, order: str, element: _Element) -> tuple[np.ndarray, int]:
    """Return triangles (K,3) and the position after the last face."""
    fields = _face_fields(element)
    name, count_code, index_code = fields
    if not element.size:
        return np.empty((0, 3), np.int32), start
    if len(element.lists) == 1:
        # In all known releases every face is a triangle, so that the block is one array.
        triangle = [("n", order + count_code), ("v", order + index_code, (3,))]
        dtype = np.dtype(triangle + [(n, order + c) for n, c in element.scalars])
        if start + element.size * dtype.itemsize <= len(data):
            block = np.frombuffer(data, dtype, element.size, start)
            if (block["n"] == 3).all():
                return block["v"].astype(np.int32), start + element.size * dtype.itemsize
    if element.scalars:
        raise ValueError("PLY faces that are not all triangles and have further numbers")
    offsets, sizes = array("q"), array("q")
    for _ in range(element.size):
        for n, count, index in element.lists:
            here = start + np.dtype(count).itemsize
            if here > len(data):
                raise ValueError(f"truncated: {element.size} faces do not fit into the file")
            size = int(np.frombuffer(data, order + count, 1, start)[0])
            start = here + size * np.dtype(index).itemsize
            if not here <= start <= len(data):
                raise ValueError(f"a face of {size} vertices does not fit into the file")
            if n == name:
                offsets.append(here)
                sizes.append(size)
    raw, dtype = np.frombuffer(data, np.uint8), np.dtype(order + index_code)
    at, length = np.asarray(offsets), np.asarray(sizes)
    fans = (_fans(raw[at[length == n, None] + np.arange(n * dtype.itemsize)].view(dtype)) for n in np.unique(length))
    return _joined(fans), start


def _ascii(body: bytes, elements: list[_Element]) -> dict[str, np.ndarray]:
    lines = body.decode("ascii", "replace").split("\n")
    tables: dict[str, np.ndarray] = {}
    start = 0
    for element in elements:
        block = [line.split() for line in lines[start : start + element.size]]
        start += element.size
        if len(block) < element.size:
            raise ValueError("truncated")
        if element.name == "face" and element.lists:
            _face_fields(element)
            if any(int(words[0]) != len(words) - 1 for words in block):
                raise ValueError("a face with more or fewer vertices than it states")
            by_size: dict[int, list[list[str]]] = {}
            for words in block:
                by_size.setdefault(len(words) - 1, []).append(words[1:])
            tables["face"] = _joined(_fans(np.array(rows, np.int64)) for rows in by_size.values())
        elif not element.lists:
            n = len(element.scalars)
            tables[element.name] = np.array(
                [tuple(map(float, words[:n])) for words in block], np.dtype(element.scalars)
            )
    if elements and any(line.strip() for line in lines[start:]):
        raise ValueError(f"holds lines behind its last '{elements[-1].name}': counts or data are damaged")
    return tables


def _face_fields(element: _Element) -> tuple[str, str, str]:
    for fields in element.lists:
        if fields[0] in ("vertex_indices", "vertex_index"):
            return fields
    raise ValueError("PLY faces without vertex_indices")


def _fans(polygons: np.ndarray) -> np.ndarray:
    """Return the triangles (K,3) of polygons (P,N) with N corners each; none for fewer than three corners."""
    if polygons.shape[1] < 3:
        return np.empty((0, 3), np.int64)
    first = np.broadcast_to(polygons[:, :1], polygons[:, 2:].shape)
    return np.stack([first, polygons[:, 1:-1], polygons[:, 2:]], axis=2).reshape(-1, 3)


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty((0, 3), np.int32), *(part.astype(np.int32) for part in parts)])
