"""A tiny policy with random weights, and pictures to show it."""

import cv2
import numpy as np
import pytest
import torch

from blank_map import blank_map
from rollout3d import tables
from rollout3d.config import Video as VideoConfig
from toyworld.model.architecture import build_tiny


def sharpen(policy, factor=4.0):
    """Random weights of 0.02 give nearly uniform outputs; larger ones make every input matter."""
    with torch.no_grad():
        for weight in policy.model.parameters():
            if weight.ndim > 1:
                weight.mul_(factor)
    return policy


@pytest.fixture(scope="session")
def policy(tokenizer):
    return sharpen(build_tiny(tokenizer, seed=1, hidden=64, layers=2, vision_hidden=64))


@pytest.fixture(scope="session")
def true_time_policy(tokenizer):
    video = VideoConfig(time_mode="true")
    return sharpen(build_tiny(tokenizer, seed=1, hidden=64, layers=2, vision_hidden=64, video=video))


@pytest.fixture
def frames():
    """Frames (n, height, width, 3) of noise, the same for the same arguments."""

    def make(n=4, height=56, width=84, seed=0):
        return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def question():
    """A row of `tables.QUESTIONS` about a scene, with changes."""

    def make(**changes):
        row = {
            "question_id": "q",
            "scene_id": "room",
            "space_id": "room",
            "split": "train",
            "dataset": "scannet",
            "question_type": "object_counting",
            "answer_type": "number",
            "question": "How many chair(s) are in this room?",
            "options": None,
            "ground_truth": "3",
            "objects": [],
            "media": None,
            "source": "generated",
            "evidence": "{}",
        }
        return row | changes

    return make


def encode(picture, kind=".png"):
    return cv2.imencode(kind, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes()


@pytest.fixture
def write_frames(tmp_path):
    """Write a frames table; `scenes` maps a scene to (frame_index, sets, picture) in any order.

    `source`: (height, width) of the video, where it is not that of the pictures.
    """

    def write(scenes, name="frames.parquet", source=None):
        rows = [
            {
                "scene_id": scene,
                "frame_index": index,
                "timestamp_s": index / 10,
                "sets": sets,
                "image": {"bytes": encode(picture), "path": None},
                "width": picture.shape[1],
                "height": picture.shape[0],
                "source_width": source[1] if source else picture.shape[1],
                "source_height": source[0] if source else picture.shape[0],
                "K": None,
                "pose": None,
            }
            for scene, frames in scenes.items()
            for index, sets, picture in frames
        ]
        tables.write(tables.FRAMES, tmp_path / name, rows, tables.Lineage("test"))
        return tmp_path / name

    return write


@pytest.fixture
def write_maps(tmp_path):
    """Write a maps table; `views` maps a scene to its top view."""

    def write(views):
        rows = [blank_map(scene, encode(view)) for scene, view in views.items()]
        tables.write(tables.MAPS, tmp_path / "maps.parquet", rows, tables.Lineage("test"))
        return tmp_path / "maps.parquet"

    return write


@pytest.fixture
def encoded():
    """A picture as PNG bytes."""
    return encode
