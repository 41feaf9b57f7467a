"""Estimate the cost of questions to a paid model before the first is sent: pictures, tokens and dollars.

Pictures are counted with their real sizes by the rule of the price table. Text is counted as one token per four
characters (assumed: English). A reply is at most `max_tokens` long; its expected length is the mean of the replies in
the cache, or assumed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from rollout3d import tables
from rollout3d.geometry.camera import sample_indices
from rollout3d.resize import smart_size
from rollout3d.tables.frame_sets import of_set
from rollout3d.tables.rows import FrameRow
from rollout3d.teacher.client import Image, request_digest
from rollout3d.teacher.prices import ModelPrice, PictureRule
from rollout3d.teacher.replies import read_reply

CHARACTERS_PER_TOKEN = 4
"""[assumed: English, as OpenAI's rule of thumb has it]"""
OVERHEAD = 8
"""Tokens per message beside its parts. [assumed]"""
ASSUMED_OUT = {"annotate": 350, "judge": 30}
"""Tokens per reply of each stage while none is in the cache. [assumed]"""
FILES = 16
"""Maximum number of scene tables read for the mean size of pictures."""


@dataclass(frozen=True)
class Load:
    """Content of one attempt at every question. `source`: origin of the sizes of the pictures, in words."""

    rows: int
    pictures: float
    picture_tokens: float
    text_tokens: float
    source: str

    @property
    def tokens_in(self) -> float:
        return self.picture_tokens + self.text_tokens

    def times(self, rows: int) -> Load:
        """Return the load of the same mean request, `rows` times."""
        share = rows / self.rows
        found = (self.pictures * share, self.picture_tokens * share, self.text_tokens * share)
        return Load(rows, *found, self.source)


def replies(cache: Path | str) -> dict[str, Any]:
    """Return number, tokens and dollars of the replies in a cache, as `Estimate` takes them.

    Raises TeacherRefused for a damaged reply.
    """
    found = [read_reply(path) for path in Path(cache).glob("*.json")]
    return {
        "replies": len(found),
        "replies_tokens_out": sum(reply.tokens_out for reply in found),
        "replies_usd": sum(reply.usd for reply in found),
    }


def text_tokens(text: str) -> float:
    """Return the expected number of tokens of a text, by its length."""
    return len(text) / CHARACTERS_PER_TOKEN


def counted(requests: Iterable[tuple[str, Sequence[tuple[int, int]]]], rule: PictureRule) -> Load:
    """Return the load of real requests: the text of each, and (width, height) of its pictures."""
    rows, pictures, seen, read = 0, 0, 0, 0.0
    for text, sizes in requests:
        rows, pictures = rows + 1, pictures + len(sizes)
        seen += sum(rule.tokens(width, height) for width, height in sizes)
        read += text_tokens(text) + OVERHEAD
    return Load(rows, pictures, seen, read, "their real sizes")


def typical(
    frames: Sequence[Path | str],
    maps: Sequence[Path | str],
    frame_set: str,
    n_frames: int,
    text: str,
    rule: PictureRule,
) -> Load | None:
    """Return the mean request about a scan of these tables, of which at most FILES are read; None without frames."""
    shown: list[list[tuple[int, int]]] = []
    for path in _spread(frames):
        with tables.TableFile(path, tables.FRAMES) as file:
            scans: dict[str, list[FrameRow]] = {}
            for row in file.rows(columns=["scene_id", "frame_index", "sets", "width", "height"]):
                scans.setdefault(row["scene_id"], []).append(cast(FrameRow, row))
        for rows in scans.values():
            sizes = [(row["width"], row["height"]) for row in of_set(rows, frame_set)]
            if not sizes:
                continue
            shown.append([sizes[i] for i in dict.fromkeys(sample_indices(len(sizes), n_frames))])
    if not shown:
        return None
    above = next((size for path in maps if (size := _bev_size(path))), None)
    load = counted(((text, [*([above] if above else []), *sizes]) for sizes in shown), rule)
    return replace(load, source=f"the mean of {len(shown)} scans").times(1)


def assumed(n_frames: int, max_pixels: int, bev_size: int | None, text: str, rule: PictureRule) -> Load:
    """Return a request about a scan that is not ingested yet: frames of 4:3 as large as `max_pixels` allows."""
    height, width = smart_size(3000, 4000, 1, max_pixels)
    sizes = [(width, height)] * n_frames + ([(bev_size, bev_size)] if bev_size else [])
    return replace(counted([(text, sizes)], rule), source=f"assumed: frames of {width}x{height} pixels")


def _spread(paths: Sequence[Path | str]) -> list[Path | str]:
    if len(paths) <= FILES:
        return list(paths)
    return [paths[i * len(paths) // FILES] for i in range(FILES)]


def _bev_size(path: Path | str) -> tuple[int, int] | None:
    """Return the size of the first view from above in a table; all have the same."""
    with tables.TableFile(path, tables.MAPS) as file:
        rows = file.rows(0, ["bev"]) if file.n_rows else []
    return png_size(rows[0]["bev"]["bytes"]) if rows else None


def png_size(data: bytes) -> tuple[int, int]:
    """Read (width, height) from the header of a PNG file."""
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a stage; `text` is printed by `--estimate`."""

    stage: str
    load: Load
    price: ModelPrice
    attempts: int
    max_tokens: int
    assumed_out: int
    """Tokens per reply that are expected while there is none."""
    limit_key: str
    max_usd: float
    upper_bound: bool = False
    """True where `load.rows` is the most that there can be."""
    replies: int = 0
    """Replies in the cache, with the tokens and dollars of all of them."""
    replies_tokens_out: int = 0
    replies_usd: float = 0.0
    answered: int = 0
    """Questions of `load` whose first attempt is in the cache."""

    @property
    def tokens_out(self) -> float:
        """Expected tokens per reply."""
        mean = self.replies_tokens_out / self.replies if self.replies else self.assumed_out
        return min(float(self.max_tokens), mean)

    def usd(self, batch: bool, worst: bool = False, rows: int | None = None) -> float:
        """Return the dollars for one attempt at each question, or at `rows` of them."""
        rows = self.load.rows if rows is None else rows
        if not rows:
            return 0.0
        out = rows * (self.max_tokens if worst else self.tokens_out)
        return replace(self.price, batch=batch).cost(self.load.times(rows).tokens_in, out)

    @property
    def left(self) -> int:
        """Questions whose first attempt is still to be paid for."""
        return self.load.rows - self.answered

    @property
    def exceeds(self) -> bool:
        """True if one attempt at what is left is expected to exceed what the limit leaves."""
        return self.usd(self.price.batch, rows=self.left) > self.max_usd - self.replies_usd

    def text(self) -> str:
        """Return several lines: rows, pictures, tokens, dollars at both prices, money spent and left."""
        load, most = self.load, "at most " if self.upper_bound else ""
        if not load.rows:
            return f"{self.stage}: no questions, no cost"
        mean = (
            f"the mean of {self.replies:,} replies in the cache" if self.replies else "assumed: no reply is cached yet"
        )
        lines = [
            f"{self.stage}: {most}{load.rows:,} questions to {self.price.model}",
            f"  pictures       {load.pictures:14,.0f}  {load.pictures / load.rows:.1f} per question, {load.source}",
            f"  tokens in      {load.tokens_in:14,.0f}  {load.picture_tokens:,.0f} of them pictures; text at "
            f"{CHARACTERS_PER_TOKEN} characters per token",
            f"  tokens out     {load.rows * self.tokens_out:14,.0f}  {self.tokens_out:.0f} per reply ({mean}); at most "
            f"{self.max_tokens}",
            f"  {'dollars':<42}{'list price':>12}{'in batches':>12}",
            self._row("one attempt, expected", False, 1),
            self._row("one attempt, longest replies", True, 1),
        ]
        if self.attempts > 1:
            lines.append(self._row(f"all {self.attempts} attempts, longest replies", True, self.attempts))
        lines += [f"  paid: {self._paid()}", f"  limit: {self._limit()}", f"  price: {self.price}"]
        return "\n".join(lines)

    def short(self) -> str:
        """Return one line for the preflight."""
        here, there = self.usd(False), self.usd(True)
        most = "at most " if self.upper_bound else "about "
        return (
            f"{self.stage}: {most}{self.load.rows:,} questions with {self.load.pictures:,.0f} pictures "
            f"({self.load.source}) to {self.price.model}: {here:.2f} dollars for one attempt, {there:.2f} in batches "
            f"({self._key('batch')}: true); {self.price.dated}. {self._limit()}"
        )

    def _row(self, what: str, worst: bool, times: int) -> str:
        return f"    {what:<40}{times * self.usd(False, worst):12,.2f}{times * self.usd(True, worst):12,.2f}"

    def _key(self, name: str) -> str:
        return self.limit_key.replace("max_usd", name)

    def _paid(self) -> str:
        if not self.replies:
            return "nothing yet"
        return (
            f"{self.replies_usd:,.2f} dollars for {self.replies:,} replies in the cache; {self.answered:,} of the "
            "questions have one"
        )

    def _limit(self) -> str:
        mode = "in batches" if self.price.batch else "at list price"
        expected = self.usd(self.price.batch, rows=self.left)
        said = f"{self.limit_key} = {self.max_usd:,.2f} dollars"
        if self.max_usd <= 0:
            return f"{said}: nothing is asked until it is raised"
        room = self.max_usd - self.replies_usd
        rest = f"what is left of it, {max(0.0, room):,.2f}" if self.replies else "it"
        if self.exceeds:
            share = max(0.0, room / expected)
            return (
                f"{said}: {rest} covers {share:.0%} of one attempt {mode} ({expected:,.2f}); the stage stops there "
                "with an error and keeps what it paid for"
            )
        worst = self.usd(self.price.batch, worst=True, rows=self.left) * self.attempts
        enough = "every attempt at its longest" if worst <= room else "one attempt"
        return f"{said}: {rest} covers {enough} {mode}"


def exact(
    stage: str,
    requests: Iterable[Sequence[str | Image]],
    known: ModelPrice,
    cache: Path | None,
    options: dict[str, Any],
    **limits: Any,
) -> Estimate:
    """Estimate the cost of real requests, and count those with a reply in the cache. `limits`: rest of `Estimate`."""
    answered = 0
    cached = {path.stem for path in cache.glob("*.json")} if cache else set()

    def counts() -> Iterator[tuple[str, list[tuple[int, int]]]]:
        nonlocal answered
        for parts in requests:
            if cached:  # pictures are digested only if it tells something
                answered += request_digest(known.model, options, parts, 0) in cached
            sizes = [(part.width, part.height) for part in parts if isinstance(part, Image)]
            yield "".join(part for part in parts if isinstance(part, str)), sizes

    load = counted(counts(), known.pictures)
    return of_load(stage, load, known, cache, options["max_tokens"], answered=answered, **limits)


def of_load(stage: str, load: Load, known: ModelPrice, cache: Path | None, max_tokens: int, **limits: Any) -> Estimate:
    """Estimate the cost of a load, with the mean reply of the cache. `limits`: rest of `Estimate`."""
    paid = replies(cache) if cache else {}
    return Estimate(stage, load, known, max_tokens=max_tokens, assumed_out=ASSUMED_OUT[stage], **paid, **limits)
