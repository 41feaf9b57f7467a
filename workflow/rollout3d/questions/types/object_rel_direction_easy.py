"""Relative direction, easy: left or right of what one faces a third object is (VSI-Bench)."""

from __future__ import annotations

from rollout3d.questions.types._rel_direction import direction

RANK = 6
PER_SCENE = 20

TYPE = direction("easy")
