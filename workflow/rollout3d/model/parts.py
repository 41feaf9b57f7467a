"""Finished answers of a table that is still being made, kept so that a killed job does not compute them again.

They lie beside the table, in `<folder>/.parts/<name of the table>/<digest>`, which no rule declares, so that Snakemake
deletes nothing there. The digest covers the table's identity: answers under other settings or by another model are
never used. Every process writes a file of its own, one record per line. A record carries a checksum, so a line that a
kill or a full disk cut off, or that a disk has changed, is recognised, and only its questions are answered again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from rollout3d.tables import Lineage, TableError, digest

LOG = logging.getLogger(__name__)
SYNC_S = 1.0
"""Seconds between flushes to the disk, which a power cut may lose. A killed process loses nothing that was added."""

Key = tuple[str, str]
"""Setting and question id."""
Samples = list[tuple[str, int]]
"""The texts of the answers to one question, each with its number of tokens."""


class Parts:
    """The finished answers of the table `out`.

    `lineage`: of the table. `details`: further arguments that decide the answers (setting, style, shard). `read`
    returns what earlier processes have added; call `clear` after the table is written.
    """

    def __init__(self, out: Path | str, lineage: Lineage, *details: str | int):
        self.out, self.lineage = Path(out), lineage
        self.root = self.out.parent / ".parts" / self.out.stem
        self.identity = digest([lineage.identity, *details])[:32]
        self.folder = self.root / self.identity
        self._file: int | None = None
        self._name = Path()
        self._synced = 0.0

    def read(self) -> dict[Key, Samples]:
        """Return the answers of earlier processes, the later of two to one question.

        Damaged records are logged. So are answers by another version of the code: they count, as a finished table of
        other code does, until a user removes them.
        """
        found: dict[Key, Samples] = {}
        foreign: set[Key] = set()
        for path in sorted(self.folder.glob("*.jsonl")):
            for code, answers in self._records(path):
                foreign = foreign - answers.keys() if code == self.lineage.code else foreign | answers.keys()
                found |= answers
        if foreign:
            LOG.warning(
                "%d answers kept in %s were written by another version of the code; to have them written again, stop "
                "and remove that folder",
                len(foreign),
                self.folder,
            )
        return found

    def add(self, answers: Mapping[Key, Samples]) -> None:
        """Keep answers that were computed together: after a kill all of them are there, or none.

        Raises TableError if they cannot be written.
        """
        rows = [[*key, samples] for key, samples in answers.items()]
        payload = json.dumps([self.lineage.code, rows], separators=(",", ":")).encode()
        line = self._checksum(payload) + b" " + payload + b"\n"
        try:
            file = self._open() if self._file is None else self._file
            while line:
                line = line[os.write(file, line) :]
            if time.monotonic() - self._synced >= SYNC_S:
                os.fsync(file)
                self._synced = time.monotonic()
        except OSError as error:
            raise TableError(
                f"{self._name}: finished answers cannot be kept there ({error.strerror}); repair that and run the "
                "stage again: it goes on from the answers that are there"
            ) from error

    def clear(self) -> None:
        """Remove the answers, those of other identities of the table too. Call it once the table is written."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        shutil.rmtree(self.root, ignore_errors=True)
        with suppress(OSError):  # other tables have theirs there, or there never were any
            self.root.parent.rmdir()

    def _open(self) -> int:
        """Create a file of this process's own, so that no two processes share one; return its descriptor."""
        self._name = self.folder
        self.folder.mkdir(parents=True, exist_ok=True)
        number = len(list(self.folder.glob("*.jsonl")))
        while self._file is None:
            self._name = self.folder / f"{number:05d}.jsonl"
            try:
                self._file = os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
            except FileExistsError:
                number += 1
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return self._file

    def _records(self, path: Path) -> Iterator[tuple[str, dict[Key, Samples]]]:
        """Yield (digest of the code, answers) of each whole record of a file."""
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            LOG.warning("%s: cannot be read (%s); its questions are answered again", path, error.strerror)
            return
        for number, line in enumerate(lines[:-1], 1):
            checksum, _, payload = line.partition(b" ")
            if checksum != self._checksum(payload):
                LOG.warning("%s, line %d: damaged; its questions are answered again", path, number)
                continue
            code, rows = json.loads(payload)
            yield (
                code,
                {(setting, question): [(text, n) for text, n in samples] for setting, question, samples in rows},
            )
        if lines[-1]:
            LOG.info("%s: the last record was cut off; its questions are answered again", path)

    def _checksum(self, payload: bytes) -> bytes:
        """Return the checksum of a record. It covers the identity, so a record moved to another folder is refused."""
        return hashlib.sha256(self.identity.encode() + payload).hexdigest()[:32].encode()
