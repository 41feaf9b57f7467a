"""Questions that others released, as rows of our table: SpaceR-151k, VLM-3R's JSON files, Video-R1-260k.

A question about a scan (spatial) is recognised by its text; it brings no media, for the scan's own frames are shown.
Any other question (general) brings its picture or the frames of its video, or is a text alone. Source: the releases as
read from their own scripts; no file of theirs was at hand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import Config, question_types
from rollout3d.imports import wording
from rollout3d.imports.asked import Asked, asked
from rollout3d.imports.choices import implied_options, letter, option_texts, word
from rollout3d.imports.numbers import number
from rollout3d.imports.records import Unusable, records
from rollout3d.imports.release import Candidate, Import, Release, Sample, import_records, unique
from rollout3d.imports.scans import scan_of
from rollout3d.imports.video_r1 import labels_of
from rollout3d.imports.wording import Reading
from rollout3d.questions.templates import lettered
from rollout3d.questions.types import QuestionType
from rollout3d.scenes.datasets import space_of
from rollout3d.scoring.scorers import match
from rollout3d.seeding import stable_hash

SOURCES = ("spacer", "vlm3r_route", "vlm3r_order", "video_r1")
"""Keys of `site.external` that are files of questions; the name of a source in the table."""

Row = dict[str, Any]


def import_questions(source: str, path: Path, to: Import) -> tuple[int, int]:
    """Write the questions of a release (QUESTIONS) and the records left out; return the number of rows of each.

    Spatial questions stay if their type is one of `external.spatial_types`; of the general ones `external.general`
    are drawn by seed. Errors as `release.import_records`.
    """
    read = partial(candidates, source, path, to.config)
    drawn = _drawn(read(), to.config.external.general, to.config.seed)
    release = Release(tables.QUESTIONS, path, path.parent, partial(_only, read, drawn), f"is it a file of {source}?")
    return import_records(release, to)


def candidates(source: str, path: Path, config: Config) -> Iterator[Candidate]:
    """Every record of the file, as far as its text goes."""
    return unique(source, records(path), lambda record: sample(record, source, path, config))


def _drawn(found: Iterator[Candidate], n: int, seed: int) -> set[str]:
    """question_ids of the `n` general questions of smallest seeded hash."""
    ids = (c.row["question_id"] for _, c in found if isinstance(c, Sample) and c.general)
    return {q for _, q in nsmallest(n, ((stable_hash(seed, "general", q), q) for q in ids))} if n else set()


def _only(read: Any, drawn: set[str]) -> Iterator[Candidate]:
    for name, found in read():
        if isinstance(found, Sample) and found.general and found.row["question_id"] not in drawn:
            yield name, Unusable("not among the external.general drawn", expected=True)
        else:
            yield name, found


def sample(record: Row, source: str, path: Path, config: Config) -> Sample:
    """One record of the file at `path`. Raises Unusable with the reason if it cannot be learnt from."""
    of = asked(record)
    stated = record.get("question_type")
    names = question_types.asked(config.external.spatial_types)
    about_scans = record.get("data_source") == "SR_dataset" or source.startswith("vlm3r") or stated in names
    reading = wording.read(of.question, names)
    if reading and not about_scans and _shows_no_scan(record):
        reading = None
    if reading is None:
        if about_scans:
            kind = "unknown wording" if stated in names else "unknown question type"
            raise Unusable(kind, f"{stated}: {of.question}"[:80] if stated else of.question[:80])
        return _checked(_general(record, source, path, of))
    if reading.question_type not in config.external.spatial_types:
        raise Unusable("not in external.spatial_types", reading.question_type, expected=True)
    return _checked(Sample(_spatial(record, source, reading, of)))


def _shows_no_scan(record: Row) -> bool:
    """Return whether a record of general data shows a picture, a video of no scan, or nothing."""
    if "problem_type" not in record:
        return False
    try:
        return record.get("data_type") in ("image", "text") or not scan_of(record)
    except Unusable:
        return True


def _spatial(record: Row, source: str, reading: Reading, of: Asked) -> Row:
    of_type = reading.type
    chosen = of_type.answer is None
    texts = option_texts(of.options or implied_options(of_type, reading.listed)) if chosen else []
    things = wording.things(reading, texts)
    dataset, scene = scan_of(record)
    row = {
        "scene_id": scene,
        "space_id": space_of(dataset, scene),
        "split": "train",
        "dataset": dataset,
        "question_type": of_type.name,
        "answer_type": of_type.answer_type,
        "question": of.question,
        "options": lettered(texts) if chosen else None,
        "ground_truth": _truth(of_type, of, texts),
        "objects": [{"category": name, "object_ids": []} for name in things],
        "source": source,
        "evidence": _origin(record),
    }
    return {"question_id": tables.question_id(row), **row}


def _truth(of_type: QuestionType, of: Asked, texts: list[str]) -> str:
    """Return the letter of the right option, or the number in plain digits."""
    if not texts:
        return number(of.answer, of.question, of_type)
    return letter(of.answer, texts) if of.options else word(of.answer, texts)


def _general(record: Row, source: str, path: Path, of: Asked) -> Sample:
    labels = labels_of(record)
    answer_type = labels.answer_type
    texts = option_texts(of.options) if answer_type == "choice" else []
    if answer_type == "choice":
        truth = letter(of.answer, texts)
    else:
        truth = number(of.answer, of.question) if answer_type in ("number", "regression") else of.answer
    row = {
        "scene_id": None,
        "space_id": None,
        "split": "train",
        "dataset": source,
        "question_type": labels.question_type,
        "answer_type": answer_type,
        "question": of.question,
        "options": lettered(texts) if texts else None,
        "ground_truth": truth,
        "objects": [],
        "source": source,
        "evidence": _origin(record),
    }
    # Many questions share their words: the file shown belongs to the identity.
    identity = tables.digest([tables.question_id(row), labels.stated])[:16]
    return Sample({"question_id": identity, **row}, labels.file(path.parent), labels.shows)


def _checked(made: Sample) -> Sample:
    """The sample, if its answer earns marks against itself: one that cannot would crash a scorer, or teach nothing.

    Full marks for choices, numbers and OCR. Video-R1's reward of regression never reaches 1, and is 0 for a truth of
    0; its ROUGE reads letters and digits of English only.
    """
    truth, kind = made.row["ground_truth"], made.row["answer_type"]
    if kind == "text":
        scored = bool(re.search("[a-z0-9]", truth.lower()))
    else:
        scored = match(truth, kind, truth) >= (0.5 if kind == "regression" else 1)
    if not scored:
        raise Unusable("cannot be scored", f"'{truth[:80]}' as {kind}", expected=True)
    return made


def _origin(record: Mapping[str, Any]) -> str:
    keys = ("problem_id", "id", "data_source", "path", "video")
    return tables.canonical_json({key: record[key] for key in keys if record.get(key) is not None})
