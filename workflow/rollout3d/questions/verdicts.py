"""What a judge's verdict means for a question."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAILED = "not judged"
"""How the reason begins where no verdict could be had."""


def refuses(verdict: Mapping[str, Any], question: Mapping[str, Any]) -> bool:
    """Return whether a VERDICTS row removes its question.

    An imported question needs a verdict in its favour. Of generated ones only a sample is judged: one without a verdict
    is as good as those that nobody asked about.
    """
    if verdict["keep"]:
        return False
    return question["source"] != "generated" or not verdict["reason"].startswith(FAILED)
