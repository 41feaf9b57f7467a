"""The seal of a Parquet file: checksums of every byte, so that no damaged byte is read as a row.

Parquet has checksums of page bodies only. Page headers and the footer (schema, offsets, row counts, metadata) have
none, and a flipped bit there can decode to other rows. A sealed file is an ordinary Parquet file with a few more bytes
between page index and footer, which readers skip:

    data | page index | crc32 of each 32 KiB of data | sha256 | size of data | mark | footer | footer size | PAR1

The sha256 covers all that follows the data, itself left out. So the footer is proved when a file is opened, and each
block of data when it is read. The footer's entry `rollout3d.data` holds size and sha256 of the data.
"""

from __future__ import annotations

import hashlib
import os
import struct
import weakref
import zlib
from pathlib import Path
from typing import Any

DATA_KEY = b"rollout3d.data"
"""Key of the file metadata entry that holds the digest of the data as canonical JSON: {"n_bytes", "sha256"}."""

_BLOCK = 32 * 1024
_MARK = b"R3DSEAL1"
_FIXED = struct.Struct("<32sQ8s")
_END = struct.Struct("<I4s")


class Damaged(ValueError):
    """Bytes that are not those that were written; the message says which."""


class Sink:
    """A file that ParquetWriter writes to, which computes digests of the bytes in flight and adds the seal.

    After `data_ends` the bytes (page index and footer) stay in memory until `close`, which puts the seal between them,
    syncs the file to the disk and closes it. `abandon` closes it at once; later writes are ignored.
    """

    def __init__(self, path: Path):
        self._file = open(path, "wb")  # noqa: SIM115 (closed by close or abandon)
        self._hash, self._crcs, self._crc, self._size = hashlib.sha256(), bytearray(), 0, 0
        self._tail: bytearray | None = None
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.closed:
            return len(view)
        if self._tail is not None:
            self._tail += view
            return len(view)
        self._file.write(view)
        self._hash.update(view)
        start = 0
        while start < len(view):
            end = min(len(view), start + _BLOCK - self._size % _BLOCK)
            self._crc = zlib.crc32(view[start:end], self._crc)
            self._size += end - start
            if self._size % _BLOCK == 0:
                self._end_block()
            start = end
        return len(view)

    def _end_block(self) -> None:
        self._crcs += struct.pack("<I", self._crc)
        self._crc = 0

    def tell(self) -> int:
        return self._size + len(self._tail or b"")

    def flush(self) -> None:
        """Do nothing: `close` flushes."""

    def data_ends(self) -> dict[str, Any]:
        """End the data; return the content of the entry `rollout3d.data`."""
        if self._size % _BLOCK:
            self._end_block()
        self._tail = bytearray()
        return {"n_bytes": self._size, "sha256": self._hash.hexdigest()}

    def close(self) -> None:
        """Write page index, seal and footer; sync. Raises OSError where the disk refuses."""
        if self.closed or self._tail is None:
            return
        tail = bytes(self._tail)
        footer = len(tail) - _END.size - _END.unpack(tail[-_END.size :])[0]
        before, after = tail[:footer] + bytes(self._crcs), tail[footer:]
        proof = _proof(before, self._size, after)
        self._file.write(before + _FIXED.pack(proof, self._size, _MARK) + after)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self.closed = True

    def abandon(self) -> None:
        """Close the file as it is."""
        self.closed = True
        try:
            self._file.close()
        except OSError:  # what is buffered cannot be written either
            self._file.raw.close()


def _proof(before: bytes, n_bytes: int, after: bytes) -> bytes:
    hasher = hashlib.sha256(before)
    hasher.update(struct.pack("<Q", n_bytes) + _MARK + after)
    return hasher.digest()


class Sealed:
    """A sealed file open for reading, as pyarrow's file: each block is compared with its checksum when it is read.

    `open` returns None for a file without a seal. Reading raises `Damaged`.
    """

    def __init__(self, descriptor: int, n_bytes: int, tail: bytes, crcs: tuple[int, ...]):
        self._descriptor, self.n_bytes, self._tail, self._crcs = descriptor, n_bytes, tail, crcs
        self._position = 0
        self._close = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def open(cls, path: Path) -> Sealed | None:
        """Open a file and check its seal; None if it has none. Raises `Damaged`, and OSError from the disk."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = cls._check(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if found is None:
            os.close(descriptor)
            return None
        return cls(descriptor, *found)

    @staticmethod
    def _check(descriptor: int) -> tuple[int, bytes, tuple[int, ...]] | None:
        size = os.fstat(descriptor).st_size
        if size < _FIXED.size + _END.size:
            return None
        footer = size - _END.size - _END.unpack(_pread(descriptor, _END.size, size - _END.size))[0]
        if footer < _FIXED.size:
            return None
        proof, n_bytes, mark = _FIXED.unpack(_pread(descriptor, _FIXED.size, footer - _FIXED.size))
        if mark != _MARK:
            return None
        n_crcs = -(-n_bytes // _BLOCK)
        crcs = footer - _FIXED.size - 4 * n_crcs
        if crcs < n_bytes:
            raise Damaged("its seal is damaged")
        tail = _pread(descriptor, size - n_bytes, n_bytes)
        before, after = tail[: footer - _FIXED.size - n_bytes], tail[footer - n_bytes :]
        if len(tail) != size - n_bytes or _proof(before, n_bytes, after) != proof:
            raise Damaged("its footer is not the one that was written")
        return n_bytes, tail, struct.unpack(f"<{n_crcs}I", before[crcs - n_bytes :])

    @property
    def closed(self) -> bool:
        return not self._close.alive

    def close(self) -> None:
        self._close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        size = self.n_bytes + len(self._tail)
        self._position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: size}[whence]
        return self._position

    def read(self, size: int = -1) -> bytes:
        start, whole = self._position, self.n_bytes + len(self._tail)
        end = whole if size is None or size < 0 else min(whole, start + size)
        found = self._data(start, min(end, self.n_bytes)) if start < self.n_bytes else b""
        if end > self.n_bytes:
            found += self._tail[max(0, start - self.n_bytes) : end - self.n_bytes]
        self._position = max(start, end)
        return found

    def _data(self, start: int, end: int) -> bytes:
        if end <= start:
            return b""
        first, last = start // _BLOCK, -(-end // _BLOCK)
        origin = first * _BLOCK
        view = memoryview(_pread(self._descriptor, min(last * _BLOCK, self.n_bytes) - origin, origin))
        for block in range(first, last):
            at = block * _BLOCK - origin
            self._compare(block, view[at : at + _BLOCK])
        return bytes(view[start - origin : end - origin])

    def _compare(self, block: int, data: memoryview) -> None:
        if zlib.crc32(data) != self._crcs[block]:
            raise Damaged(f"its bytes from {block * _BLOCK:,} to {(block + 1) * _BLOCK:,} have changed")

    def data_digest(self) -> str:
        """sha256 of the data, read and checked block by block."""
        hasher = hashlib.sha256()
        step = 256 * _BLOCK
        for start in range(0, self.n_bytes, step):
            hasher.update(self._data(start, min(start + step, self.n_bytes)))
        return hasher.hexdigest()


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    """`size` bytes at `offset`, fewer only at the end of the file."""
    found = os.pread(descriptor, size, offset)
    while 0 < len(found) < size:  # one call reads 2 GiB at most
        more = os.pread(descriptor, size - len(found), offset + len(found))
        if not more:
            break
        found += more
    return found
