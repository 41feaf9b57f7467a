"""Training files that others released: their records one by one, and their pictures and videos as `media`.

A record that cannot be used is `Unusable`, with the reason; a file of which too much cannot be used is an
`ExternalError`. Nothing here holds a whole file in memory.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

import cv2
import numpy as np

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config import Video as VideoConfig
from rollout3d.config.frames import train_set
from rollout3d.fingerprint import note
from rollout3d.geometry.frames import frame_set
from rollout3d.progress import progress
from rollout3d.resize import resize_frame, smart_size
from rollout3d.scenes.scan import ScanError
from rollout3d.scenes.video import Video

CHUNK = 1 << 20
"""Characters of a file read at a time."""
LONGEST = 1 << 24
"""A record of more characters than this is a damaged file."""

_KEPT = {b"\xff\xd8\xff": ".jpg", b"\x89PNG\r\n\x1a\n": ".png"}
"""First bytes of the formats that are stored as they are."""

GROUP = 32
"""Rows of a row group: training reads a whole one to get at one row's pictures."""

_log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")


class ExternalError(ValueError):
    """A released file that cannot be imported; the message names it and the remedy."""


class Unusable(ValueError):
    """One record that cannot be used. `kind` groups reasons, `detail` belongs to the record, `file` is at fault.

    `expected` marks what the release itself sets aside: left out, but no damage.
    """

    def __init__(self, kind: str, detail: str = "", file: str = "", *, expected: bool = False):
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind, self.file, self.expected = kind, file, expected


# --- records ---------------------------------------------------------------------------------------------------------


class _Stream:
    """JSON values of a text file, decoded one after the other from a window that moves over it."""

    _BLANK = re.compile(r"[ \t\r\n]*")

    def __init__(self, file: TextIO):
        self._file, self._text, self._at = file, "", 0
        self._decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not blank; empty at the end."""
        while True:
            self._at = self._BLANK.match(self._text, self._at).end()
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def skip(self) -> None:
        self._at += 1

    def value(self) -> Any:
        """The value that starts here. Raises json.JSONDecodeError."""
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
    """The objects of a JSON list, or of a file with one object a line, in file order.

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
    except OSError as error:
        raise ExternalError(f"{path}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise ExternalError(f"{path}: damaged after record {count} ({error}); download it again") from error
    if not count:
        raise ExternalError(f"{path}: holds no records; download it again")


def text_of(record: dict[str, Any], key: str) -> str:
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
    """Where a record's file lies below the release's folder. Raises Unusable if it is not there."""
    relative = os.path.normpath(stated)
    if os.path.isabs(relative) or relative.split(os.sep)[0] == "..":
        raise Unusable("path outside the release", stated)
    if not note(root / relative).is_file():
        raise Unusable("missing file", relative, relative)
    return root / relative


# --- pictures and videos ---------------------------------------------------------------------------------------------


def picture(path: Path, video: VideoConfig, quality: int) -> list[dict[str, Any]]:
    """A still picture as `media`: the file as it is, or a JPEG no larger than `video.image_max_pixels`.

    Kept are JPEG and PNG files within the limit. Raises Unusable if it cannot be decoded or shown.
    """
    data = path.read_bytes()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise Unusable("undecodable picture", path.name)
    height, width = pixels.shape[:2]
    size = _size(height, width, *video.image_pixels)
    suffix = next((suffix for magic, suffix in _KEPT.items() if data.startswith(magic)), None)
    if suffix is None or height * width > video.image_max_pixels:
        data, suffix = _jpeg(resize_frame(pixels, *size), quality), ".jpg"
    return [{"bytes": data, "path": f"image/0{suffix}"}]


def video_frames(path: Path, video: VideoConfig, quality: int, sets: Collection[str]) -> list[dict[str, Any]]:
    """The frames of a video that belong to any of `sets` as `media`: upright, JPEG, at most `video.stored_max_pixels`.

    Raises Unusable if one of them cannot be decoded or shown.
    """
    media = []
    try:
        source = Video(path)
        try:
            wanted = {i for name in sets for i in frame_set(name).indices(source.n_frames, source.fps)}
            for index in sorted(wanted):
                rgb = source.frame(index)
                rgb = np.ascontiguousarray(np.rot90(rgb, round(source.rotation_deg / 90)))
                height, width = rgb.shape[:2]
                size = _stored_size(height, width, video.stored_pixels)
                data = _jpeg(resize_frame(rgb, *size)[:, :, ::-1], quality)
                origin = tables.Origin(index, source.n_frames, source.fps, width, height)
                media.append({"bytes": data, "path": tables.frame_path(index / source.fps, origin)})
        finally:
            source.close()
    except ScanError as error:
        raise Unusable("undecodable video", error.reason) from None
    return media


def _stored_size(height: int, width: int, max_pixels: int) -> tuple[int, int]:
    """The size at which a frame is stored: its own, or as much smaller as the limit asks for; what is shown follows
    from its own. Raises Unusable if no model can be shown it."""
    _size(height, width, 1, None)
    scale = math.sqrt(max_pixels / (height * width))
    return (height, width) if scale >= 1 else (max(1, int(height * scale)), max(1, int(width * scale)))


def _size(height: int, width: int, min_pixels: int, max_pixels: int | None) -> tuple[int, int]:
    try:
        return smart_size(height, width, min_pixels, max_pixels)
    except ValueError as error:
        raise Unusable("cannot be shown", str(error)) from None


def _jpeg(bgr: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


# --- many of them ----------------------------------------------------------------------------------------------------


def in_order(work: Callable[[T], U], items: Iterable[T], threads: int) -> Iterator[U]:
    """`work` of every item, on several threads, in the order of the items; few results wait at a time."""
    waiting: deque[Future[U]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class Losses:
    """Counts the records of a file that cannot be used, by kind, each with its first example."""

    def __init__(self, path: Path, max_share: float):
        self._path, self._max_share = path, max_share
        self.kinds: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, why: Unusable) -> None:
        if not why.expected:
            self.kinds[why.kind] += 1
            self._examples.setdefault(why.kind, str(why))

    def check(self, total: int) -> None:
        """Raises ExternalError if they are more than the configured share of `total` records."""
        lost = self.kinds.total()
        if lost <= self._max_share * total:
            return
        listed = "; ".join(f"{n} times '{self._examples[kind]}'" for kind, n in self.kinds.most_common(3))
        raise ExternalError(
            f"{self._path}: {lost} of {total} records cannot be used, more than external.max_share_dropped = "
            f"{self._max_share:g} of them, such as {listed}. Download the release completely and unpack its archives "
            "where they lie, or raise the limit"
        )


# --- a whole release -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A record that reads well: its row without media, and the file that it shows; None for a scan's question."""

    row: dict[str, Any]
    file: Path | None = None
    shows: str = ""
    """image | video"""


Candidate = tuple[str, Sample | Unusable]
"""Name of a record for the dropped table, and what it is."""


@dataclass(frozen=True)
class Release:
    """A file to import: its table, where the files lie that it names, its candidates (read anew at each call)."""

    table: tables.Table
    path: Path
    root: Path
    candidates: Callable[[], Iterator[Candidate]]
    doubt: str
    """What to ask a user whose file holds nothing that can be used."""


def unique(
    source: str, found: Iterable[dict[str, Any]], sample: Callable[[dict[str, Any]], Sample]
) -> Iterator[Candidate]:
    """Candidates of records in order, named "source/number"; what cannot be used or is listed again is Unusable."""
    seen: set[str] = set()
    for number, record in enumerate(found):
        given = record.get("problem_id", record.get("id"))
        name = f"{source}/{number if given is None else given}".encode(errors="replace").decode()
        try:
            made = sample(record)
            if made.row["question_id"] in seen:
                raise Unusable("listed twice", expected=True)
            seen.add(made.row["question_id"])
            yield name, made
        except Unusable as why:
            yield name, why
        except ValueError as error:  # what has no JSON or no UTF-8: not a number, half a character
            yield name, Unusable("malformed record", str(error))


def import_records(
    release: Release,
    out: Path,
    dropped: Path,
    config: Config,
    lineage: tables.Lineage | Callable[[], tables.Lineage],
    threads: int = 1,
    sets: Collection[str] = (),
) -> tuple[int, int]:
    """Write the release's table, and of what was left out (QUESTIONS_DROPPED); return how many rows of each.

    `sets` names the frame sets that are stored of videos; none is the one that training shows.
    Rows keep the order of the file, whatever the number of threads. The file is read twice: texts and missing files
    are checked before the first picture is decoded. Raises ExternalError, and leaves no table behind, if the file is
    damaged or more than `external.max_share_dropped` of its records cannot be used.
    """
    path, share = release.path, config.external.max_share_dropped
    total, losses = 0, Losses(path, share)
    for _, found in progress(release.candidates(), "checking records"):
        total += 1
        if isinstance(found, Unusable):
            losses.add(found)
    losses.check(total)

    losses = Losses(path, share)
    kept, left_out = [], []
    n_kept = n_left_out = 0
    load = partial(_load, root=release.root, config=config, sets=sets or {train_set(config.video)})
    with (
        tables.Writer(release.table, out, lineage) as samples,
        tables.Writer(tables.QUESTIONS_DROPPED, dropped, lineage) as drops,
    ):
        for name, found in progress(in_order(load, release.candidates(), threads), "importing records", total):
            if isinstance(found, Unusable):
                losses.add(found)
                losses.check(total)
                left_out.append({"question_id": name, "file": found.file, "reason": str(found)})
            else:
                kept.append(found)
            if len(kept) == GROUP:
                samples.write(kept)
                n_kept, kept = n_kept + len(kept), []
            if len(left_out) == 4096:
                drops.write(left_out)
                n_left_out, left_out = n_left_out + len(left_out), []
        samples.write(kept)
        drops.write(left_out)
        n_kept, n_left_out = n_kept + len(kept), n_left_out + len(left_out)
        if not n_kept:
            raise ExternalError(f"{path}: none of its {total} records can be used; {release.doubt}")
    _log.info("%s: %d rows, %d left out: %s", path.name, n_kept, n_left_out, dict(losses.kinds) or "none damaged")
    return n_kept, n_left_out


def _load(
    candidate: Candidate, root: Path, config: Config, sets: Collection[str]
) -> tuple[str, dict[str, Any] | Unusable]:
    """The whole row of a candidate, its picture or frames included."""
    name, found = candidate
    if isinstance(found, Unusable):
        return name, found
    if found.file is None:
        return name, {**found.row, "media": None}
    show = picture if found.shows == "image" else partial(video_frames, sets=sets)
    try:
        return name, {**found.row, "media": show(found.file, config.video, config.scenes.jpeg_quality)}
    except OSError as error:
        why = Unusable("unreadable file", error.strerror or str(error))
    except Unusable as unusable:
        why = unusable
    why.file = found.file.relative_to(root).as_posix()
    return name, why
