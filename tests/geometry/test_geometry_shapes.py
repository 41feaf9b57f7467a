"""Annotations of shapes: every array of geometry has one, and the checks of `conftest.shapes` refuse other shapes."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rollout3d
from rollout3d.geometry import raster
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.camera import project, resize_intrinsics
from shapes import WRONG


def test_every_array_has_a_shape(shapes):
    shaped = re.compile(r"\w+\[(np\.ndarray|ArrayLike), '[^']*'\]")
    bare = []
    for module in shapes:
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.FunctionDef):
                notes = [node.returns, *(each.annotation for each in ast.walk(node.args) if isinstance(each, ast.arg))]
                texts = [ast.unparse(note) for note in notes if note is not None]
                bare += [node.name for text in texts if re.search("ndarray|ArrayLike", shaped.sub("", text))]
    # valid_pose is a test of any array; the others take functions that return a depth picture.
    assert sorted(bare) == ["first_appearances", "sightings", "valid_pose"]


def test_other_shapes_are_refused():
    K, pose = np.eye(3), np.eye(4)
    assert project(K, pose, [[0, 0, 1]])[0].tolist() == [[0, 0]]
    with pytest.raises(WRONG):
        project(K, pose, np.zeros((5, 2)))
    with pytest.raises(WRONG):
        project(pose, pose, [[0, 0, 1]])
    with pytest.raises(WRONG):
        resize_intrinsics([1.0, 2.0], (4, 4), (2, 2))
    with pytest.raises(WRONG):
        OrientedBox(np.zeros(3), np.ones(3), np.eye(3)).contains(np.zeros(3))
    with pytest.raises(WRONG):
        raster.rasterise(np.zeros((3, 3)), np.zeros((1, 4), int), K, pose, 4, 4)


def test_importing_geometry_imports_no_checker_of_types(shapes):
    names = ", ".join(module.__name__ for module in shapes)
    code = f"import sys, {names}; sys.exit(bool({{'jaxtyping', 'beartype', 'torch', 'open3d'}} & set(sys.modules)))"
    path = str(Path(rollout3d.__file__).parents[1])
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": path}).returncode == 0
