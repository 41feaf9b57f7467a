"""Damage of every kind, for tests that no reader crashes on it.

Each run tries the same examples. ROLLOUT3D_FUZZ=N tries N others of each test instead, new ones every time.
"""

from __future__ import annotations

import json
import os
import struct
import tracemalloc
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rollout3d.scenes.reading import ScanError

_WANTED = int(os.environ.get("ROLLOUT3D_FUZZ", 0))
_CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
_EXTREMES = [0, 1, 2, 255, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1]


def fuzzed(n: int):
    """Settings of a fuzz test of `n` examples."""
    return settings(
        max_examples=_WANTED or n,
        derandomize=not _WANTED,
        deadline=None,
        database=None,
        suppress_health_check=_CHECKS,
    )


@st.composite
def damaged(draw, data: bytes, header: int | None = None) -> bytes:
    """`data` cut, with bits flipped, numbers forged, or stretches lost or doubled; half of the places in the header."""
    data = bytearray(data)
    head = min(header or len(data), len(data))
    for _ in range(draw(st.integers(1, 3))):
        end = max(len(data) - 1, 0)
        at = draw(st.one_of(st.integers(0, min(head - 1, end)), st.integers(0, end)))
        kind = draw(st.sampled_from(["flip", "forge", "cut", "lose", "double", "noise"]))
        if kind == "flip" and data:
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "forge":
            code = draw(st.sampled_from(["<I", "<Q", ">I", ">H", "<f"]))
            value = draw(st.sampled_from(_EXTREMES))
            number = draw(st.floats(width=32)) if code == "<f" else value % 256 ** struct.calcsize(code)
            data[at : at + struct.calcsize(code)] = struct.pack(code, number)
        elif kind == "cut":
            del data[at:]
        elif kind == "lose":
            del data[at : at + draw(st.integers(1, 200))]
        elif kind == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 200))]
        else:
            noise = draw(st.binary(min_size=1, max_size=40))
            data[at : at + len(noise)] = noise
    return bytes(data)


_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 40),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from([10**400, "nan", "1e400", [], {}, [[]], [1, [2]], ["a", 1], [None], [1.5], [[1, 2], [3]]]),
    st.lists(st.one_of(st.integers(-5, 30), st.floats()), max_size=10),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@st.composite
def damaged_json(draw, content: Any) -> bytes:
    """A document with parts replaced, lost or doubled, or its text damaged."""
    content = deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        parent, key, here = None, None, content
        while isinstance(here, dict | list) and here and (parent is None or draw(st.integers(0, 4))):
            parent, key = here, draw(st.sampled_from(sorted(here) if isinstance(here, dict) else range(len(here))))
            here = parent[key]
        if parent is None:
            break
        kind = draw(st.sampled_from(["replace", "replace", "lose", "double"]))
        if kind == "replace":
            parent[key] = deepcopy(draw(_LEAVES))
        elif kind == "lose":
            del parent[key]
        elif isinstance(parent, list):
            parent.insert(key, deepcopy(here))
    text = json.dumps(content).encode()
    return draw(damaged(text)) if not draw(st.integers(0, 3)) else text


_TOKENS = st.sampled_from(
    ["nan", "inf", "-inf", "1e400", "1e308", "-1", "0", "", "x", "1,5", "1_0", "٣", "9" * 5000, "\0", "\n", "= 1"]
)


@st.composite
def damaged_text(draw, text: str) -> bytes:
    """Text with words replaced, or its bytes damaged."""
    words = text.split(" ")
    for _ in range(draw(st.integers(1, 3))):
        words[draw(st.integers(0, len(words) - 1))] = draw(_TOKENS)
    data = " ".join(words).encode()
    return draw(damaged(data)) if draw(st.booleans()) else data


def survives(path: Path, data: bytes, read: Callable[[], Any], factor: int, fixed: int) -> Any:
    """What `read` makes of the damaged file, None if it refuses it; it may do nothing else.

    It must refuse with a `ScanError` with a file and a reason, and take at most `factor` times the file and `fixed`
    bytes of memory.
    """
    path.write_bytes(data)
    tracemalloc.start()
    try:
        return read()
    except ScanError as error:
        assert error.path != Path() and error.reason
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak <= factor * len(data) + fixed, f"{peak} bytes for a file of {len(data)}"
