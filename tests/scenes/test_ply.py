"""Meshes."""

import struct

import numpy as np
import pytest

from rollout3d.scenes.formats.ply import read_ply
from rollout3d.scenes.reading import ScanError
from scenes import mini

VERTICES = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0.5]], np.float32)
FACES = np.array([[0, 1, 2], [0, 2, 3]])
COLORS = np.array([[1, 2, 3], [40, 50, 60], [255, 0, 9], [7, 8, 250]])


def save(tmp_path, data):
    path = tmp_path / "mesh.ply"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("alpha", [True, False])
def test_binary_triangles(tmp_path, alpha):
    mesh = read_ply(save(tmp_path, mini.ply_bytes(VERTICES, FACES, COLORS, alpha)))
    assert np.array_equal(mesh.vertices, VERTICES) and mesh.vertices.dtype == np.float64
    assert np.array_equal(mesh.faces, FACES) and np.array_equal(mesh.colors, COLORS)


def test_ascii_polygons_become_fans_and_colors_are_optional(tmp_path):
    text = "ply\nformat ascii 1.0\ncomment made by hand\nelement vertex 4\nproperty float x\nproperty float y\n"
    text += "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
    text += "\n".join(" ".join(map(str, v)) for v in VERTICES) + "\n4 0 1 2 3\n"
    mesh = read_ply(save(tmp_path, text.encode()))
    assert np.array_equal(mesh.vertices, VERTICES) and mesh.colors is None
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_big_endian_doubles_normals_and_mixed_polygons(tmp_path):
    header = "ply\nformat binary_big_endian 1.0\nelement vertex 4\nproperty double x\nproperty double y\n"
    header += "property double z\nproperty float nx\nproperty ushort label\n"
    header += "element face 2\nproperty list uint8 uint32 vertex_index\nend_header\n"
    body = b"".join(struct.pack(">3dfH", *map(float, v), 0.5, 7) for v in VERTICES)
    body += struct.pack(">B3I", 3, 0, 1, 2) + struct.pack(">B4I", 4, 0, 1, 2, 3)
    mesh = read_ply(save(tmp_path, header.encode() + body))
    assert np.array_equal(mesh.vertices, VERTICES)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("damage", ["cut in the vertices", "cut in the faces", "stray index", "not a mesh", "nan"])
def test_damage_is_named(tmp_path, damage):
    vertices, faces = VERTICES.copy(), FACES.copy()
    if damage == "stray index":
        faces[1, 2] = 4
    if damage == "nan":
        vertices[2, 1] = np.nan
    data = mini.ply_bytes(vertices, faces, COLORS)
    start = data.index(b"end_header\n") + 11
    cuts = {"cut in the vertices": start + 30, "cut in the faces": len(data) - 3, "not a mesh": 0}
    with pytest.raises(ScanError, match=r"mesh\.ply"):
        read_ply(save(tmp_path, data[: cuts.get(damage, len(data))]))


@pytest.mark.parametrize(("count", "behind"), [(0, 2 * 13 * 50), (40, 13 * 60), (99, 13)])
def test_more_faces_than_the_header_states_are_damage(tmp_path, count, behind):
    """A forged count would lose them in silence; a few bytes of padding are nothing."""
    many = np.tile(FACES, (50, 1))
    data = mini.ply_bytes(VERTICES, many, COLORS)
    path = save(tmp_path, data.replace(b"element face 100", f"element face {count}".encode()))
    if behind <= 64:
        assert len(read_ply(path).faces) == count
        return
    with pytest.raises(ScanError, match=f"holds {behind} bytes behind its last face"):
        read_ply(path)


def test_more_lines_than_an_ascii_header_states_are_damage(tmp_path):
    text = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    text += "element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    assert len(read_ply(save(tmp_path, (text + "\n\n").encode())).faces) == 1
    with pytest.raises(ScanError, match="lines behind its last 'face'"):
        read_ply(save(tmp_path, (text + "3 0 2 1\n").encode()))
