"""Read files of a scan with errors that name the file: `ScanError`, and text and JSON in any known encoding."""

from __future__ import annotations

import csv
import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout3d import texts
from rollout3d.errors import UserError
from rollout3d.releases import MissingData

if TYPE_CHECKING:
    from rollout3d.scenes.formats.packed import PackedPath


class ScanError(UserError, ValueError):
    """A scan that cannot be used: the file at fault and the reason.

    `expected` marks faults that the release itself announces (an annotation marked as skipped): the scan is dropped
    like a broken one, but does not count as damage.
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
    """Convert any error that a damaged file causes in a parser into a `ScanError` that names the file.

    `MissingData` passes unchanged, because it concerns the release, not the scan.
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


@contextmanager
def closed_on_error(close: Callable[[], None]) -> Iterator[None]:
    """Call `close` if the body raises a `ScanError`: for readers that keep a file open once its header is read."""
    try:
        yield
    except ScanError:
        close()
        raise


def read_text(path: Path | PackedPath) -> str:
    """Return the text of a file of a release, in any encoding of `rollout3d.texts`. Raises `ScanError`."""
    with reading(path):
        return texts.decode(path.read_bytes())


def read_json(path: Path | PackedPath) -> dict[str, Any]:
    """Return the content of a JSON file that holds an object. Raises `ScanError`."""
    with reading(path):
        content = texts.loads(path.read_bytes())
    if not isinstance(content, dict):
        raise ScanError(path, f"a JSON object was expected, not a {type(content).__name__}")
    return content
