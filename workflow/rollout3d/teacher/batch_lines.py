"""Read lines of the output file and the error file of a batch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rollout3d.teacher.sending import NO_MONEY

_UNANSWERED = ("batch_expired", "batch_cancelled")
"""Codes of requests that were not run: nothing was paid, and they may be sent again."""
STOPS = NO_MONEY | {"invalid_api_key", "model_not_found"}
"""Codes that every further request would meet too."""


@dataclass(frozen=True)
class Line:
    """Outcome of one request: a `completion`, or an `error`.

    `again`: the request may be sent once more. `stops`: the error is about the account or the model, so that no further
    request can succeed.
    """

    digest: str
    completion: dict[str, Any] | None = None
    error: str = ""
    again: bool = False
    stops: bool = False


def read_line(line: str | bytes) -> Line | None:
    """Read one line; None if it is damaged."""
    try:
        row = json.loads(line)
        digest, response, error = row["custom_id"], row.get("response"), row.get("error")
        if not isinstance(digest, str):
            return None
        if response is None:
            code = (error or {}).get("code") or "no answer"
            message = (error or {}).get("message") or code
            return Line(digest, error=f"{code}: {message}", again=code in _UNANSWERED, stops=code in STOPS)
        status, body = int(response["status_code"]), response["body"]
        if status == 200 and isinstance(body, dict):
            return Line(digest, completion=body)
        problem = body.get("error") if isinstance(body, dict) else None
        problem = problem if isinstance(problem, dict) else {"message": str(body)[:200]}
        code = problem.get("code") or ""
        text = f"status {status}: {problem.get('message') or code}"
        stops = code in STOPS or status in (401, 403)
        return Line(digest, error=text, again=not stops and (status in (408, 409, 429) or status >= 500), stops=stops)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
