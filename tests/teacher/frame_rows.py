"""Frames for the tests of requests to a teacher or judge."""

from __future__ import annotations

from typing import Any


def frame_rows(even: str, odd: str) -> list[dict[str, Any]]:
    """Ten frames of scene0000_00, by turns of two samplings; the bytes of frame i are b"jpeg<i>"."""
    return [
        {
            "scene_id": "scene0000_00",
            "frame_index": i,
            "timestamp_s": i / 10,
            "sets": [odd if i % 2 else even],
            "image": {"bytes": b"jpeg%d" % i, "path": f"{i}.jpg"},
            "width": 160,
            "height": 120,
            "source_width": 160,
            "source_height": 120,
            "K": None,
            "pose": None,
        }
        for i in range(10)
    ]
