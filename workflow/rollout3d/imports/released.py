"""Questions that others released, as rows of our table: SpaceR-151k, VLM-3R's JSON files, Video-R1-260k.

Three shapes of records are known: Video-R1's (problem, options, solution; SpaceR's too), VSI-Bench's (question,
options, ground_truth), and conversations between human and gpt (VLM-3R), which hold the options in the text. A
question about a scan (spatial) is recognised by its text; it brings no media, for the scan's own frames are shown. Any
other question (general) brings its picture or the frames of its video. Source: facts of the releases as read from
their own scripts; no file of theirs was at hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from heapq import nsmallest
from pathlib import Path
from typing import Any

from rollout3d import tables
from rollout3d.config import CATEGORIES, DATASETS, Config
from rollout3d.imports.records import Unusable, file_of, records, text_of
from rollout3d.imports.release import Candidate, Release, Sample, import_records, unique
from rollout3d.imports.video_r1 import ANSWER_TYPES
from rollout3d.questions.guard import space_of
from rollout3d.questions.templates import LETTERS, lettered
from rollout3d.scoring.parse import extract_answer, parse_number
from rollout3d.seeding import stable_hash

SOURCES = ("spacer", "vlm3r_route", "vlm3r_order", "video_r1")
"""Keys of `site.external` that are files of questions; the name of a source in the table."""

DEGENERATE = frozenset(
    ("wall", "floor", "ceiling", "object", "otherfurniture", "otherprop", "doorframe", "door frame", "unknown", "split")
)
"""Names that stand for no single thing: questions about them are left out. [SpaceR, data filtering; its early rows]"""

_THE = r"(.+?)"
TEXTS: dict[str, re.Pattern[str]] = {
    "object_counting": re.compile(rf"How many {_THE}(?:\(s\))? are in this room\?"),
    "object_size_estimation": re.compile(rf"longest dimension \(length, width, or height\) of the {_THE}, measured"),
    "room_size_estimation": re.compile(r"What is the size of this room"),
    "object_abs_distance": re.compile(rf"what is the (?:direct )?distance between the {_THE} and the {_THE} \(in"),
    "object_rel_distance": re.compile(rf"which of these objects \({_THE}\) is the closest to the {_THE}\?"),
    "object_rel_direction_easy": re.compile(
        rf"standing by the {_THE} and facing the {_THE}, is the {_THE} to the left or the right of"
    ),
    "object_rel_direction_medium": re.compile(
        rf"standing by the {_THE} and facing the {_THE}, is the {_THE} to my left, right, or back"
    ),
    "object_rel_direction_hard": re.compile(
        rf"standing by the {_THE} and facing the {_THE}, is the {_THE} to my front-left"
    ),
    "obj_appearance_order": re.compile(rf"first-time appearance order of .*? in the video: {_THE}\?"),
    "route_planning": re.compile(r"You are a robot beginning at"),
}
"""Question type -> its text in any of the releases' wordings; the groups are the things that it names."""

_PREAMBLE = re.compile(r"\s*(?:<(?:image|video)>\s*|These are frames of a video\.\s*|Question:\s*)*")
_ASKED = re.compile(r"(?:Please a|A)nswer (?:the question using|with the option's letter)[^\n]*\s*$")
_OPTION = re.compile(r"\(?([A-Z])\s*[.):]\s*(\S.*)", re.DOTALL)
_SCANNET = re.compile(r"scene\d{4}_\d{2}")

Row = dict[str, Any]


def import_questions(
    source: str,
    path: Path,
    out: Path,
    dropped: Path,
    config: Config,
    lineage: tables.Lineage | Callable[[], tables.Lineage],
    threads: int = 1,
    sets: Collection[str] = (),
) -> tuple[int, int]:
    """Write the questions of a release (QUESTIONS) and what was left out (QUESTIONS_DROPPED); return how many of each.

    Spatial questions stay if their type is one of `external.spatial_types`; of the general ones `external.general`
    are drawn by seed. Errors as `release.import_records`.
    """
    read = partial(candidates, source, path, config)
    drawn = _drawn(read(), config.external.general, config.seed)
    release = Release(tables.QUESTIONS, path, path.parent, partial(_only, read, drawn), f"is it a file of {source}?")
    return import_records(release, out, dropped, config, lineage, threads, sets)


def candidates(source: str, path: Path, config: Config) -> Iterator[Candidate]:
    """Every record of the file, as far as its text goes."""
    return unique(source, records(path), lambda record: sample(record, source, path, config))


def _drawn(found: Iterator[Candidate], n: int, seed: int) -> set[str]:
    """question_ids of the `n` general questions of smallest seeded hash."""
    ids = (c.row["question_id"] for _, c in found if isinstance(c, Sample) and c.file is not None)
    return {q for _, q in nsmallest(n, ((stable_hash(seed, "general", q), q) for q in ids))} if n else set()


def _only(read: Any, drawn: set[str]) -> Iterator[Candidate]:
    for name, found in read():
        if isinstance(found, Sample) and found.file is not None and found.row["question_id"] not in drawn:
            yield name, Unusable("not among the external.general drawn", expected=True)
        else:
            yield name, found


def sample(record: Row, source: str, path: Path, config: Config) -> Sample:
    """One record of the file at `path`. Raises Unusable with the reason if it cannot be learnt from."""
    question, options, answer = _asked(record)
    stated = record.get("question_type")
    found = {kind: pattern.search(question) for kind, pattern in TEXTS.items()}
    kind = next((kind for kind in TEXTS if found[kind]), stated if stated in CATEGORIES else None)
    if kind is None:
        if record.get("data_source") == "SR_dataset" or source.startswith("vlm3r"):
            raise Unusable("unknown question type", str(stated or question)[:80])
        return _general(record, source, path, question, options, answer)
    if kind not in config.external.spatial_types:
        raise Unusable("not in external.spatial_types", kind, expected=True)
    return Sample(_spatial(record, source, kind, found[kind], question, options, answer))


def _spatial(
    record: Row,
    source: str,
    kind: str,
    found: re.Match[str] | None,
    question: str,
    options: Sequence[str],
    answer: str,
) -> Row:
    named = [name for group in (found.groups() if found else ()) for name in group.split(", ")]
    for name in named:
        if name.lower() in DEGENERATE:
            raise Unusable("degenerate object", name)
    if len(set(named)) < len(named):
        raise Unusable("names one object twice", ", ".join(named))
    chosen = kind.startswith(("object_rel_", "obj_appearance", "route"))
    texts = _option_texts(options) if chosen else []
    dataset, scene = _scan(record)
    row = {
        "scene_id": scene,
        "space_id": space_of(dataset, scene),
        "split": "train",
        "dataset": dataset,
        "question_type": kind,
        "answer_type": "choice" if chosen else "number",
        "question": question,
        "options": lettered(texts) if chosen else None,
        "ground_truth": _letter(answer, texts) if chosen else _number(answer),
        "objects": [{"category": name, "object_ids": []} for name in named],
        "source": source,
        "evidence": _origin(record),
    }
    return {"question_id": tables.question_id(row), **row}


def _general(record: Row, source: str, path: Path, question: str, options: Sequence[str], answer: str) -> Sample:
    kind, shows, stated = (text_of(record, key) for key in ("problem_type", "data_type", "path"))
    if kind.lower() not in ANSWER_TYPES:
        raise Unusable("unknown problem_type", kind)
    if shows not in ("image", "video"):
        raise Unusable("unknown data_type", shows)
    answer_type = ANSWER_TYPES[kind.lower()]
    texts = _option_texts(options) if answer_type == "choice" else []
    if answer_type == "choice":
        truth = _letter(answer, texts)
    else:
        truth = _number(answer) if answer_type in ("number", "regression") else answer
    row = {
        "scene_id": None,
        "space_id": None,
        "split": "train",
        "dataset": source,
        "question_type": kind,
        "answer_type": answer_type,
        "question": question,
        "options": lettered(texts) if texts else None,
        "ground_truth": truth,
        "objects": [],
        "source": source,
        "evidence": _origin(record),
    }
    # Many questions share their words: the file shown belongs to the identity.
    identity = tables.digest([tables.question_id(row), stated])[:16]
    return Sample({"question_id": identity, **row}, file_of(path.parent, stated), shows)


# --- parts of a record -----------------------------------------------------------------------------------------------


def _asked(record: Row) -> tuple[str, list[str], str]:
    """Question without preamble, options as given, answer without its tag."""
    if "conversations" in record:
        said = record["conversations"]
        if not (isinstance(said, list) and len(said) == 2 and all(isinstance(turn, dict) for turn in said)):
            raise Unusable("malformed conversation", f"{str(said)[:80]}")
        text, answer = text_of(said[0], "value"), text_of(said[1], "value")
    else:
        text = text_of(record, "problem" if "problem" in record else "question")
        answer = record.get("solution", record.get("ground_truth"))
        if isinstance(answer, bool) or not isinstance(answer, str | int | float):
            raise Unusable("missing field", "solution or ground_truth")
        answer = text_of({"answer": str(answer)}, "answer")
    options = record.get("options") or []
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise Unusable("malformed options", str(options)[:80])
    text = _ASKED.sub("", text[_PREAMBLE.match(text).end() :]).strip()
    text, mark, listed = text.partition("\nOptions:")
    if mark and not options:
        options = [line.strip() for line in listed.splitlines() if line.strip()]
    if not text.strip():
        raise Unusable("missing field", "question")
    tagged = extract_answer(answer)
    return text.strip(), [text_of({"option": option}, "option") for option in options], tagged or answer


def _option_texts(options: Sequence[str]) -> list[str]:
    """Texts of at least two different options, whose letters, if any, are A, B, ... in order."""
    found = [_OPTION.fullmatch(option) for option in options]
    if all(found) and [match[1] for match in found] == list(LETTERS[: len(options)]):
        texts = [match[2].strip() for match in found]
    elif not any(found):
        texts = [option.strip() for option in options]
    else:
        raise Unusable("malformed options", " | ".join(options)[:80])
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise Unusable("malformed options", " | ".join(options)[:80] or "none")
    return texts


def _letter(answer: str, texts: Sequence[str]) -> str:
    """The letter of the right option: stated, with or without its text, or found by its text."""
    if answer in texts:
        return LETTERS[texts.index(answer)]
    found = _OPTION.fullmatch(answer)
    letter = (found[1] if found else answer.strip("(). ")).upper()
    if len(letter) != 1 or letter not in LETTERS[: len(texts)]:
        raise Unusable("malformed answer", f"'{answer[:80]}' is no option")
    return letter


def _number(answer: str) -> str:
    number = answer.replace(",", "")
    if parse_number(number) is None:
        raise Unusable("malformed answer", f"'{answer[:80]}' is no number")
    return number


def _scan(record: Row) -> tuple[str, str]:
    """Dataset and scan: from the record's own fields, else from the path of its video."""
    video = next((record[key] for key in ("video", "path", "video_path") if isinstance(record.get(key), str)), "")
    name = record.get("scene_name")
    scene = text_of({"scene": str(name)}, "scene") if name else Path(video).stem
    if not scene:
        raise Unusable("unknown scan", "no scene_name, video or path")
    said = [record.get("dataset"), record.get("data_source"), *Path(video).parts]
    plain = [re.sub(r"[^a-z+]", "", str(text).lower()).replace("+", "p") for text in said if text]
    dataset = next((text for text in plain if text in DATASETS), None)
    if _SCANNET.fullmatch(scene):
        dataset = "scannet"
    if dataset is None:
        raise Unusable("unknown scan", f"{scene}: of which dataset?")
    return dataset, scene


def _origin(record: Mapping[str, Any]) -> str:
    keys = ("problem_id", "id", "data_source", "path", "video")
    return tables.canonical_json({key: record[key] for key in keys if record.get(key) is not None})
