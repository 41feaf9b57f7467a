"""Views of a question in evaluation: its own video, or an altered one (a probe); their names in tables."""

from __future__ import annotations

from rollout3d.config.choices import PROBES

VIDEO = "video"
"""The view of a question's own video; the others are the probes (`config.choices.PROBES`)."""


def view_of(setting: str) -> str:
    """Return the view that a setting of the predictions belongs to: settings of a probe begin with its name.

    Of two names with which a setting begins, such as drowned and drowned_context, the longer one counts.
    """
    return max((probe for probe in PROBES if setting.startswith(probe)), key=len, default=VIDEO)


def seen_view(probe: str) -> str:
    """Return the view that is the video's scores minus those with a probe: seen (black frames) or seen_PROBE."""
    return "seen" if probe == "black" else f"seen_{probe}"
