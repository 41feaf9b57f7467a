"""Relative direction, medium: to one's left, right or back a third object is (VSI-Bench)."""

from __future__ import annotations

from rollout3d.questions.types._rel_direction import direction

RANK = 7
PER_SCENE = 20

TYPE = direction("medium")
