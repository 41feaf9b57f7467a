"""Record which files and folders below a folder are opened, as the kernel reports them for any library."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_OPEN, _IS_FOLDER, _OVERFLOW = 0x20, 0x40000000, 0x4000


class Opened:
    """Context manager that records by inotify what is opened below `root`: `files` and `folders`, relative to it."""

    def __init__(self, root: Path):
        self.root = root
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def __enter__(self) -> Opened:
        self._fd = _LIBC.inotify_init1(0)
        assert self._fd >= 0
        self._watched: dict[int, Path] = {}
        folders = [Path(folder) for folder, _, _ in os.walk(self.root)]
        for folder in folders:
            wd = _LIBC.inotify_add_watch(self._fd, os.fsencode(folder), _OPEN)
            assert wd >= 0, os.strerror(ctypes.get_errno())
            self._watched[wd] = folder
        self._end = self.root / ".end-of-listening"
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.touch()  # opening this file ends the listener
        self._thread.join(30)
        self._end.unlink()
        os.close(self._fd)
        assert not self._thread.is_alive()

    def _listen(self) -> None:
        while True:
            data, at = os.read(self._fd, 1 << 16), 0
            while at < len(data):
                wd, mask, _, length = struct.unpack_from("iIII", data, at)
                name = data[at + 16 : at + 16 + length].rstrip(b"\0").decode()
                at += 16 + length
                assert not mask & _OVERFLOW
                path = self._watched[wd] / name
                if path == self._end:
                    return
                found = self.folders if mask & _IS_FOLDER or not name else self.files
                found.add(path.relative_to(self.root).as_posix())
