"""Other people's question files, answered again from boxes: how far a release agrees, type by type.

Questions are read as the imports read them, in any release's form. Distances are measured in three ways, so that a
release that asks for closest points and answers with the distance between centres shows as what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from rollout3d import tables
from rollout3d.config import question_types
from rollout3d.imports import wording
from rollout3d.imports.asked import Asked, asked
from rollout3d.imports.choices import implied_options, letter, option_texts, side, word
from rollout3d.imports.numbers import Unit, asked_unit, number
from rollout3d.imports.records import ExternalError, Unusable, records
from rollout3d.imports.scans import scan_of
from rollout3d.imports.wording import Reading
from rollout3d.progress import progress
from rollout3d.questions.scene import SceneView
from rollout3d.questions.templates import LETTERS
from rollout3d.questions.types import Number, QuestionType
from rollout3d.tables.rows import ObjectRow, SceneRow

Row = dict[str, Any]

Definition = Literal["vsibench", "exact", "centres"]
DEFINITIONS: Mapping[str, str] = {
    "vsibench": "closest points as VSI-Bench samples them",
    "exact": "closest points of the boxes",
    "centres": "centres of the boxes",
}
"""Ways to measure between two things; of several instances the nearest pair counts."""

NOT_A_TYPE = "not a question about a scan in a wording that we know"
_UNKNOWN = "(unknown)"
_SHAPES = ("problem", "conversations", "conversation", "messages")
_BENCHMARK = {"id", "dataset", "scene_name", "question_type", "question", "ground_truth"}

_SLACK = 1e-6
"""Metres or square metres that an answer may miss its rounding by."""


def is_released(path: Path) -> bool:
    """Return whether a question file has another form than the benchmark's: judged by its first record."""
    try:
        first = next(_rows(path), None)
    except (ExternalError, tables.TableError):
        return False
    if first is None or first.keys() >= _BENCHMARK:
        return False
    return any(key in first for key in _SHAPES) or {"question", "options"} <= first.keys()


def _rows(path: Path) -> Iterator[Row]:
    if path.suffix == ".parquet":
        yield from tables.read_foreign(path)
    else:
        yield from records(path)


@dataclass(frozen=True)
class _Scene:
    """A scene whose categories are found whatever their case, blanks and signs (`questions.types.Boxes`).

    `names`: category without case, blanks and signs -> category; `definition`: how distances are measured, one of
    `DEFINITIONS`.
    """

    scene: SceneView
    names: Mapping[str, str]
    definition: Definition = "vsibench"

    @classmethod
    def of(cls, scene: SceneView) -> _Scene:
        return cls(scene, {_plain(name): name for name in [*scene.items, *scene.counts]})

    def _category(self, name: str) -> str:
        """Return the scene's category of a name, which may be a plural; the name itself if there is none."""
        plain = _plain(name)
        spelled = (plain, plain.removesuffix("s"), plain.removesuffix("es"))
        return next((self.names[one] for one in spelled if one in self.names), name)

    def located(self, name: str, single: bool = False) -> str:
        """Return the scene's category of a name that has boxes; with `single`, one box. Raises Unusable."""
        category = self._category(name)
        boxes = self.scene.items.get(category, ())
        if not boxes:
            raise Unusable("no box of a thing that is named", name)
        if single and (len(boxes) > 1 or self.scene.counts.get(category, 1) > 1):
            raise Unusable("several things of a name that must mean one", name)
        return category

    def count(self, name: str) -> int:
        category = self._category(name)
        if category not in self.scene.counts:
            raise Unusable("no count of the thing that is named", name)
        return self.scene.counts[category]

    def room_size(self) -> float:
        if self.scene.room_size_m2 is None:
            raise Unusable("no room size", "")
        return self.scene.room_size_m2

    def refuse(self, reason: str, detail: str) -> Unusable:
        return Unusable(reason, detail)

    def distance(self, a: str, b: str) -> float:
        if self.definition != "centres":
            return self.scene.distance(a, b, self.definition)
        pairs = [(i.box.centroid, j.box.centroid) for i in self.scene.items[a] for j in self.scene.items[b]]
        return min(float(np.linalg.norm(p - q)) for p, q in pairs)


def audit_released(
    files: Iterable[Path],
    scenes: Iterable[SceneRow],
    objects: Iterable[ObjectRow],
    unread: Mapping[str, str],
) -> Iterator[Row]:
    """Rows of AUDIT_RELEASED, in the order of the files: one for each record, of distances one for each definition.

    `scenes` and `objects`: rows of metadata or of scene tables; `unread`: scan -> why its metadata could not be read.
    A record that cannot be matched stays, with the reason and without a verdict. Raises ExternalError or TableError for
    a file that cannot be read.
    """
    of_scene: dict[str, list[ObjectRow]] = {}
    for row in objects:
        of_scene.setdefault(row["scene_id"], []).append(row)
    views = {
        (scene["dataset"], scene["scene_id"]): _Scene.of(
            SceneView.from_rows(scene, of_scene.get(scene["scene_id"], ()))
        )
        for scene in scenes
    }
    for file in files:
        for k, record in enumerate(progress(_rows(file), f"answering {file.name}")):
            row = {name: None for name in tables.AUDIT_RELEASED.schema.names}
            row |= {"record": f"{file.name}/{k}", "note": ""}
            try:
                yield from _answered(row, record, views, unread)
            except Unusable as why:
                yield row | {"note": str(why)}
            except ValueError as error:  # what has no UTF-8
                yield row | {"note": f"malformed record: {error}"}


def _answered(
    row: Row, record: Row, views: Mapping[tuple[str, str], _Scene], unread: Mapping[str, str]
) -> Iterator[Row]:
    """Yield the rows of one record; fills in `row` as far as the record can be read. Raises Unusable."""
    of = asked(record)
    reading = wording.read(of.question)
    name = reading.question_type if reading else wording.type_named(record.get("question_type"))
    row["question_type"], row["ground_truth"] = name, of.answer[:200]
    if reading is None:
        raise Unusable(NOT_A_TYPE, of.question[:60])
    if reading.type.recompute is None:
        raise Unusable(reading.type.not_recomputed)
    row["dataset"], row["scene_id"] = scan = scan_of(record)
    if scan not in views:
        if scan[1] in unread:
            raise Unusable("the metadata of this scan cannot be read", unread[scan[1]])
        raise Unusable("no boxes of this scan", "/".join(scan))
    answer = _choice if reading.type.answer is None else _number
    yield from (row | more for more in answer(reading, of, views[scan]))


def _number(reading: Reading, of: Asked, scene: _Scene) -> Iterator[Row]:
    of_type = reading.type
    digits = number(of.answer, of.question, of_type)
    if of_type.answer is None:
        raise AssertionError(f"{of_type.name} has no number")
    if of_type.answer.measure == "count":
        ours = int(_recomputed(of_type, reading.fields, (), scene))
        yield {"recomputed": str(ours), "difference": float(digits) - ours, "agrees": float(digits) == ours}
        return
    unit = asked_unit(of.question, of_type)
    if unit is None:
        raise Unusable("ambiguous unit", of.question[:60])
    for definition, boxes in _defined(of_type, scene):
        ours = float(_recomputed(of_type, reading.fields, (), boxes))
        yield {"definition": definition} | _measured(of_type.answer, digits, unit, ours)


def _defined(of_type: QuestionType, scene: _Scene) -> list[tuple[Definition | None, _Scene]]:
    """Return the scene with each definition of distance; once and without a name where distances do not matter."""
    if not of_type.by_distance:
        return [(None, scene)]
    return [(name, replace(scene, definition=name)) for name in get_args(Definition)]


def _recomputed(of_type: QuestionType, fields: Mapping[str, str], options: Sequence[str], scene: _Scene) -> float | str:
    if of_type.recompute is None:
        raise Unusable(of_type.not_recomputed)
    return of_type.recompute(fields, options, scene)


def _measured(answer: Number, digits: str, unit: Unit, ours: float) -> Row:
    """Return the verdict on a number: it agrees if it is ours but for VSI-Bench's rounding, or its own coarser one."""
    factor, decimals = float(unit.factor), len(digits.partition(".")[2])
    difference = float(digits) * factor - ours
    tolerance = max(answer.half_digit, 0.5 * factor * 10.0**-decimals)
    return {
        "recomputed": f"{ours / factor:.{max(decimals, 1)}f}",
        "difference": difference,
        "agrees": abs(difference) <= tolerance + _SLACK,
    }


def _choice(reading: Reading, of: Asked, scene: _Scene) -> Iterator[Row]:
    of_type = reading.type
    texts = option_texts(of.options or implied_options(of_type, reading.listed))
    truth = letter(of.answer, texts) if of.options else word(of.answer, texts)
    if of_type.options == "directions":
        texts = [side(text) or text.lower() for text in texts]
    for definition, boxes in _defined(of_type, scene):
        ours = str(_recomputed(of_type, reading.fields, texts, boxes))
        found = LETTERS[texts.index(ours)] if ours in texts else ours
        yield {"definition": definition, "recomputed": found, "agrees": found == truth}


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum())


# --- report ----------------------------------------------------------------------------------------------------------


@dataclass
class _Sum:
    """Verdicts of one question type under one definition of distance."""

    n: int = 0
    agree: int = 0
    apart: float = 0.0
    n_apart: int = 0

    def add(self, row: Row) -> None:
        self.n, self.agree = self.n + 1, self.agree + row["agrees"]
        if row["difference"] is not None:
            self.apart, self.n_apart = self.apart + row["difference"], self.n_apart + 1

    @property
    def share(self) -> float:
        return self.agree / self.n

    def line(self, definition: str | None) -> str:
        mean = f"mean {round(self.apart / self.n_apart, 2) + 0.0:+.2f}" if self.n_apart else ""
        return f"  {DEFINITIONS.get(definition or '', ''):<42}{100 * self.share:>6.1f} %{mean:>17}"


class Tally:
    """Counts rows of AUDIT_RELEASED as they come: a file of half a million records fits into no memory."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.matched: Counter[str] = Counter()
        self._sums: dict[str, dict[str | None, _Sum]] = {}
        self._unmatched: Counter[tuple[str, str]] = Counter()
        self._examples: dict[tuple[str, str], str] = {}
        self._last = ""

    def add(self, row: Row) -> None:
        """Count a row; those of one record follow each other."""
        kind, new = row["question_type"] or _UNKNOWN, row["record"] != self._last
        self._last = row["record"]
        self.asked[kind] += new
        if row["agrees"] is None:
            why = (kind, row["note"].partition(":")[0])
            self._unmatched[why] += 1
            self._examples.setdefault(why, row["record"])
        else:
            self.matched[kind] += new
            self._sums.setdefault(kind, {}).setdefault(row["definition"], _Sum()).add(row)

    def report(self) -> str:
        """Agreement per question type and definition of distance; what could not be matched, with its share and why."""
        head = f"{'question type':<30}{'questions':>10}{'matched':>10}  {'measured between':<42}"
        lines, findings = [f"{head}{'agree':>8}{'released - ours':>17}"], []
        for kind in sorted(self.asked, key=[*question_types.NAMES, _UNKNOWN].index):
            head, sums = f"{kind:<30}{self.asked[kind]:>10}{self.matched[kind]:>10}", self._sums.get(kind, {})
            for definition, found in sums.items():
                lines.append(head + found.line(definition))
                head = " " * len(head)
            lines += [] if sums else [f"{head}  none matched"]
            findings += _finding(kind, {definition: found.share for definition, found in sums.items()})
        total, matched = self.asked.total(), self.matched.total()
        lines.append(f"{'all':<30}{total:>10}{matched:>10}  ({100 * matched / max(total, 1):.1f} % matched)")
        lines += ["\nnot matched:"] if self._unmatched else []
        for (kind, why), n in sorted(self._unmatched.items(), key=lambda item: (-item[1], item[0])):
            lines.append(f"{n:>7} ({100 * n / total:.1f} %) {kind}: {why} (such as {self._examples[kind, why]})")
        return "\n".join(lines + findings)


def _finding(kind: str, shares: Mapping[str | None, float]) -> list[str]:
    """Return a sentence where a release asks for closest points and its answers are those of centres."""
    closest = max((shares.get(name, 0.0) for name in ("vsibench", "exact")), default=0.0)
    if shares.get("centres", 0.0) <= closest:
        return []
    return [
        f"\n{kind}: the answers fit the distance between centres ({100 * shares['centres']:.1f} %) better than the "
        f"distance between closest points ({100 * closest:.1f} %), which the benchmark's questions ask for"
    ]
