"""A cache of analysed files, so that a second reading of an unchanged package parses nothing.

It is one small JSON file in the clone's `.snakemake` folder. An entry counts only while size, times and inode of its
file are the same. A cache that cannot be read or written costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

SETTLED_NS = 2_000_000_000
"""Age from which a file's time is trusted: a younger file may change again within the clock's resolution."""


class Cache:
    """Key -> JSON value, each with the state of the file that it was made from."""

    def __init__(self, path: Path | None):
        self.path = path
        self._now = time.time_ns()
        self._changed = False
        self._entries: dict[str, Any] = {}
        self._version = _version()
        try:
            stored = json.loads(path.read_text()) if path else {}
            if stored["version"] == self._version:
                self._entries = dict(stored["entries"])
        except (OSError, ValueError, KeyError, TypeError):
            pass

    def get(self, key: str, state: os.stat_result) -> Any:
        """The value of a key, or None if there is none for this state of its file."""
        try:
            signature, value = self._entries[key]
        except (KeyError, TypeError, ValueError):
            return None
        return value if signature == _signature(state) else None

    def put(self, key: str, state: os.stat_result, value: Any) -> None:
        """Keep a value, unless the file changed so recently that its time may not show the next change."""
        if self._now - max(state.st_mtime_ns, state.st_ctime_ns) > SETTLED_NS:
            self._entries[key] = [_signature(state), value]
            self._changed = True

    def save(self) -> None:
        """Write what is new, atomically; do nothing where the folder cannot be written to."""
        if not (self._changed and self.path):
            return
        aside = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            aside.write_text(json.dumps({"version": self._version, "entries": self._entries}))
            os.replace(aside, self.path)
            self._changed = False
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)


def _signature(state: os.stat_result) -> list[int]:
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def _version() -> str:
    """Digest of the code that fills the cache: entries of other code do not count."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]
