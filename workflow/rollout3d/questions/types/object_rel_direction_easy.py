"""Relative direction, easy: left or right of what one faces a third object is (VSI-Bench)."""

from __future__ import annotations

from rollout3d.questions.types._rel_direction import direction

TYPE = direction("easy", rank=6, per_scene=20)
