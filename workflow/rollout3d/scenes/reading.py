"""Files of a scan, read so that every fault names the file: `ScanError`, and text and JSON in any known encoding."""

from __future__ import annotations

import csv
import json
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout3d import texts
from rollout3d.errors import UserError
from rollout3d.releases import MissingData

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from rollout3d.scenes.formats.packed import PackedPath


class ScanError(UserError, ValueError):
    """A scan that cannot be used: the file at fault and why.

    `expected` marks what the release itself announces (an annotation marked as skipped): it is dropped like a broken
    scan, but does not count as damage.
    """

    def __init__(self, path: os.PathLike[str] | str, reason: str, *, expected: bool = False):
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.expected = Path(path), reason, expected


class Contradiction(ScanError):
    """Two files of a scan contradict each other: which one is wrong is unknown, so no other file replaces either."""


_DAMAGE = (
    *(OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, EOFError),
    *(RecursionError, struct.error, zlib.error, csv.Error),
)


@contextmanager
def reading(path: os.PathLike[str] | str) -> Iterator[None]:
    """Turn whatever a damaged file provokes in a parser into a `ScanError` that names the file.

    `MissingData` passes: it concerns the release, not the scan that is being read.
    """
    try:
        yield
    except (ScanError, MissingData):
        raise
    except FileNotFoundError as error:
        raise ScanError(error.filename or path, "no such file") from error
    except json.JSONDecodeError as error:
        raise ScanError(path, f"not valid JSON ({error}): damaged or truncated") from error
    except _DAMAGE as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        raise ScanError(path, what) from error


def read_text(path: Path | PackedPath) -> str:
    """The text of a file of a release, whatever encoding `rollout3d.texts` knows. Raises `ScanError`."""
    with reading(path):
        return texts.decode(path.read_bytes())


def read_json(path: Path | PackedPath) -> dict[str, Any]:
    """The content of a JSON file, which holds an object. Raises `ScanError`."""
    with reading(path):
        content = texts.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ScanError(path, f"a JSON object was expected, not a {type(content).__name__}")
    return content
