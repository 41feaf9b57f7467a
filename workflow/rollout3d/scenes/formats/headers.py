"""Detect damage by the headers of a scan's files: nothing is decoded, and large files are not read as a whole.

A file that passes may still be damaged inside, which ingest detects.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path

from rollout3d.scenes.datasets._arkit_frames import read_trajectory
from rollout3d.scenes.formats.containers import check_container
from rollout3d.scenes.formats.packed import PackedPath, check_archive
from rollout3d.scenes.formats.pictures import picture_size
from rollout3d.scenes.formats.ply import check_ply
from rollout3d.scenes.formats.sens import SensFile
from rollout3d.scenes.reading import ScanError, read_json, reading

SMALL_BYTES = 1 << 22
"""Largest size, bytes, of JSON files that are parsed; of larger ones (poses of a phone's video) both ends are read."""
_PICTURES = (".jpg", ".jpeg", ".png")


def check_header(path: Path | PackedPath) -> None:
    """Raise ScanError for a file or folder whose header, ends or first picture show damage."""
    if path.is_dir():
        _folder(path)
    elif not isinstance(path, PackedPath):  # an archive's members are checked with it
        CHECKS.get(path.suffix.lower(), _text)(path)


def _folder(path: Path | PackedPath) -> None:
    """Raise ScanError for an empty folder, and for one whose first picture has no valid header."""
    first = min((entry for entry in path.iterdir() if not entry.name.startswith(".")), default=None)
    if first is None:
        raise ScanError(Path(path), "an empty folder; download it again")
    if first.suffix.lower() in _PICTURES:
        with reading(first):
            data = first.read_bytes() if isinstance(first, PackedPath) else _start(first)
            picture_size(data)


def _start(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(1 << 16)


def _json(path: Path) -> None:
    """Raise ScanError for a JSON file that is no object: parse small and UTF-16 files, read both ends of others."""
    with reading(path):
        if path.stat().st_size <= SMALL_BYTES:
            read_json(path)
            return
        with open(path, "rb") as file:
            head = file.read(64)
            file.seek(-64, 2)
            tail = file.read().rstrip()
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in head:
            read_json(path)
            return
        head = head.removeprefix(codecs.BOM_UTF8).lstrip()
        if not head.startswith(b"{") or not tail.endswith(b"}"):
            raise json.JSONDecodeError("no whole object", "", 0)


def _sens(path: Path) -> None:
    file = SensFile(path)
    file.close()
    if not file.n_frames:
        raise ScanError(path, "holds no frames")


def _text(path: Path) -> None:
    with reading(path):
        if not path.stat().st_size:
            raise ScanError(path, "an empty file; download it again")


CHECKS: dict[str, Callable[[Path], None]] = {
    ".ply": check_ply,
    ".json": _json,
    ".sens": _sens,
    ".mkv": check_container,
    ".mp4": check_container,
    ".traj": lambda path: read_trajectory(path) and None,
    ".zip": check_archive,
}
"""Ending of a file -> its check, which raises `ScanError`; other files must not be empty."""
