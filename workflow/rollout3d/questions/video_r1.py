"""Video-R1's cold start (Video-R1-COT-165k) as a table of samples with reasoning: rows of Tables 3 and 4 start there.

A record names one picture or video below the folder of its JSON file. Its options stay as given, its answer is what
stands in the answer tag of `solution`, and the text to be learnt is `process`, a line break, and `solution`, as
Video-R1's SFT script joins them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.progress import progress
from rollout3d.questions.external import (
    ExternalError,
    Losses,
    Unusable,
    file_of,
    in_order,
    picture,
    records,
    text_of,
    video_frames,
)
from rollout3d.scoring.parse import extract_answer, parse_number, well_formed

NAME = "video_r1_cot"
"""Its key in `site.external`, its dataset in the table, and the train table's name."""

ANSWER_TYPES = {
    "multiple choice": "choice",
    "numerical": "number",
    "ocr": "ocr",
    "free-form": "text",
    "regression": "regression",
}
"""Video-R1's problem_type, in small letters -> answer_type."""

GROUP = 32
"""Rows of a row group: training reads a whole one to get at one row's pictures."""

_THINK = re.compile(r"<think>\s*(.*?)\s*</think>", re.DOTALL)
_LETTER = re.compile(r"[A-Z]")

_log = logging.getLogger(__name__)

Row = dict[str, Any]


@dataclass(frozen=True)
class Sample:
    """A record that reads well: its row of `tables.OCR_SFT` without media, and the file that it shows."""

    row: Row
    file: Path
    shows: str
    """image | video"""


Candidate = tuple[str, Sample | Unusable]
"""Name of a record for the dropped table, and what it is."""


def import_cot(
    path: Path, out: Path, dropped: Path, config: Config, lineage: tables.Lineage, threads: int = 1
) -> tuple[int, int]:
    """Write the table of samples (OCR_SFT) and of what was left out (QUESTIONS_DROPPED); return how many of each.

    Rows keep the order of the file, whatever the number of threads. The file is read twice: texts and missing files
    are checked before the first picture is decoded. Raises ExternalError, and leaves no table behind, if the file is
    damaged or more than `external.max_share_dropped` of its records cannot be used.
    """
    share = config.external.max_share_dropped
    total, losses = 0, Losses(path, share)
    for _, found in progress(candidates(path), "checking records"):
        total += 1
        if isinstance(found, Unusable):
            losses.add(found)
    losses.check(total)

    losses = Losses(path, share)
    kept, left_out = [], []
    n_kept = n_left_out = 0
    load = partial(_load, root=path.parent, config=config)
    with (
        tables.Writer(tables.OCR_SFT, out, lineage) as samples,
        tables.Writer(tables.QUESTIONS_DROPPED, dropped, lineage) as drops,
    ):
        for name, found in progress(in_order(load, candidates(path), threads), "importing records", total):
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
            raise ExternalError(f"{path}: none of its {total} records can be used; is it Video-R1-COT-165k.json?")
    _log.info("%s: %d samples, %d left out: %s", path.name, n_kept, n_left_out, dict(losses.kinds) or "none damaged")
    return n_kept, n_left_out


def candidates(path: Path) -> Iterator[Candidate]:
    """The records of the file, read as far as their texts go; a record that is listed again is unusable."""
    seen: set[str] = set()
    for number, record in enumerate(records(path)):
        given = record.get("problem_id")
        name = f"{NAME}/{number if given is None else given}".encode(errors="replace").decode()
        try:
            found = sample(record, path)
            if found.row["question_id"] in seen:
                raise Unusable("listed twice", expected=True)
            seen.add(found.row["question_id"])
            yield name, found
        except Unusable as why:
            yield name, why
        except ValueError as error:  # what has no JSON or no UTF-8: not a number, half a character
            yield name, Unusable("malformed record", str(error))


def sample(record: Row, path: Path) -> Sample:
    """One record of the file at `path`. Raises Unusable with the reason if it cannot be learnt from."""
    if record.get("select") is False:
        raise Unusable("not selected by Video-R1's own check", expected=True)
    kind, shows, stated = (text_of(record, key) for key in ("problem_type", "data_type", "path"))
    if kind.lower() not in ANSWER_TYPES:
        raise Unusable("unknown problem_type", kind)
    if shows not in ("image", "video"):
        raise Unusable("unknown data_type", shows)
    answer_type = ANSWER_TYPES[kind.lower()]
    options = _options(record) if answer_type == "choice" else None
    process, solution = text_of(record, "process"), text_of(record, "solution")
    think, target = _THINK.fullmatch(process), f"{process}\n{solution}"
    if think is None or not think.group(1) or not well_formed(target):
        raise Unusable("malformed reasoning or answer", (process if think is None else solution)[:80])
    row = {
        "scene_id": None,
        "space_id": None,
        "split": "train",
        "dataset": NAME,
        "question_type": kind,
        "answer_type": answer_type,
        "question": text_of(record, "problem"),
        "options": options,
        "ground_truth": _truth(solution, answer_type, options),
        "objects": [],
        "source": path.name,
        "evidence": tables.canonical_json({key: record.get(key) for key in ("problem_id", "data_source", "path")}),
        "think": think.group(1),
        "target": target,
    }
    # Many questions share their words: the file shown belongs to the identity.
    identity = tables.digest([tables.question_id(row), row["evidence"]])[:16]
    return Sample({"question_id": identity, **row}, file_of(path.parent, stated), shows)


def _options(record: Row) -> list[str] | None:
    options = record.get("options") or None
    if options and not (isinstance(options, list) and all(isinstance(option, str) for option in options)):
        raise Unusable("malformed options", str(options)[:80])
    return options


def _truth(solution: str, answer_type: str, options: list[str] | None) -> str:
    """The answer as the table has it: the letter, the number without thousands separators, or the text."""
    answer = extract_answer(solution)
    if answer is None:
        raise Unusable("malformed reasoning or answer", solution[:80])
    if answer_type == "choice":
        letter = answer.removesuffix(".").upper()
        if not _LETTER.fullmatch(letter) or (options and ord(letter) - ord("A") >= len(options)):
            raise Unusable("malformed answer", f"'{answer[:80]}' is no letter of an option")
        return letter
    if answer_type in ("number", "regression"):
        number = answer.replace(",", "")
        if parse_number(number) is None:
            raise Unusable("malformed answer", f"'{answer[:80]}' is no number")
        return number
    return answer


def _load(candidate: Candidate, root: Path, config: Config) -> tuple[str, Row | Unusable]:
    """The whole row of a candidate, its picture or frames included."""
    name, found = candidate
    if isinstance(found, Unusable):
        return name, found
    show = picture if found.shows == "image" else video_frames
    try:
        return name, {**found.row, "media": show(found.file, config.video, config.scenes.jpeg_quality)}
    except OSError as error:
        why = Unusable("unreadable file", error.strerror or str(error))
    except Unusable as unusable:
        why = unusable
    why.file = found.file.relative_to(root).as_posix()
    return name, why
