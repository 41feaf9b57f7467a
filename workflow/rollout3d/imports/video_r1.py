"""Video-R1's cold start (Video-R1-COT-165k) as a table of samples with reasoning: rows of Tables 3 and 4 start there.

A record names one picture or video below the folder of its JSON file, or is a text alone. Question and options stay as
given, blanks and line ends around them included, its answer is what stands in the answer tag of `solution`, and the
text to be learnt is `process`, a line break, and `solution`, as Video-R1's SFT script joins them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rollout3d import tables
from rollout3d.imports.numbers import number
from rollout3d.imports.records import Unusable, file_of, records, text_of
from rollout3d.imports.release import Candidate, Import, Release, Sample, import_records, unique
from rollout3d.scoring.parse import extract_answer, well_formed

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

_THINK = re.compile(r"<think>\s*(.*?)\s*</think>", re.DOTALL)
_LETTER = re.compile(r"[A-Z]")

Row = dict[str, Any]


def import_cot(path: Path, to: Import) -> tuple[int, int]:
    """Write the samples (OCR_SFT) and the records left out; return the number of rows of each.

    Errors as `release.import_records`.
    """
    of = Release(tables.OCR_SFT, path, path.parent, lambda: candidates(path), "is it Video-R1-COT-165k.json?")
    return import_records(of, to)


def candidates(path: Path) -> Iterator[Candidate]:
    """Yield the records of the file, read as far as their texts go; a record that is listed again is unusable."""
    return unique(NAME, records(path), lambda record: sample(record, path))


class Labels(NamedTuple):
    """Texts of a record that say what it is."""

    question_type: str
    """Video-R1's problem_type."""
    answer_type: str
    shows: str
    """image | video | text: a question that shows neither."""
    stated: str
    """Path of the picture or video, as the record states it; empty for a text alone."""

    def file(self, root: Path) -> Path | None:
        """Return where the picture or video lies below `root`; None for a text alone. Raises Unusable if it is gone."""
        return file_of(root, self.stated) if self.stated else None


def labels_of(record: Row) -> Labels:
    """Return the labels of a record. Raises Unusable if one is missing or unknown, or if a text alone names a file.

    The release's own reader knows the data types image and video; `text` without a path is our form of a text alone.
    """
    problem_type, shows = (text_of(record, key) for key in ("problem_type", "data_type"))
    if problem_type.lower() not in ANSWER_TYPES:
        raise Unusable("unknown problem_type", problem_type)
    if shows not in ("image", "video", "text"):
        raise Unusable("unknown data_type", shows)
    if shows == "text" and record.get("path"):
        raise Unusable("a text with a path", f"data_type is text, path {record['path']}"[:80])
    stated = "" if shows == "text" else text_of(record, "path")
    return Labels(problem_type, ANSWER_TYPES[problem_type.lower()], shows, stated)


def sample(record: Row, path: Path) -> Sample:
    """One record of the file at `path`. Raises Unusable with the reason if it cannot be learnt from."""
    if record.get("select") is False:
        raise Unusable("not selected by Video-R1's own check", expected=True)
    labels = labels_of(record)
    question_type, answer_type = labels.question_type, labels.answer_type
    options = _options(record) if answer_type == "choice" else None
    process, solution = text_of(record, "process"), text_of(record, "solution")
    think = _THINK.fullmatch(process)
    if think is None or not think.group(1) or not well_formed(f"{process}\n{solution}"):
        raise Unusable("malformed reasoning or answer", (process if think is None else solution)[:80])
    row = {
        "scene_id": None,
        "space_id": None,
        "split": "train",
        "dataset": NAME,
        "question_type": question_type,
        "answer_type": answer_type,
        "question": _given(record, "problem"),
        "options": options,
        "ground_truth": _truth(solution, answer_type, options, text_of(record, "problem")),
        "objects": [],
        "source": path.name,
        "evidence": tables.canonical_json({key: record.get(key) for key in ("problem_id", "data_source", "path")}),
        "think": think.group(1),
        "target": f"{_given(record, 'process')}\n{_given(record, 'solution')}",
    }
    # Many questions share their words: the file shown belongs to the identity.
    identity = tables.digest([tables.question_id(row), row["evidence"]])[:16]
    return Sample({"question_id": identity, **row}, labels.file(path.parent), labels.shows)


def _given(record: Row, key: str) -> str:
    """Return a text of a record as it is, with the blanks around it. Raises Unusable as `text_of` does."""
    text_of(record, key)
    return record[key]


def _options(record: Row) -> list[str] | None:
    options = record.get("options") or None
    if options and not (isinstance(options, list) and all(isinstance(option, str) for option in options)):
        raise Unusable("malformed options", str(options)[:80])
    return options


def _truth(solution: str, answer_type: str, options: list[str] | None, question: str) -> str:
    """Return the answer as the table has it: the letter, the number in plain digits, or the text."""
    answer = extract_answer(solution)
    if answer is None:
        raise Unusable("malformed reasoning or answer", solution[:80])
    if answer_type == "choice":
        letter = answer.removesuffix(".").upper()
        if not _LETTER.fullmatch(letter) or (options and ord(letter) - ord("A") >= len(options)):
            raise Unusable("malformed answer", f"'{answer[:80]}' is no letter of an option")
        return letter
    if answer_type in ("number", "regression"):
        return number(answer, question)
    return answer
