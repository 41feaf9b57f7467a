"""Damage of bytes, text and JSON: each mutation takes the content of a file and returns another, drawn by seed.

A mutation that does not apply to a content returns it unchanged. Which mutations a file gets says `kinds.of`.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from copy import deepcopy
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

NUMBERS = [0, 1, 2, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1]
_HEADER = 600
"""Bytes at the start of a binary file in which half of its mutations fall."""


def place(data: bytes, rng: random.Random) -> int:
    return rng.randrange(max(1, min(len(data), _HEADER) if rng.random() < 0.5 else len(data)))


# --- every file ------------------------------------------------------------------------------------------------------


def emptied(data, rng):
    return b""


def cut(data, rng):
    return data[: rng.randrange(max(1, len(data)))]


def cut_near_the_end(data, rng):
    return data[: max(0, len(data) - rng.randint(1, 40))]


def bit_flipped(data, rng):
    data, at = bytearray(data), place(data, rng)
    data[at : at + 1] = bytes(each ^ (1 << rng.randrange(8)) for each in data[at : at + 1])
    return bytes(data)


def bytes_swapped(data, rng):
    at = place(data, rng)
    return data[:at] + data[at : at + 4][::-1] + data[at + 4 :]


def bytes_inserted(data, rng):
    at = place(data, rng)
    return data[:at] + rng.randbytes(rng.randint(1, 20)) + data[at:]


def bytes_lost(data, rng):
    at = place(data, rng)
    return data[:at] + data[at + rng.randint(1, 200) :]


def block_of_zeros(data, rng):
    at, n = place(data, rng), rng.choice((4, 64, 512, 4096))
    return data[:at] + bytes(min(n, len(data) - at)) + data[at + n :]


def block_of_noise(data, rng):
    at, n = place(data, rng), rng.choice((4, 64, 512, 4096))
    return data[:at] + rng.randbytes(min(n, len(data) - at)) + data[at + n :]


def all_zeros(data, rng):
    return bytes(len(data))


def all_noise(data, rng):
    return rng.randbytes(len(data))


def doubled(data, rng):
    return data + data


BYTES: list[Mutation] = [
    *(emptied, cut, cut_near_the_end, bit_flipped, bytes_swapped, bytes_inserted, bytes_lost),
    *(block_of_zeros, block_of_noise, all_zeros, all_noise, doubled),
]


# --- headers of binary files -----------------------------------------------------------------------------------------


def number_forged(data, rng):
    code = rng.choice(("<I", "<Q", ">I", ">H", "<f", "<d"))
    value = rng.choice(NUMBERS)
    if code[1] in "fd":
        value = rng.choice((float("nan"), float("inf"), -float("inf"), 0.0, -1.0, 1e30))
    else:
        value %= 256 ** struct.calcsize(code)
    at = rng.randrange(max(1, min(len(data), _HEADER)))
    return data[:at] + struct.pack(code, value) + data[at + struct.calcsize(code) :]


def count_forged(data, rng):
    """A count of a PLY header, the first number of any other."""
    head, mark, body = data.partition(b"end_header")
    if not mark:
        return number_forged(data, rng)
    lines = head.split(b"\n")
    at = rng.choice([k for k, line in enumerate(lines) if line.startswith(b"element")] or [0])
    words = lines[at].split()
    lines[at] = b" ".join([*words[:2], rng.choice((b"2147483648", b"-1", b"0", b"1e9", b"9" * 30, b"3", b""))])
    return b"\n".join(lines) + mark + body


HEADERS: list[Mutation] = [number_forged, number_forged, count_forged]


# --- text ------------------------------------------------------------------------------------------------------------

_WORDS = [
    "nan",
    "inf",
    "-inf",
    "1e400",
    "1e30",
    "-1",
    "0",
    "",
    "x",
    "1,5",
    "1_0",
    "٣",
    "9" * 5000,
    "\0",
    "\n",
    "../..",
    "𐍈",
]


def byte_order_mark(data, rng):
    return b"\xef\xbb\xbf" + data


def utf16(data, rng):
    return data.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-16-le", "utf-16-be")))


def latin1(data, rng):
    at = rng.randrange(max(1, len(data)))
    return data[:at] + "é".encode("latin-1") + data[at + 1 :]


def line_ends_of_windows(data, rng):
    return data.replace(b"\n", b"\r\n")


def line_ends_of_old_macs(data, rng):
    return data.replace(b"\n", b"\r")


def zero_byte(data, rng):
    at = place(data, rng)
    return data[:at] + b"\0" + data[at:]


def first_line_only(data, rng):
    return data.split(b"\n")[0] + b"\n"


def blanks_only(data, rng):
    return b" \n\t\n"


def line_lost(data, rng):
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def line_doubled(data, rng):
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    return b"\n".join([*lines[:at], lines[at], *lines[at:]])


def lines_swapped(data, rng):
    lines = data.split(b"\n")
    i, j = rng.randrange(len(lines)), rng.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def word_replaced(data, rng):
    separator = rng.choice([each for each in (b" ", b",", b"\t", b"\n", b"=") if each in data] or [b" "])
    words = data.split(separator)
    words[rng.randrange(len(words))] = rng.choice(_WORDS).encode()
    return separator.join(words)


def word_lost(data, rng):
    separator = rng.choice([each for each in (b" ", b",", b"\t") if each in data] or [b" "])
    words = data.split(separator)
    del words[rng.randrange(len(words))]
    return separator.join(words)


def separators_changed(data, rng):
    return data.replace(b",", b";").replace(b"\t", b",")


def long_line(data, rng):
    return data + b"x" * 300_000 + b"\n"


TEXT: list[Mutation] = [
    *(byte_order_mark, utf16, latin1, line_ends_of_windows, line_ends_of_old_macs, zero_byte, first_line_only),
    *(blanks_only, line_lost, line_doubled, lines_swapped, word_replaced, word_replaced, word_lost),
    *(separators_changed, long_line),
]


# --- JSON ------------------------------------------------------------------------------------------------------------

_VALUES: list[Any] = [
    *(None, True, "x", "", "nan", "\ud800", "../../x", {}, [], [[]], [None], [1, [2]], ["a", 1], [1.5], {"a": 1}),
    *(-1, 0, 1.5, 2**31, 2**63, 2**64, -(2**70), 10**400, 1e30, -1e30, float("nan"), float("inf"), -float("inf")),
]


def _document(data: bytes, rng: random.Random) -> tuple[Any, Callable[[Any], bytes]]:
    """A parsed document, or line of one, and how to put a changed one back."""
    try:
        return json.loads(data), lambda content: json.dumps(content).encode()
    except ValueError:
        lines = data.split(b"\n")
        at = rng.randrange(len(lines))

        def put(content: Any) -> bytes:
            return b"\n".join([*lines[:at], json.dumps(content).encode(), *lines[at + 1 :]])

        return (json.loads(lines[at]) if lines[at].strip() else {}), put


def _inside(content: Any, rng: random.Random) -> tuple[Any, Any]:
    """A container in the document and a key of it, at any depth."""
    parent, key, here = None, None, content
    while isinstance(here, dict | list) and here and (parent is None or rng.random() < 0.75):
        parent, key = here, rng.choice(list(here) if isinstance(here, dict) else range(len(here)))
        here = parent[key]
    return parent, key


def _edited(edit: Callable[[Any, Any, random.Random], Any]) -> Mutation:
    def mutation(data: bytes, rng: random.Random) -> bytes:
        content, put = _document(data, rng)
        content = deepcopy(content)
        parent, key = _inside(content, rng)
        if parent is None:
            return data
        edit(parent, key, rng)
        return put(content)

    mutation.__name__ = edit.__name__
    return mutation


@_edited
def json_value_replaced(parent, key, rng):
    parent[key] = deepcopy(rng.choice(_VALUES))


@_edited
def json_number_changed(parent, key, rng):
    if isinstance(parent[key], int | float):
        parent[key] = rng.choice((parent[key] * 1e6, -parent[key] - 1, 1e300, float("nan"), float("inf"), 2**63))


@_edited
def json_type_changed(parent, key, rng):
    parent[key] = str(parent[key]) if not isinstance(parent[key], str) else len(parent[key])


@_edited
def json_part_lost(parent, key, rng):
    del parent[key]


@_edited
def json_part_doubled(parent, key, rng):
    if isinstance(parent, list):
        parent.insert(key, deepcopy(parent[key]))


@_edited
def json_nested_deeper(parent, key, rng):
    parent[key] = rng.choice(([parent[key]], {"a": parent[key]}))


@_edited
def json_part_emptied(parent, key, rng):
    parent[key] = type(parent[key])() if isinstance(parent[key], dict | list | str) else None


@_edited
def json_key_renamed(parent, key, rng):
    if isinstance(parent, dict):
        parent[key.upper() if key != key.upper() else f"{key}_"] = parent.pop(key)


def json_key_twice(data, rng):
    """The first key once more, with another value, at the end of the first object."""
    text = data.decode("utf-8", "replace")
    content, put = _document(data, rng)
    if not isinstance(content, dict) or not content:
        return data
    key = rng.choice(list(content))
    body = put(content).decode()
    at = body.rindex("}")
    return f"{body[:at]}, {json.dumps(key)}: null{body[at:]}".encode() if text.strip() else data


def json_other_top(data, rng):
    return rng.choice((b"[]", b"{}", b"null", b"3", b'"x"', b"[{}]", b"[[]]", b"NaN"))


def json_bottomless(data, rng):
    return rng.choice((b"[" * 100_000, b'{"a":' * 100_000, b"[" * 100_000 + b"]" * 100_000))


def json_number_of_a_million_digits(data, rng):
    digit = next((k for k, each in enumerate(data) if 48 <= each <= 57), None)
    return data if digit is None else data[:digit] + b"9" * 1_000_000 + data[digit:]


JSON: list[Mutation] = [
    *(json_value_replaced, json_value_replaced, json_value_replaced, json_number_changed, json_number_changed),
    *(json_type_changed, json_part_lost, json_part_lost, json_part_doubled, json_nested_deeper, json_part_emptied),
    *(json_key_renamed, json_key_twice, json_other_top, json_bottomless, json_number_of_a_million_digits),
    *(byte_order_mark, utf16, latin1, zero_byte, blanks_only),
]
