"""Errors that a user can correct."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Base of every error whose message is for the user: what is wrong, where, and what to do.

    The command line prints the message alone and ends with `status` (`reported`); any other exception is a fault of the
    code and keeps its traceback.
    """

    status: int = 1
    """Exit status of a command that ends with this error."""


class InvalidInput(UserError, ValueError):
    """Files, tables or values that do not fit together; the message names them and the remedy."""


@contextmanager
def reported() -> Iterator[None]:
    """Print a UserError as one message and raise SystemExit with its status; usable as a decorator, `@reported()`."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.status) from None
