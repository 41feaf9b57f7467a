"""Claims on the page and in the summary: which objects thoughts name, over training too, and which answers change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rollout3d.config import question_types
from rollout3d.evaluation.claim_shares import OVERALL
from rollout3d.evaluation.claims import KINDS, UNKNOWN
from rollout3d.evaluation.views import VIDEO
from rollout3d.report import figures
from rollout3d.report.lines import PROBE_WORDS
from rollout3d.report.sheet import Cell, Column, Group, Line, Sheet

Row = Mapping[str, Any]

EXAMPLES = 10
KIND_WORDS = {
    "queried": "in the question",
    "context": "in the scene alone",
    "absent": "not in the scene",
    UNKNOWN: "not counted",
}
"""Kind -> its name in the legend. `style.html.j2` has a colour and a line for each, so that no colour says it alone."""
COLORS = {"queried": figures.BLUE, "context": figures.GREEN, "absent": figures.RED}
"""Colours of the curves, which are those of the marks."""


@dataclass(frozen=True)
class Example:
    """An answer with its question; `parts`: the text in pieces, each with the kind of the object that it names."""

    run: str
    benchmark: str
    question: Row
    parts: Sequence[tuple[str, str | None]]


def naming(claims: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Return the answers on the true video whose thought names an object: those that name others than the queried ones,
    and the rest."""
    named = [row for row in claims if row["mentions"] and row["view"] == VIDEO]
    beside = [row for row in named if row["context"] or row["absent"]]
    return beside, [row for row in named if not (row["context"] or row["absent"])]


def examples(claims: Iterable[Row], questions: Iterable[Row]) -> list[Example]:
    """Return answers with their questions, without those of other questions."""
    by_id = {row["question_id"]: row for row in questions}
    return [
        Example(row["run"], row["benchmark"], by_id[row["question_id"]], parts(row["text"], row["mentions"]))
        for row in claims
        if row["question_id"] in by_id
    ]


def parts(text: str, mentions: Sequence[Row]) -> list[tuple[str, str | None]]:
    """Return a text in pieces: those that name an object with their kind, the others with None."""
    found: list[tuple[str, str | None]] = []
    end = 0
    for each in mentions:
        found += [(text[end : each["start"]], None), (text[each["start"] : each["end"]], each["kind"])]
        end = each["end"]
    return [(piece, kind) for piece, kind in [*found, (text[end:], None)] if piece]


def share_sheet(
    shares: Sequence[Row], benchmark: str, notes: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Sheet | None:
    """Return the sheet of the shares of answers and of names by kind, per run and type; None without thoughts.

    `notes`: remarks by run, such as what its numbers rest on.
    """
    of = [row for row in shares if row["benchmark"] == benchmark and row["view"] == VIDEO and row["kind"] in KINDS]
    if not of:
        return None
    cells = {(r["run"], r["question_type"], r["measure"], r["kind"]): r for r in of}
    groups = []
    for run in dict.fromkeys(row["run"] for row in of):
        types = dict.fromkeys(row["question_type"] for row in of if row["run"] == run)
        lines = []
        for name in sorted(types, key=_place):
            found = [cells.get((run, name, m, kind)) for m in ("answers", "mentions") for kind in KINDS]
            n = next(row["n"] for row in found if row)
            look = "mine" if name == OVERALL else ""
            lines.append(Line(figures.words(name), [*map(_percent, found), Cell(n)], look=look))
        groups.append(Group(run, lines, notes=notes.get(run, ())))
    columns = [Column(f"{what}, {KIND_WORDS[kind]}") for what in ("Answers", "Names") for kind in KINDS]
    note = "Answers: percent of the answers that name such an object; Names: percent of the names that are of the kind"
    return Sheet(
        f"claims-{benchmark}",
        f"Objects named in thoughts on {benchmark}",
        "Type",
        [*columns, Column("n")],
        groups,
        group="Run",
        notes=[note, "95 % intervals over rooms"],
    )


def changed_sheet(
    shares: Sequence[Row], benchmark: str, notes: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> Sheet | None:
    """Return the sheet of the shares of answers that change with each probe, per run; None without probes.

    `notes`: remarks by run, such as what its numbers rest on.
    """
    of = [
        row
        for row in shares
        if row["benchmark"] == benchmark and row["question_type"] == OVERALL and row["measure"].startswith("changed")
    ]
    if not of:
        return None
    groups = []
    for run in dict.fromkeys(row["run"] for row in of):
        own = [row for row in of if row["run"] == run]
        lines = [Line(_shown(row), [_percent(row), Cell(row["n"]), Cell(row["spaces"])]) for row in own]
        groups.append(Group(run, lines, notes=notes.get(run, ())))
    columns = [Column("Changed"), Column("Questions"), Column("Rooms")]
    note = "Percent of the answers that are not those to the true video, with 95 % intervals over rooms"
    return Sheet(
        f"changed-{benchmark}",
        f"Answers that change on {benchmark}",
        "Shown",
        columns,
        groups,
        group="Run",
        notes=[note],
    )


def curves(shares: Sequence[Row]) -> dict[str, list[figures.Panel]]:
    """Return, for each run of GRPO, a panel per view of its rollouts: the share of answers that name an object of each
    kind, in percent over the steps, with its interval."""
    of = [
        row
        for row in shares
        if row["step"] is not None and row["measure"] == "answers" and row["question_type"] == OVERALL
    ]
    found: dict[str, list[figures.Panel]] = {}
    for run, view in dict.fromkeys((row["run"], row["view"]) for row in of):
        own = [row for row in of if (row["run"], row["view"]) == (run, view)]
        series = {KIND_WORDS[kind]: [_point(row) for row in own if row["kind"] == kind] for kind in KINDS}
        panel = figures.share_panel(f"{view} rollouts, percent", series, tuple(COLORS.values()))
        found.setdefault(run, []).append(panel)
    return found


def _point(row: Row) -> tuple[float, float, float | None, float | None]:
    """Return the middle step of a part of a training, and its share with both ends of the interval, percent."""
    low, high = (None if end is None else 100 * end for end in (row["low"], row["high"]))
    return (row["step"] + row["last_step"]) / 2, 100 * row["share"], low, high


def claim_lines(shares: Sequence[Row], benchmark: str) -> list[str]:
    """Return the summary's lines on one benchmark: what thoughts name, and which answers change."""
    of = [row for row in shares if row["benchmark"] == benchmark and row["question_type"] == OVERALL]
    lines = []
    for run in dict.fromkeys(row["run"] for row in of):
        named = {
            row["kind"]: row for row in of if row["run"] == run and row["view"] == VIDEO and row["measure"] == "answers"
        }
        if named:
            listing = ", ".join(f"{_spanned(named[kind])} {KIND_WORDS[kind]}" for kind in KINDS)
            lines.append(f"  {run}: {listing}")
    lines = (
        [f"Thoughts on {benchmark} that name an object, percent, with 95 % intervals over rooms:", *lines]
        if lines
        else []
    )
    changed = []
    for run in dict.fromkeys(row["run"] for row in of):
        own = [row for row in of if row["run"] == run and row["measure"].startswith("changed")]
        if own:
            changed.append(f"  {run}: {', '.join(f'{_spanned(row)} {_shown(row)}' for row in own)}")
    if changed:
        lines += ["Answers that change, percent, shown other frames than the true ones:", *changed]
    return lines


def _place(name: str) -> tuple[int, str]:
    """Return the place of a question type in a table: in the order of the types, others' own behind, overall last."""
    known = question_types.NAMES
    return (known.index(name), "") if name in known else (len(known) + (name == OVERALL), name)


def _shown(row: Row) -> str:
    """Return the frames that a share of changed answers is about, in words."""
    words = PROBE_WORDS[row["view"]]
    return f"{words}, minus {PROBE_WORDS['drowned_context']}" if row["measure"] == "changed_minus_context" else words


def _spanned(row: Row) -> str:
    ends = "" if row["low"] is None else f" ({100 * row['low']:.0f} to {100 * row['high']:.0f})"
    return f"{100 * row['share']:.0f}{ends}"


def _percent(row: Row | None) -> Cell:
    if row is None:
        return Cell()
    return Cell(100 * row["share"], interval=None if row["low"] is None else (100 * row["low"], 100 * row["high"]))
