"""What became of a damaged file: one attempt in a process of its own, and the class of its outcome.

Good are: the same tables; a dropped scan or record with its reason; a refusal that names the file; a new flag; and
values that nothing in the release contradicts (`unknowable`). Everything else is a fault: another exception, a crash,
a loop, memory beyond the limit, tables with impossible values, and other tables in silence.
"""

from __future__ import annotations

import math
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzzing.subjects import Rows, Subject, forget
from rollout3d.geometry.camera import valid_pose
from rollout3d.scenes import verdict

MEMORY = 768 << 20
"""Bytes that an attempt may take beyond what its process has; address space ends at four times as many."""
CPU_S, WALL_S = 60, 300
SAME, DROPPED, REFUSED, FLAGGED, UNKNOWABLE, FAULT = "same", "dropped", "refused", "flagged", "unknowable", "FAULT"
CLASSES = (SAME, DROPPED, REFUSED, FLAGGED, UNKNOWABLE, FAULT)

_FAR_M = 1000.0
_KEYS = {
    "scenes": ("scene_id",),
    "objects": ("scene_id", "object_id"),
    "frames": ("scene_id", "frame_index"),
    "maps": ("scene_id",),
    "visibility": ("scene_id", "object_id", "sampling"),
    "questions": ("question_id",),
    "predictions": ("id",),
}
_DROPS = {"scenes_dropped": "scenes", "questions_dropped": "questions"}


@dataclass
class Outcome:
    """`kind` is one of CLASSES; `text`: reason, flags, traceback or what has changed."""

    kind: str
    text: str = ""
    changes: tuple[str, ...] = field(default=())


def attempt(subject: Subject, whole: Rows) -> Outcome:
    """Read the release as it lies there, in a child process with limits, and compare with `whole`."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            _limit()
            before = _most_memory()
            outcome = _outcome(subject, whole)
            taken = _most_memory() - before
            if taken > MEMORY:
                outcome = Outcome(FAULT, f"took {taken >> 20} MB of memory")
            with os.fdopen(writing, "wb") as stream:
                pickle.dump(outcome, stream)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return Outcome(FAULT, f"killed by {signal.Signals(os.WTERMSIG(status)).name}")
    return pickle.loads(answer) if answer else Outcome(FAULT, "ended without a word")


def _most_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _limit() -> None:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 1)
    os.dup2(devnull, 2)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 4 * MEMORY,) * 2)
    used = math.ceil(sum(os.times()[:2]))
    resource.setrlimit(resource.RLIMIT_CPU, (used + CPU_S, used + CPU_S + 10))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(WALL_S)


def _outcome(subject: Subject, whole: Rows) -> Outcome:
    forget()
    out = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        rows = subject.read(subject.root, out)
    except subject.refusals as error:
        named = any(part in str(error) for part in (str(subject.root), subject.root.name))
        return Outcome(REFUSED if named else FAULT, str(error) if named else f"names no file: {error}")
    except BaseException:
        return Outcome(FAULT, traceback.format_exc())
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return judged(whole, rows)


def judged(whole: Rows, rows: Rows) -> Outcome:
    """The class of tables beside those of the undamaged release."""
    wrong = [each for each in impossible(rows) if each not in set(impossible(whole))]
    if wrong:
        return Outcome(FAULT, f"impossible values: {'; '.join(wrong[:5])}")
    changes = tuple(changed(whole, rows))
    if not changes:
        return Outcome(SAME)
    for name, of in _DROPS.items():
        new = [row for row in rows.get(name, []) if row not in whole.get(name, [])]
        if any(not row["reason"] for row in new):
            return Outcome(FAULT, f"dropped without a reason: {new}")
        lost = len(whole.get(of, [])) - len(rows.get(of, []))
        if new and lost <= len(new):
            return Outcome(DROPPED, "; ".join(f"{row.get('file')}: {row['reason']}" for row in new), changes)
    flags = [set(flag for row in some.get("scenes", []) for flag in row["flags"]) for some in (whole, rows)]
    if flags[1] - flags[0]:
        return Outcome(FLAGGED, ", ".join(sorted(flags[1] - flags[0])), changes)
    before, after = ([verdict.judge(row, "drop") for row in some.get("scenes", [])] for some in (whole, rows))
    new = [each for each in after if set(each.reasons) - {reason for old in before for reason in old.reasons}]
    if new:
        dropped = any(each.fate == "dropped" for each in new)
        return Outcome(DROPPED if dropped else FLAGGED, f"contradicts itself: {new[0].text}", changes)
    return Outcome(UNKNOWABLE, ", ".join(changes), changes)


def changed(whole: Rows, rows: Rows) -> Iterator[str]:
    """What differs: "table: lost", "table: new", or "table.column", and "frames.pose: lost"."""
    for table, before in whole.items():
        key = _KEYS.get(table)
        if key is None:
            if rows[table] != before:
                yield f"{table}: other"
            continue
        old = {tuple(row[name] for name in key): row for row in before}
        new = {tuple(row[name] for name in key): row for row in rows[table]}
        if set(old) - set(new):
            yield f"{table}: lost"
        if set(new) - set(old):
            yield f"{table}: new"
        columns = {name for each in set(old) & set(new) for name in old[each] if old[each][name] != new[each][name]}
        for name in sorted(columns):
            lost = [old[each][name] is not None and new[each][name] is None for each in set(old) & set(new)]
            yield f"{table}.{name}: lost" if any(lost) else f"{table}.{name}"


def impossible(rows: Rows) -> Iterator[str]:
    """What no table may hold, whatever the raw files say."""
    for table, some in rows.items():
        key = _KEYS.get(table)
        if key:
            twice = [each for each, n in Counter(tuple(row[name] for name in key) for row in some).items() if n > 1]
            if twice:
                yield f"{table}: {twice[0]} stands twice"
        for row in some:
            for name, value in row.items():
                if any(not math.isfinite(number) for number in _numbers(value)):
                    yield f"{table}.{name} is not finite"
    for row in rows.get("objects", []):
        if max(map(abs, (*row["centroid"], *row["axes_lengths"], *row["aabb_min"], *row["aabb_max"]))) > _FAR_M:
            yield f"object {row['object_id']} is {row['centroid']} m away, its sides {row['axes_lengths']}"
        if min(row["axes_lengths"]) < 0 or any(a > b for a, b in zip(row["aabb_min"], row["aabb_max"])):
            yield f"object {row['object_id']} has no extent"
    for row in rows.get("scenes", []):
        if row["room_size_m2"] is not None and not 0 < row["room_size_m2"] < _FAR_M**2:
            yield f"a room of {row['room_size_m2']} m2"
    for row in rows.get("frames", []):
        if row["pose"] is not None and not valid_pose(_matrix(row["pose"])):
            yield f"frame {row['frame_index']} has a pose that is none"


def _matrix(values: list[float]):
    import numpy as np

    return np.reshape(values, (4, 4))


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, list) and len(value) <= 64:
        for each in value:
            yield from _numbers(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _numbers(each)
