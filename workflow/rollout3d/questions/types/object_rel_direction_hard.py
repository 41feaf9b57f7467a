"""Relative direction, hard: in which quadrant around one a third object is (VSI-Bench)."""

from __future__ import annotations

from rollout3d.questions.types._rel_direction import direction

RANK = 8
PER_SCENE = 20

TYPE = direction("hard")
