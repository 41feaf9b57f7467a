"""Records of a released file, one by one, and why one of them cannot be used.

A record that cannot be used is `Unusable`, with the reason; a file that cannot be imported is an `ExternalError`.
Nothing here holds a whole file in memory.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from rollout3d.errors import UserError
from rollout3d.fingerprint import note

CHUNK = 1 << 20
"""Characters of a file read at a time."""
LONGEST = 1 << 24
"""A record of more characters than this is a damaged file."""


class ExternalError(UserError, ValueError):
    """A released file that cannot be imported; the message names it and the remedy."""


class Unusable(ValueError):
    """One record that cannot be used. `kind` groups reasons, `detail` belongs to the record, `file` is at fault.

    `expected` marks what the release itself sets aside: left out, but no damage.
    """

    def __init__(self, kind: str, detail: str = "", file: str = "", *, expected: bool = False):
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind, self.file, self.expected = kind, file, expected


class _Stream:
    """JSON values of a text file, decoded one after the other from a window that moves over it."""

    _BLANK = re.compile(r"[ \t\r\n]*")

    def __init__(self, file: TextIO):
        self._file, self._text, self._at = file, "", 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """Return the next character that is not blank; empty at the end."""
        while True:
            blank = self._BLANK.match(self._text, self._at)  # matches any text
            self._at = blank.end() if blank else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        self._at += 1

    def value(self) -> Any:
        """Return the value that starts here. Raises json.JSONDecodeError."""
        while True:
            try:
                value, self._at = self._decoder.raw_decode(self._text, self._at)
                return value
            except json.JSONDecodeError:
                if len(self._text) - self._at > LONGEST or not self._more():
                    raise

    def _more(self) -> bool:
        chunk = self._file.read(CHUNK)
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)


def records(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON list, or of a file with one object a line, in file order.

    Raises ExternalError for a file that is neither, is empty, or ends in the middle.
    """
    count = 0
    try:
        with open(path, encoding="utf-8-sig") as file:
            stream = _Stream(file)
            listed = stream.peek() == "["
            if listed:
                stream.skip()
            while (mark := stream.peek()) and not (listed and mark == "]"):
                if listed and count:
                    if mark != ",":
                        raise ValueError(f"'{mark}' where a comma belongs")
                    stream.skip()
                    stream.peek()
                value = stream.value()
                if not isinstance(value, dict):
                    raise ValueError("not a list of objects")
                yield value
                count += 1
            if listed and not mark:
                raise ValueError("the list is not closed")
            stream.skip()
            if listed and (mark := stream.peek()):
                raise ValueError(f"'{mark}' behind the end of the list")
    except OSError as error:
        raise ExternalError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ExternalError(f"{path}: damaged after record {count} ({error}); download it again") from error
    if not count:
        raise ExternalError(f"{path}: holds no records; download it again")


def text_of(record: Mapping[str, Any], key: str) -> str:
    """A text of a record, without blanks around it. Raises Unusable if it is missing, empty or cannot be stored."""
    value = record.get(key)
    if not isinstance(value, str) or not value.strip():
        raise Unusable("missing field", key)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unusable("malformed text", f"{key} holds half a character") from None
    return value.strip()


def file_of(root: Path, stated: str) -> Path:
    """Return where a record's file lies below the release's folder. Raises Unusable if it is not there."""
    relative = os.path.normpath(stated.replace("\\", "/"))
    if os.path.isabs(relative) or relative.split(os.sep)[0] == "..":
        raise Unusable("path outside the release", stated)
    if not note(root / relative).is_file():
        raise Unusable("missing file", relative, relative)
    return root / relative
