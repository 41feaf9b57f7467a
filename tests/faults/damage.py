"""Tables that a disk has damaged, upstream of a finished or a coming training."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from faults.table import Line
from faults.world import BATCH, Expected, World, expect

QUESTIONS = "train/ocr_rl.parquet"
FRAMES = "scenes/scannet/0/frames.parquet"
MAPS, ANSWERS = "scenes/scannet/0/maps.parquet", "difficulty/frames16_bev/0.parquet"
"""A table too large to be read with its footer, and answers to questions that show its pictures."""
FOOTER = 70_000
"""Bytes at a table's end that a reader of the footer may look at."""


def rewrite(path: Path, data: bytes) -> None:
    """Other bytes under the same time: a disk that fails tells nobody."""
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :]


def truncate(path: Path) -> None:
    rewrite(path, path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    rewrite(path, b"")


def flip_footer(path: Path) -> None:
    data = path.read_bytes()
    rewrite(path, flipped(data, len(data) - 200))


def flip_rows(path: Path) -> None:
    """A bit in every 16 kB of the rows, none near the footer, which every reader checks."""
    data = path.read_bytes()
    for at in range(8_000, len(data) - FOOTER, 16_000):
        data = flipped(data, at)
    rewrite(path, data)


def noticed(world: World, what: str, name: str, damage: Callable[[Path], None]) -> Line:
    """Damage that the next `all` sees without reading rows: two tables, a small one and one with pictures."""
    study = world.clone(name.replace(" ", "_"))
    try:
        for table in (QUESTIONS, FRAMES):
            damage(study.results / table)
        said = study.all()
        for table in (QUESTIONS, FRAMES):
            expect(f"{table}: not a readable" in said, f"{table} is not named in\n{said[:3000]}")
        told = "`all` named both tables, made them again and put back all that had been trained and answered"
        return world.line(f"upstream table {what}", told, study, Expected())
    finally:
        study.close()


def truncated(world: World) -> Line:
    """upstream tables truncated"""
    return noticed(world, "truncated", "truncated", truncate)


def emptied(world: World) -> Line:
    """upstream tables of no bytes"""
    return noticed(world, "empty", "emptied", empty)


def flipped_footer(world: World) -> Line:
    """upstream tables with a flipped bit in the footer"""
    return noticed(world, "with a flipped bit (footer)", "flipped_footer", flip_footer)


def flipped_rows(world: World) -> Line:
    """an upstream table with flipped bits among its rows, which a job then reads"""
    study = world.clone("flipped_rows")
    try:
        path = study.results / MAPS
        flip_rows(path)
        expect("Nothing to be done" in study.all(), "`all` ran something, though no job reads the table")
        study.forget(ANSWERS)
        said = study.all(ok=False)
        text = study.log("difficulty", "frames16_bev.0")
        named = [line for line in text.splitlines() if line.startswith("error:")]
        expect(len(named) == 1 and MAPS in named[0], f"not one error naming it: {named}\n{text[-2000:]}")
        expect("delete it and run" in named[0], f"the error does not say what rebuilds it: {named[0]}")
        expect(named[0] in said, f"the driver does not show the error\n{said[-2000:]}")
        path.unlink()
        study.all()
        told = "its reader stopped with one error that names the table; deleted as that says, it was made again"
        may = Expected(answers=BATCH, to_answer={ANSWERS})
        return world.line("upstream table with flipped bits (rows)", told, study, may)
    finally:
        study.close()


QUICK = (truncated,)
ALL = (*QUICK, emptied, flipped_footer, flipped_rows)
