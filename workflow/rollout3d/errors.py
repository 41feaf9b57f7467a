"""Errors that a user can mend."""

from __future__ import annotations


class UserError(Exception):
    """Base of every error whose message is for the user: what is wrong, where, and what to do.

    The command line prints the message alone and ends with status 1; any other exception is a fault of the code and
    keeps its traceback.
    """
