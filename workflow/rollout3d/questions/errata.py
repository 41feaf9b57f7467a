"""Errata: published answers that are known to be wrong, removed or corrected by rows of a CSV file.

`resources/errata.csv` holds what others have published about VSI-Bench's boxes; a study may add a file of its own
(`questions.errata`). A row names a scan and either a question type, with the categories that the question names, or a
question_id. It applies where the answer is the `published` one; an empty `corrected` removes the question.
"""

from __future__ import annotations

import csv
import io
import json
import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import permutations
from pathlib import Path
from typing import Any, cast

from rollout3d import tables
from rollout3d.config import question_types
from rollout3d.config.names import unknown
from rollout3d.doors import DATASETS
from rollout3d.errors import UserError
from rollout3d.questions import types
from rollout3d.questions.letters import movable, reordered
from rollout3d.questions.templates import LETTERS, option_text
from rollout3d.resources import shipped
from rollout3d.scoring.parse import as_number
from rollout3d.tables.rows import QuestionRow

_log = logging.getLogger(__name__)

Row = QuestionRow

SHIPPED = shipped("resources/errata.csv")
REASON = "errata"
"""How the reason begins of every row that is removed."""


class ErrataError(UserError, ValueError):
    """A file of errata that cannot be read, or a correction that its question does not take; a line per problem."""


@dataclass(frozen=True)
class Erratum:
    """One row of a file of errata: which questions it is about, and what becomes of them."""

    place: str
    """File and line."""
    shipped: bool
    dataset: str = ""
    scene_id: str = ""
    question_type: str = ""
    category: str = ""
    """Categories that the question names, between semicolons; others that it names do not matter."""
    question_id: str = ""
    published: str = ""
    corrected: str = ""
    reason: str = ""
    source: str = ""

    @property
    def names(self) -> str:
        """Return the questions that it is about, in words."""
        return " ".join(text for text in (self.question_type, self.category, self.question_id) if text)

    @property
    def categories(self) -> set[str]:
        return {name.strip() for name in self.category.split(";") if name.strip()}


COLUMNS = tuple(field.name for field in fields(Erratum) if field.name not in ("place", "shipped"))
NEEDED = ("scene_id", "reason")
"""Columns that every file has, and every row fills; another one that a file lacks is empty in every row."""
_KEY = ("dataset", "scene_id", "question_type", "category", "question_id", "published")
"""What says which questions a row is about."""


@dataclass(frozen=True)
class Applied:
    """Rows after errata: `rows` with corrections in place, `removed` rows with their reasons, `corrected` ids."""

    rows: list[Row]
    removed: list[tuple[Row, str]]
    corrected: set[str]


def read(paths: Iterable[Path | str]) -> list[Erratum]:
    """Read files of errata. Raises ErrataError with a line per problem, each with its file and line."""
    found: list[Erratum] = []
    problems: list[str] = []
    for path in paths:
        try:
            text = Path(path).read_bytes().decode("utf-8-sig")
        except OSError as error:
            problems.append(f"{path}: the errata cannot be read: {error.strerror}; correct questions.errata")
            continue
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            problems.append(f"{path}:{line}: this line is not UTF-8 text; save the file as UTF-8")
            continue
        rows, wrong = _rows(text, str(path), Path(path).resolve() == SHIPPED)
        found += rows
        problems += wrong
    if problems:
        raise ErrataError("\n".join(problems))
    return found


def _rows(text: str, path: str, shipped: bool) -> tuple[list[Erratum], list[str]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[Erratum] = []
    problems: list[str] = []
    columns: list[str] = []
    first: dict[tuple[str, ...], str] = {}
    line = 1
    try:
        for cells in reader:
            where, line = f"{path}:{line}", reader.line_num + 1
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = cells
                problems += _column_faults(columns, where)
                if problems:
                    break
                continue
            if len(cells) != len(columns):
                problems.append(
                    f"{where}: {len(cells)} cells where the header has {len(columns)}; a text with commas wants quotes"
                )
                continue
            row = Erratum(where, shipped, **dict(zip(columns, cells, strict=True)))
            faults = [f"{where}: {fault}" for fault in _faults(row)]
            key = tuple(getattr(row, name) for name in _KEY)
            if key in first:
                faults.append(f"{where}: is about the same questions as {first[key]}; keep one of them")
            first.setdefault(key, where)
            problems += faults
            found += [] if faults else [row]
    except csv.Error as error:
        problems.append(f"{path}:{reader.line_num}: is not CSV: {error}")
    if not columns:
        problems.append(f"{path}:1: has no header; its first line names the columns: {','.join(COLUMNS)}")
    return found, problems


def _column_faults(columns: Sequence[str], where: str) -> list[str]:
    faults = [f"column {unknown(name, COLUMNS, 'one of the errata')}" for name in columns if name not in COLUMNS]
    faults += [f"column {name} stands twice" for name in COLUMNS if columns.count(name) > 1]
    faults += [f"column {name} is missing" for name in NEEDED if name not in columns]
    if not {"question_type", "question_id"} & set(columns):
        faults.append("neither a column question_type nor question_id: which questions are meant?")
    return [f"{where}: {fault}" for fault in faults]


def _faults(row: Erratum) -> list[str]:
    """Return what is wrong with a row, as far as the row alone tells."""
    faults = [f"{name} is empty" for name in NEEDED if not getattr(row, name)]
    if row.dataset and row.dataset not in DATASETS.names:
        faults.append(f"dataset: {unknown(row.dataset, DATASETS.names, 'a dataset')}")
    if not row.question_type and not row.question_id:
        faults.append("question_type and question_id are empty: write one of them")
    if row.question_type and row.question_type not in question_types.NAMES:
        faults.append(f"question_type: {unknown(row.question_type, question_types.NAMES, 'a question type')}")
    if row.corrected and row.corrected == row.published:
        faults.append("published and corrected are the same")
    of_type = types.known(row.question_type)
    if of_type is not None and of_type.answer is not None:
        for name in ("published", "corrected"):
            value = getattr(row, name)
            number = as_number(value) if value else 0.0
            if number is None:
                faults.append(f"{name} must be a number, not '{value}'")
            elif not of_type.answer.decimals and not number.is_integer():
                faults.append(f"{name} must be a whole number, not '{value}'")
    return faults


def apply(rows: Sequence[Row], errata: Sequence[Erratum], scans: Collection[str]) -> Applied:
    """Remove and correct what errata say. `scans`: names of all scans at hand, with questions or without.

    A corrected question that then equals another one is removed too. Logs how many questions were corrected and
    removed, and each row that changes nothing, with its place: its scan is not here, or has no such question, or its
    answer is not the published one. Raises ErrataError for a correction that its question does not take.
    """
    concerned: dict[str, list[Row]] = defaultdict(list)
    wanted = {each.scene_id for each in errata}
    for row in rows:
        if row["scene_id"] in wanted:
            concerned[row["scene_id"]].append(row)
    changed: dict[str, Row | str] = {}
    problems: list[str] = []
    absent: Counter[str] = Counter()
    for each in errata:
        found = [row for row in concerned[each.scene_id] if _is_about(each, row)]
        wrong = [row for row in found if not each.published or _same(answer(row), each.published)]
        for row in wrong:
            try:
                done = _corrected(row, each) if each.corrected else f"{REASON}: {each.reason} ({each.place})"
                changed.setdefault(row["question_id"], done)
            except ErrataError as error:
                problems.append(str(error))
        if not found and each.scene_id not in scans and not concerned[each.scene_id] and each.shipped:
            absent[each.place.rsplit(":", 1)[0]] += 1
        elif not wrong:
            _log.warning("%s: changes nothing: %s", each.place, _why(each, found, scans))
    if problems:
        raise ErrataError("\n".join(problems))
    made = Applied([], [], set())
    taken = {row["question_id"] for row in rows} - changed.keys()
    for row in rows:
        new = changed.get(row["question_id"], row)
        if isinstance(new, str):
            made.removed.append((row, new))
        elif new is row:
            made.rows.append(row)
        elif new["question_id"] in taken:
            made.removed.append((row, f"{REASON}: corrected, it equals another question"))
        else:
            taken.add(new["question_id"])
            made.rows.append(new)
            made.corrected.add(new["question_id"])
    if made.corrected or made.removed:
        _log.info("errata: %d questions corrected, %d removed", len(made.corrected), len(made.removed))
    for path, n in absent.items():
        _log.info("%s: %d rows are about scans that are not here", path, n)
    return made


def _why(each: Erratum, found: Sequence[Row], scans: Collection[str]) -> str:
    if found:
        answers = ", ".join(sorted({answer(row) for row in found})[:3])
        return f"{each.scene_id} {each.names} is answered {answers}, not {each.published}"
    here = each.scene_id in scans
    return f"{each.scene_id} has no question of {each.names}" if here else f"the scan {each.scene_id} is not here"


def answer(row: Mapping[str, Any]) -> str:
    """Return the answer in words: the text of the right option, or the number."""
    letters = LETTERS[: len(row["options"] or ())]
    if row["answer_type"] != "choice" or row["ground_truth"] not in letters:
        return row["ground_truth"]
    option = row["options"][letters.index(row["ground_truth"])]
    return option_text(option) if option[1:3] == ". " else option


def _same(text: str, other: str) -> bool:
    a, b = as_number(text), as_number(other)
    return text.strip().lower() == other.strip().lower() if a is None or b is None else a == b


def _is_about(each: Erratum, row: Row) -> bool:
    if each.dataset and each.dataset != row["dataset"]:
        return False
    if each.question_type and each.question_type != row["question_type"]:
        return False
    if not each.categories <= {named["category"] for named in row["objects"]}:
        return False
    return not each.question_id or each.question_id in _ids(row)


def _ids(row: Row) -> set[str]:
    """question_ids of a question in any order of its options: the training table has another than the first one."""
    ids = {row["question_id"]}
    if movable(row):
        ids |= {reordered(row, order)["question_id"] for order in permutations(range(len(row["options"] or ())))}
    return ids


def _corrected(row: Row, each: Erratum) -> Row:
    truth, of_type = each.corrected, types.known(row["question_type"])
    if row["answer_type"] == "choice":
        texts = [option_text(o) if o[1:3] == ". " else o for o in row["options"] or ()]
        if truth not in texts:
            raise ErrataError(f"{each.place}: corrected '{truth}' is none of the options: {', '.join(texts)}")
        truth = LETTERS[texts.index(truth)]
    elif row["answer_type"] == "number":
        value, whole = as_number(truth), bool(of_type and of_type.answer and not of_type.answer.decimals)
        if value is None or value < 0 or (whole and not value.is_integer()):
            wanted = "a whole number" if whole else "a number"
            raise ErrataError(f"{each.place}: corrected must be {wanted} from 0 on, not '{truth}'")
        truth = str(int(value)) if whole else truth
    # Which samplings lead to the answer was worked out for another answer.
    new = row | {"ground_truth": truth} | {name: None for name in tables.MARKS if name in row}
    if of_type is not None and of_type.correct is not None:  # the teacher's sentences follow the evidence
        new["evidence"] = tables.canonical_json(of_type.correct(json.loads(row["evidence"] or "{}"), truth))
    return cast(Row, new | {"question_id": tables.question_id(new)})
