"""Read predictions of others: a text per question id, from JSON lines, JSON, CSV, Excel or Parquet in known shapes.

Which columns hold the id and the text is guessed from well-known names, one each, or given. Nothing is guessed from
values. Known besides flat rows: a dictionary id -> text, a dictionary with one list of rows, the per-sample logs of
lmms-eval, the tables of VLMEvalKit, and our own table of predictions.

Source of the logs: lmms-eval 0.7.3 (MIT), lmms_eval/evaluator.py `_process_document_results` and
lmms_eval/loggers/evaluation_tracker.py `save_results_samples`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rollout3d import doors, tables
from rollout3d.errors import UserError
from rollout3d.evaluation import settings, spreadsheet
from rollout3d.evaluation.views import VIDEO, view_of

IDS = ("id", "question_id", "questionid", "qid", "sample_id", "problem_id", "uid", "index", "idx")
TEXTS = (
    "prediction",
    "pred",
    "predicted_answer",
    "predicted",
    "response",
    "model_response",
    "output",
    "model_output",
    "text",
    "completion",
    "generated_text",
    "generation",
    "raw_output",
    "reply",
    "filtered_resps",
    "resps",
)
"""Well-known names, in lower case. "answer" is not one: in most files it is the right answer."""

LOG_KEYS = tuple(key for name in doors.BENCHMARKS.names for key in doors.BENCHMARKS.constant(name, "LOG_KEYS", ()))
"""Keys under which lmms-eval logs the whole question row."""

KEYS, VALUES = "(keys)", "(values)"
PICKLES = (".pkl", ".pickle")
PLACE = "doc_id"
"""Place of a question among the rows of the released file, in lmms-eval's logs."""


class ForeignError(UserError, ValueError):
    """A predictions file that cannot be read as one; the message names file, row and remedy."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of one file.

    `texts`: id -> text. `rows`: number of rows of the file, `doubled`: rows with an id and text seen before, `empty`:
    empty texts. `stated`: id -> the fields of its question that the file states (`question_type`, `ground_truth`).
    `settings`: how the answers were made, None where the file does not state it. `by_place`: whether the ids are places
    among the rows of the benchmark's released file, counted from 0.
    """

    texts: dict[str, str]
    rows: int
    doubled: int
    empty: int
    id_column: str
    text_column: str
    stated: dict[str, dict[str, str]]
    settings: str | None = None
    by_place: bool = False


def read_predictions(path: str | Path, id_column: str | None = None, text_column: str | None = None) -> Predictions:
    """Read a predictions file; `id_column` and `text_column` replace the guess.

    Raises ForeignError for a file of another kind, damaged or empty; for columns that are not there or cannot be
    guessed; for an id that is none; and for two different texts of one id.
    """
    path = Path(path)
    rows, unit, made = _rows(path)
    if not rows:
        raise ForeignError(f"{path}: holds no prediction")
    key = next((key for key in LOG_KEYS if isinstance(rows[0][1].get(key), dict)), None)
    by_place = False
    if key or {PLACE, "filtered_resps"} <= rows[0][1].keys():
        named = key is not None and any(name.lower() in IDS for name in rows[0][1][key])
        by_place = id_column == PLACE or (id_column is None and not named)
        key, id_column = (None, PLACE) if by_place else (key, id_column)
        rows = [(place, _lmms(row, key, f"{path}: {unit} {place}")) for place, row in rows]
        text_column = text_column or "filtered_resps"
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    ids = KEYS if KEYS in columns and id_column is None else _column(path, columns, id_column, IDS, "id")
    words = VALUES if VALUES in columns and text_column is None else _column(path, columns, text_column, TEXTS, "text")
    texts: dict[str, str] = {}
    stated: dict[str, dict[str, str]] = {}
    first: dict[str, Any] = {}
    doubled = 0
    for place, row in rows:
        where = f"{path}: {unit} {place}"
        name, text = _id(row.get(ids), ids, where), _text(row.get(words), words, where)
        if name in texts:
            if texts[name] != text:
                raise ForeignError(
                    f"{where}: the id {name} has another text than in {unit} {first[name]}: keep one per question"
                )
            doubled += 1
            continue
        texts[name], first[name] = text, place
        stated[name] = {k: str(row[k]) for k in ("question_type", "ground_truth") if row.get(k) is not None}
    shown = f"{key}.{ids}" if key else ids
    empty = sum(not text.strip() for text in texts.values())
    return Predictions(texts, len(rows), doubled, empty, shown, words, stated, made, by_place)


def _column(path: Path, columns: Sequence[str], given: str | None, known: Sequence[str], what: str) -> str:
    option = f"--{what}-column"
    listed = ", ".join(f"'{name}'" for name in columns[:20])
    if given is not None:
        if given not in columns:
            raise ForeignError(f"{path}: has no column '{given}' ({option}); its columns are {listed}")
        return given
    found = [name for name in columns if name.strip().lower() in known]
    if len(found) > 1:
        names = ", ".join(f"'{name}'" for name in found)
        raise ForeignError(f"{path}: the {what} may be in {names}: choose with {option}")
    if not found:
        raise ForeignError(f"{path}: none of its columns {listed} is known to hold the {what}: name it with {option}")
    return found[0]


def _id(value: Any, column: str, where: str) -> str:
    """Return an id as text: a whole number that pandas stored as 7.0 is 7."""
    if isinstance(value, bool) or not isinstance(value, int | float | str) or not str(value).strip():
        raise ForeignError(f"{where}: its '{column}' is {value!r}, no id of a question")
    return re.sub(r"^(\d+)\.0+$", r"\1", str(value).strip())


def _text(value: Any, column: str, where: str) -> str:
    """Return a model's text; empty for null. A list of one text, as lmms-eval logs it, is that text."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        holds = f"{len(value)} texts" if isinstance(value, list) else type(value).__name__
        raise ForeignError(f"{where}: its '{column}' holds {holds}, not one text: keep one answer per question")
    return str(value)


def _lmms(row: Mapping[str, Any], key: str | None, where: str) -> dict[str, Any]:
    """Return a line of lmms-eval's log as a flat row. `resps` is logged only where filters have changed the text.

    `key`: where the line holds the question's own row; None for a benchmark whose logs hold none, so that `doc_id` says
    which question it is, and `target`, the right answer, that the rows are in that order.
    """
    about = row.get(key) if key else {PLACE: row.get(PLACE), "ground_truth": row.get("target")}
    if not isinstance(about, dict) or "filtered_resps" not in row:
        raise ForeignError(f"{where}: is without '{key or PLACE}' or 'filtered_resps': is it a whole log of lmms-eval?")
    return {**about, "filtered_resps": row["filtered_resps"], "resps": row.get("resps", row["filtered_resps"])}


Rows = tuple[list[tuple[int, dict[str, Any]]], str, str | None]
"""(place, row) of each row, whether a place is a row or a line, and the settings where they are known."""


def _rows(path: Path) -> Rows:
    readers = {".jsonl": _json_lines, ".ndjson": _json_lines, ".json": _json, ".csv": _csv, ".tsv": _csv}
    try:
        if path.suffix == ".parquet":
            return _parquet(path)
        if path.suffix == ".xlsx":
            return spreadsheet.read_rows(path.read_bytes()), "row", None
        if path.suffix in PICKLES:
            raise ForeignError(
                f"{path}: a pickle can run any code when it is read, so it is never opened: give the .xlsx, .tsv or "
                ".json that VLMEvalKit writes at the end of a run (PRED_FORMAT=tsv)"
            )
        if path.suffix not in readers:
            raise ForeignError(
                f"{path}: predictions are read from .jsonl, .json, .csv, .tsv, .xlsx or .parquet: convert it"
            )
        # Line ends as they are: an answer may hold any of them.
        with open(path, encoding="utf-8-sig", newline="") as stream:
            text = stream.read()
    except OSError as error:
        raise ForeignError(f"{path}: cannot be read ({error.strerror}); is the path right?") from error
    except UnicodeDecodeError as error:
        raise ForeignError(f"{path}: is not UTF-8 (byte {error.start}): save it as UTF-8") from error
    except tables.TableError as error:
        raise ForeignError(str(error)) from error
    except spreadsheet.SpreadsheetError as error:
        raise ForeignError(f"{path}: {error}") from error
    return readers[path.suffix](path, text)


def _parquet(path: Path) -> Rows:
    if tables.lineage(path).get("table") != tables.PREDICTIONS.name:
        return [(k, row) for k, row in enumerate(tables.read_foreign(path), start=1)], "row", None
    kept = [row for row in tables.read(tables.PREDICTIONS, path) if view_of(row["setting"]) == VIDEO]
    shown = list(dict.fromkeys((row["model"], row["setting"], row["sample"]) for row in kept))
    if len(shown) > 1:
        raise ForeignError(f"{path}: holds {len(shown)} answers per question, such as {shown[:2]}: keep one")
    try:
        how = settings.line(kept)
    except ValueError as error:
        raise ForeignError(f"{path}: {error}") from None
    rows = [(k, {"question_id": row["question_id"], "text": row["text"]}) for k, row in enumerate(kept, start=1)]
    return rows, "row", f"{how}, {shown[0][1]} of the run {shown[0][0]}" if shown else None


def _json_lines(path: Path, text: str) -> Rows:
    rows = []
    for place, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            row = _parsed(line, f"{path}: line {place}")
            if not isinstance(row, dict):
                raise ForeignError(f"{path}: line {place} is no JSON object, but {line.strip()[:40]!r}")
            rows.append((place, row))
    return rows, "line", None


def _json(path: Path, text: str) -> Rows:
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) > 1 and lines[0].lstrip().startswith("{") and lines[0].rstrip().endswith("}"):
        return _json_lines(path, text)
    found = _parsed(text, str(path))
    if isinstance(found, dict):
        lists = [value for value in found.values() if isinstance(value, list) and value and isinstance(value[0], dict)]
        if len(lists) == 1:
            found = lists[0]
        elif all(isinstance(value, dict) for value in found.values()):
            found = [{KEYS: name, **value} for name, value in found.items()]
        elif any(isinstance(value, dict | list) for value in found.values()):
            raise ForeignError(f"{path}: neither a list of rows nor id -> text: write one object per question")
        else:
            found = [{KEYS: name, VALUES: value} for name, value in found.items()]
    if not isinstance(found, list):
        raise ForeignError(f"{path}: neither a list of rows nor id -> text: write one object per question")
    for place, row in enumerate(found, start=1):
        if not isinstance(row, dict):
            raise ForeignError(f"{path}: row {place} is no JSON object, but {str(row)[:40]!r}")
    return list(enumerate(found, start=1)), "row", None


def _parsed(text: str, where: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found and found[name] != value:
                raise ForeignError(f"{where} has the key '{name[:40]}' twice, with different values: keep one")
            found[name] = value
        return found

    try:
        return json.loads(text, object_pairs_hook=unique)
    except ForeignError:
        raise
    except (ValueError, RecursionError) as error:
        raise ForeignError(f"{where} is no JSON ({error}): is the file whole?") from error


def _csv(path: Path, text: str) -> Rows:
    header = text.split("\n", 1)[0]
    tab = path.suffix == ".tsv" or ("\t" in header and "," not in header)
    comma = ";" if ";" in header and "," not in header else ","
    limit = csv.field_size_limit(1 << 30)  # reasoning is longer than the module's default
    try:
        return list(_records(path, text, "\t" if tab else comma)), "line", None
    except csv.Error as error:
        raise ForeignError(f"{path}: no table of separated values ({error}): is the file whole?") from error
    finally:
        csv.field_size_limit(limit)


def _records(path: Path, text: str, delimiter: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header = next(reader, [])
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ForeignError(f"{path}: has the column '{twice[0]}' twice: rename one")
    for fields in reader:
        if not fields:
            continue
        if len(fields) != len(header):
            raise ForeignError(
                f"{path}: line {reader.line_num} has {len(fields)} fields, the header {len(header)}: put texts with "
                "separators or line ends in quotation marks"
            )
        yield reader.line_num, dict(zip(header, fields, strict=True))
