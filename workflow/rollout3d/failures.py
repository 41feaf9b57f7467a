"""Shorter messages of Snakemake about a failed job: the last lines of its log in place of its command.

Snakemake prints the command of a failed job twice, and with `show-failed-logs` the whole log. A filter on its logger
rewrites these messages before any handler formats them, with every profile.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

LINES = 25
"""Lines of a log that are shown."""
TAIL_BYTES = 64_000
"""Bytes at a log's end that are searched for them."""

_COMMAND = re.compile(r"Command '.*' (returned non-zero exit status|died with)", re.S)


class ShortFailures(logging.Filter):
    """Shorten Snakemake's messages about failed jobs; every record passes."""

    def filter(self, record: logging.LogRecord) -> bool:
        event = getattr(getattr(record, "event", None), "value", getattr(record, "event", None))
        if event == "job_error":
            tail = last_lines(getattr(record, "log", None) or [])
            if tail:
                record.aux = {**(getattr(record, "aux", None) or {}), "last lines of its log": tail}
                record.shellcmd = None
        elif event == "error" and isinstance(record.msg, str):
            record.msg = _COMMAND.sub(r"The job's command \1", record.msg)
        return True


def install(logger: logging.Logger) -> None:
    """Add the filter to Snakemake's logger, once."""
    if not any(isinstance(found, ShortFailures) for found in logger.filters):
        logger.addFilter(ShortFailures())


def last_lines(logs: Iterable[str | Path], count: int = LINES) -> str:
    """The last `count` lines of the first log that holds any, indented, under its name; "" if there is none."""
    for log in logs:
        try:
            with open(log, "rb") as stream:
                stream.seek(0, 2)
                stream.seek(max(0, stream.tell() - TAIL_BYTES))
                # A progress bar rewrites its line after a carriage return: its last state counts.
                text = stream.read().decode("utf-8", errors="replace").replace("\r\n", "\n")
        except OSError:
            continue
        lines = [line.rsplit("\r", 1)[-1].rstrip() for line in text.split("\n")]
        lines = [line for line in lines if line][-count:]
        if lines:
            return "\n".join([str(log), *(f"        {line}" for line in lines)])
    return ""
