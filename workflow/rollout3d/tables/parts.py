"""Digests of the parts of a table: rows that share a name in one column (`Table.parts`), such as a frame set."""

from __future__ import annotations

import hashlib
from typing import Any

import pyarrow as pa

from rollout3d.tables.fields import Table
from rollout3d.tables.origin import canonical_json

PARTS_KEY = b"rollout3d.parts"
"""Key of the file metadata entry that holds the digest of each part as canonical JSON."""


class Parts:
    """Collects the digests while a table is written. Rows of other parts, and their order, do not change a digest."""

    def __init__(self, table: Table):
        self._column = table.parts
        self._hashes: dict[str, Any] = {}

    def add(self, built: pa.Table) -> None:
        """Add rows in the order in which they are written."""
        if self._column is None:
            return
        for row in built.to_pylist():
            names = row.pop(self._column)
            own = hashlib.sha256(canonical_json(_plain(row)).encode()).digest()
            for name in [names] if isinstance(names, str) else names:
                self._hashes.setdefault(name, hashlib.sha256()).update(own)

    def digests(self) -> dict[str, str]:
        """Name of each part that has rows -> digest (hex)."""
        return {name: found.hexdigest() for name, found in sorted(self._hashes.items())}


def _plain(value: Any) -> Any:
    """A row's value as a JSON value; bytes are replaced by their digest."""
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
