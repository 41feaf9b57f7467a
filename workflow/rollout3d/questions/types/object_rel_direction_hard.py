"""Relative direction, hard: in which quadrant around one a third object is (VSI-Bench)."""

from __future__ import annotations

from rollout3d.questions.types._rel_direction import direction

TYPE = direction("hard", rank=8, per_scene=20)
