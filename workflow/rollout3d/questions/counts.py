"""Numbers of VSI-Bench's released questions, which check a download and are a mix of training questions."""

from __future__ import annotations

from collections.abc import Mapping

BENCHMARK: Mapping[str, int] = {
    "object_counting": 565,
    "object_size_estimation": 953,
    "room_size_estimation": 288,
    "object_abs_distance": 834,
    "object_rel_distance": 710,
    "object_rel_direction_easy": 217,
    "object_rel_direction_medium": 378,
    "object_rel_direction_hard": 373,
    "obj_appearance_order": 618,
    "route_planning": 194,
}
"""Released questions per question type."""
