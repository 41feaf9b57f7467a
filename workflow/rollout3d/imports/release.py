"""A whole released file, written as a table of usable rows and a table of what was left out, with reasons."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.frames import train_set
from rollout3d.imports.media import picture, video_frames
from rollout3d.imports.records import ExternalError, Unusable
from rollout3d.progress import progress
from rollout3d.resize import JPEG_QUALITY
from rollout3d.tables.groups import GROUP

_log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")


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


_FILTERS = {
    "not in external.spatial_types": "name the question types to take in external.spatial_types",
    "not among the external.general drawn": "external.general says how many general questions are taken",
}
"""Kind of record that is left out on purpose -> which key decides it."""


class Losses:
    """Counts the records of a file that are left out, by kind, each with its first example.

    `damaged`: those that cannot be used; `filtered`: those that a release or a filter sets aside, which is no damage.
    """

    def __init__(self, path: Path, max_share: float):
        self._path, self._max_share = path, max_share
        self.damaged: Counter[str] = Counter()
        self.filtered: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._files: set[str] = set()

    def add(self, why: Unusable) -> None:
        (self.filtered if why.expected else self.damaged)[why.kind] += 1
        self._examples.setdefault(why.kind, str(why))
        if why.file:
            self._files.add(why.kind)

    def check(self, total: int) -> None:
        """Raise ExternalError if the damaged ones are more than the configured share of `total` records."""
        lost = self.damaged.total()
        if lost <= self._max_share * total:
            return
        raise ExternalError(
            f"{self._path}: {lost} of {total} records cannot be used, more than MAX_SHARE_DROPPED = "
            f"{self._max_share:g} of them, such as {self._listed(self.damaged)}. {self._remedy()}, or raise the limit: "
            "what cannot be used is then left out, with its reason in the table of dropped questions"
        )

    def nothing(self, total: int, doubt: str) -> ExternalError:
        """Return the error for a file of which no record is left: its filters where they took all, else the doubt."""
        if not self.damaged:
            how = "; ".join(_FILTERS[kind] for kind in self.filtered if kind in _FILTERS)
            return ExternalError(
                f"{self._path}: none of its {total} records is taken: {self._listed(self.filtered)}"
                + (f" ({how})" if how else "; these are filters, the file itself is readable")
            )
        return ExternalError(
            f"{self._path}: none of its {total} records can be used; {doubt} The first: {self._listed(self.damaged)}"
        )

    def _listed(self, kinds: Counter[str]) -> str:
        return "; ".join(f"{n} times '{self._examples[kind]}'" for kind, n in kinds.most_common(3))

    def _remedy(self) -> str:
        """Return what to do about the damage: about files that are not there, and about texts of another form."""
        remedies = []
        if self._files & self.damaged.keys():
            remedies.append("Download the release completely and unpack its archives where they lie")
        if self.damaged.keys() - self._files:
            remedies.append("Check that the file is the release that its key in site.external names")
        return "; ".join(remedies)


# --- a whole release -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sample:
    """A record that reads well: its row without media, and the file that it shows; None for a scan's question and for a
    text alone."""

    row: dict[str, Any]
    file: Path | None = None
    shows: str = ""
    """image | video | text (alone); empty for a scan's question."""

    @property
    def general(self) -> bool:
        """True if the question is about no scan."""
        return self.row["scene_id"] is None


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


@dataclass(frozen=True)
class Import:
    """Places of the two tables that an import writes, and its settings."""

    out: Path
    """Table of usable rows."""
    dropped: Path
    """Table QUESTIONS_DROPPED: the records that were left out."""
    config: Config
    lineage: tables.Lineage | Callable[[], tables.Lineage]
    threads: int = 1
    """Pictures and videos decoded at a time."""
    sets: Collection[str] = ()
    """Frame sets that are stored of videos; none: the one that training shows."""


def import_records(release: Release, to: Import) -> tuple[int, int]:
    """Write the release's table, and that of the records left out; return the number of rows of each.

    Rows keep the order of the file, whatever the number of threads. The file is read twice: texts and missing files
    are checked before the first picture is decoded. Raises ExternalError, and leaves no table behind, if the file is
    damaged or more than `External.max_share_dropped` of its records cannot be used.
    """
    path, config, share = release.path, to.config, to.config.external.max_share_dropped
    total, losses = 0, Losses(path, share)
    for _, found in progress(release.candidates(), "checking records"):
        total += 1
        if isinstance(found, Unusable):
            losses.add(found)
    losses.check(total)

    losses = Losses(path, share)
    kept, left_out = [], []
    n_kept = n_left_out = 0
    load = partial(_load, root=release.root, config=config, sets=to.sets or {train_set(config.video)})
    with (
        tables.Writer(release.table, to.out, to.lineage) as samples,
        tables.Writer(tables.QUESTIONS_DROPPED, to.dropped, to.lineage) as drops,
    ):
        for name, found in progress(in_order(load, release.candidates(), to.threads), "importing records", total):
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
            raise losses.nothing(total, release.doubt)
    _log.info(
        "%s: %d rows, %d left out: damaged %s, filtered %s",
        *(path.name, n_kept, n_left_out, dict(losses.damaged) or "none", dict(losses.filtered) or "none"),
    )
    return n_kept, n_left_out


def _load(
    candidate: Candidate, root: Path, config: Config, sets: Collection[str]
) -> tuple[str, dict[str, Any] | Unusable]:
    """Return the whole row of a candidate, its picture or frames included."""
    name, found = candidate
    if isinstance(found, Unusable):
        return name, found
    if found.file is None:
        return name, {**found.row, "media": None}
    show = picture if found.shows == "image" else partial(video_frames, sets=sets)
    try:
        return name, {**found.row, "media": show(found.file, config.video, JPEG_QUALITY)}
    except OSError as error:
        why = Unusable("unreadable file", error.strerror or str(error))
    except Unusable as unusable:
        why = unusable
    why.file = found.file.relative_to(root).as_posix()
    return name, why
