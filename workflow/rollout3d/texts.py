"""Text of files that others wrote: one reading of encodings, and JSON in which no key stands twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

_REMEDY = "save it as UTF-8, or download it again"


def decode(data: bytes) -> str:
    """Decode the text of a file.

    UTF-8, UTF-16 and UTF-32, with or without a byte order mark; the mark is left out of the text. Bytes that are no
    UTF-8 are read as Windows-1252, which holds Latin-1's letters, if every one of them is then a printable character.
    Raises ValueError with the remedy for anything else, and for text with zero bytes.
    """
    encoding = json.detect_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise ValueError(
                f"cannot be decoded as {encoding.upper()}, as which it begins ({error.reason}): {_REMEDY}"
            ) from None
        text = _western(data, error)
    if "\0" in text:
        raise ValueError(f"cannot be decoded as text: a zero byte at character {text.index(chr(0))}; {_REMEDY}")
    return text


def _western(data: bytes, error: UnicodeDecodeError) -> str:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or not all(c.isprintable() or c in "\t\r\n\f\xa0" for c in text):
        at, byte = error.start, data[error.start]
        raise ValueError(f"neither UTF-8, UTF-16 nor Latin-1 text (byte {byte:#04x} at {at}): {_REMEDY}") from None
    return text


def loads(data: bytes) -> Any:
    """Parse a JSON document. Raises ValueError for text that is none, and for an object with two values for a key."""
    return json.loads(decode(data), object_pairs_hook=_unambiguous)


def _unambiguous(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: dict[str, Any] = {}
        for key, value in pairs:
            if key in seen and seen[key] != value:
                raise ValueError(f"a JSON object with two values for the key {key!r}: remove the wrong one")
            seen[key] = value
    return found
