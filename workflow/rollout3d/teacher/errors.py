"""Errors of paid models: one request failed, or no further request may be sent."""

from __future__ import annotations

import os

from rollout3d.errors import UserError

KEY_VARIABLE = "OPENAI_API_KEY"


class TeacherError(RuntimeError):
    """One request failed for good; others may still succeed."""


class TeacherRefused(UserError, RuntimeError):
    """No further request may be sent: no key, no money, a spending limit, or a server that answers none."""


class BadReply(ValueError):
    """The server answered with status 200 and something that is no chat completion."""


def api_key() -> str | None:
    """Return the key from the environment, None if there is none.

    Raises TeacherRefused for one that no server could accept: HTTP libraries show a header that they refuse to send in
    their errors.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not all("!" <= character <= "~" for character in key):
        raise TeacherRefused(f"{KEY_VARIABLE} holds characters that no key has, such as a space or a line break")
    return key or None
