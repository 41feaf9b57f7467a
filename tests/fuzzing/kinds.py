"""Which mutations a file gets, by its name's ending."""

from __future__ import annotations

from pathlib import PurePath

from fuzzing.media import PICTURES, VIDEOS, ZIP
from fuzzing.mutations import BYTES, HEADERS, JSON, TEXT, Mutation

_OWN: dict[str, list[Mutation]] = {
    **dict.fromkeys((".txt", ".csv", ".tsv", ".traj", ".pincam"), TEXT),
    **dict.fromkeys((".json", ".jsonl"), JSON),
    ".zip": ZIP,
    **dict.fromkeys((".png", ".jpg", ".jpeg"), PICTURES),
    **dict.fromkeys((".mkv", ".mp4"), VIDEOS),
}


def of(path: str) -> list[Mutation]:
    """The mutations of a file's content: those of every file, and those of its kind, by its name's ending."""
    return [*BYTES, *_OWN.get(PurePath(path).suffix.lower(), HEADERS)]
