"""The format part: a completion must be `<think>..</think> <answer>..</answer>` and nothing else."""

from __future__ import annotations

from rollout3d.scoring.parse import well_formed


def well_formedness(text: str) -> float:
    """Return 1 or 0, by Video-R1's rule: white space or text outside the tags is malformed."""
    return float(well_formed(text))
