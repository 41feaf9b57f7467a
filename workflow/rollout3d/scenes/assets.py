"""Choose the files of an asset of a scan: the only definition, for readers and for `inventory`.

An asset, such as the video, may be there in several forms. They are tried in a fixed order; forms that are not there or
cannot be opened are skipped. Flags of the scene name every choice but the first (`video:exported`), every damaged file
that was skipped (`damaged:rgb.mkv`), and every file without the other files of its form (`incomplete:vga_wide`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rollout3d.fingerprint import note
from rollout3d.scenes.formats.packed import PackedPath
from rollout3d.scenes.reading import Contradiction, ScanError

T = TypeVar("T")

_LISTED = 8
"""Largest number of a folder's entries that a message names."""


@dataclass(frozen=True)
class Candidate:
    """One form of an asset. `paths`: its files or folders, the main one first.

    `check` reads headers for `inventory`, where the existence of the paths is not enough; it raises `ScanError`.
    `usual` is true for a form that needs no flag although it is not the first, such as that of another download.
    """

    name: str
    paths: tuple[Path | PackedPath, ...]
    usual: bool = False
    check: Callable[[], object] | None = None

    @property
    def absent(self) -> Path | PackedPath | None:
        """The first path that is not there."""
        return next((path for path in self.paths if not _noted(path).exists()), None)


@dataclass(frozen=True)
class Asset:
    """A part of a scan, such as its video. `candidates`: its forms, the preferred one first.

    `remedy`: what to do if no form is there; empty = download the missing files of the preferred form. `needed` is
    false if a scan can be used without the asset. `released` is false if the release itself lacks it, so that its
    absence is no damage.
    """

    what: str
    candidates: tuple[Candidate, ...]
    remedy: str
    needed: bool = True
    released: bool = True

    def missing(self) -> ScanError:
        """Return the error for an asset without any form: the missing file, the folder's content, the remedy."""
        path = self.candidates[0].absent or self.candidates[0].paths[0]
        lacks = "no such file" if self.released else "the release has no such file"
        others = dict.fromkeys(candidate.paths[0].name for candidate in self.candidates[1:])
        others.pop(path.name, None)
        instead = f" (nor, instead, {', '.join(others)})" if others else ""
        wanted = ", ".join(each.name for each in self.candidates[0].paths if not each.exists())
        remedy = self.remedy or f"download {wanted}"
        return ScanError(path, f"{lacks}{instead}; {found_in(path.parent)}; {remedy}", expected=not self.released)

    def first(self, use: Callable[[Candidate], T]) -> tuple[T, list[str]]:
        """Return the result of `use` for the first candidate that is there and intact, and flags of the choice.

        A `ScanError` about one of a candidate's own paths skips the candidate. Other errors are raised: a
        `Contradiction`, an error about another file, and an expected one, which the release itself announces. Raises
        `ScanError` if there is no candidate, or none that can be used.
        """
        problems: list[tuple[ScanError, Path | PackedPath]] = []
        incomplete: list[Path | PackedPath] = []
        for candidate in self.candidates:
            if candidate.absent is not None:
                incomplete += [candidate.paths[0]] if candidate.absent != candidate.paths[0] else []
                continue
            try:
                found = use(candidate)
            except Contradiction:
                raise
            except ScanError as error:
                if error.expected:
                    raise
                own = next((path for path in candidate.paths if _concerns(error.path, path)), None)
                if own is None:
                    raise
                problems.append((error, own))
                continue
            chosen = [] if candidate.usual or candidate is self.candidates[0] else [f"{self.what}:{candidate.name}"]
            passed = {f"incomplete:{path.name}" for path in incomplete if path != candidate.paths[0]}
            return found, [*chosen, *sorted({f"damaged:{own.name}" for _, own in problems} | passed)]
        if not problems:
            raise self.missing()
        (first, _), *others = problems
        if not others:
            raise first
        also = "; ".join(f"{error.path.name}: {error.reason}" for error, _ in others)
        raise ScanError(first.path, f"{first.reason}; what could replace it is no better: {also}") from first

    def file(self) -> tuple[Path | PackedPath, list[str]]:
        """Return the main path of the first candidate that is there, and flags of the choice; nothing is opened."""
        return self.first(lambda candidate: candidate.paths[0])


def _noted(path: Path | PackedPath) -> Path | PackedPath:
    """Return the path, and record it unless it is in an archive, whose opening is recorded."""
    return note(path) if isinstance(path, Path) else path


def _concerns(fault: Path, path: Path | PackedPath) -> bool:
    """Return whether a faulty file belongs to a path: the path itself, a file in it, or the archive that holds it."""
    inside = path in fault.parents
    return inside or fault == path or (isinstance(path, PackedPath) and fault in path.parents)


def found_in(folder: Path | PackedPath) -> str:
    """Return the content of a folder as a clause for a message."""
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir() if not path.name.startswith("."))
    if not names:
        return f"{folder.name}/ is empty"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{folder.name}/ holds {', '.join(names[:_LISTED])}{more}"
