"""Sheets of the page, made from rows of tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rollout3d import doors
from rollout3d.evaluation.views import seen_view
from rollout3d.report.figures import words
from rollout3d.report.questions import FATES, bias_lines, source_lines
from rollout3d.report.sheet import Cell, Column, Group, Line, Sheet, plain_sheet
from rollout3d.report.tables import NO_BENCHMARK, NO_QUESTIONS, NOT_OURS, kept_note, task_columns, value_text

Row = Mapping[str, Any]

TITLES = {name: doors.PAPER_TABLES.constant(name, "TITLE", None) for name in doors.PAPER_TABLES.names}
"""Table of the paper -> its heading; None for one that the page shows in another form."""
DIGITS = {"Correct": 0, "Wrong": 0, "Acc.": 2}
"""Decimals of a column, where not 1."""
SETTINGS = {
    "frames2": "2 frames",
    "frames16": "16 frames",
    "frames16_bev": "16 frames and the view from above",
    "frames16_grpo": "16 frames, after GRPO",
}
PROBE_WORDS = {
    "black": "black frames",
    "shuffled": "frames in another order",
    "other_room": "another room's video",
    "drowned": "its objects under noise",
    "removed": "only frames without its objects",
    "drowned_context": "other objects under noise",
    "drowned_all": "all objects under noise",
}
"""Probe -> the frames that the model was shown, in words."""
VIEWS = (
    ("video", "its video", "mine"),
    *(
        each
        for probe, shown in PROBE_WORDS.items()
        for each in ((probe, shown, "quiet"), (seen_view(probe), "difference", "quiet"))
    ),
)
GUESSES = (("random", "random guess"), ("frequent", "frequent answer"))
SHARES = {"well_formed": "Format kept", "consistent": "Follows its thought", "map_accuracy": "Map accuracy"}
"""Column of the score table with a share of the answers, or with a mean over some of them -> its title."""
IF_KNOWN = ("map_accuracy",)
"""Those that a table shows only if a score has them."""
HOW = ("settings", "scorer", "part")
"""Columns of the score table that record how a score was made; older tables lack them."""


def pivot(cells: Sequence[Row]) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """Return columns, lines and common notes of REPORT cells.

    A line has its name, its cells by column, and its notes; common notes are those that all lines of this study share.
    """
    columns = list(dict.fromkeys(cell["column"] for cell in cells))
    lines: dict[str, dict[str, Any]] = {}
    for cell in cells:
        line = lines.setdefault(cell["row"], {"name": cell["row"], "cells": {}, "notes": []})
        line["cells"][cell["column"]] = cell
        line["notes"] += [note for note in cell["note"].split("; ") if note not in line["notes"]]
    for line in lines.values():
        line["ours"] = any(cell["ours"] is not None for cell in line["cells"].values())
    # Guesses have no scorer and no setting, so they do not count for what the others have in common.
    mine = [line["notes"] for line in lines.values() if line["ours"] and "guessing" not in line["notes"]]
    shared = [note for note in mine[0] if all(note in notes for notes in mine)] if mine else []
    silent = (NOT_OURS, NO_QUESTIONS, NO_BENCHMARK)
    common = [note for note in shared if note not in silent and not note.startswith("run ")]
    for line in lines.values():
        line["notes"] = [note for note in line["notes"] if note not in (*common, *silent)]
    return columns, list(lines.values()), common


def paper_sheet(name: str, cells: Sequence[Row]) -> Sheet:
    """Return the sheet of one of the paper's tables, with our numbers beside its own."""
    columns, lines, common = pivot(cells)
    by_setting = "predictions" in doors.PAPER_TABLES.constant(name, "NEEDS", ())
    names = SETTINGS if by_setting else {}

    def cell(line: Mapping[str, Any], column: str) -> Cell:
        found = line["cells"].get(column)
        return Cell(found["ours"], found["paper"]) if found else Cell()

    return plain_sheet(
        name,
        TITLES[name] or name,
        "Setting" if by_setting else "Model",
        [Column(column, digits=DIGITS.get(column, 1)) for column in columns],
        [
            Line(
                names.get(line["name"]) or line["name"],
                [cell(line, column) for column in columns],
                line["notes"],
                "mine" if line["ours"] else "theirs",
            )
            for line in lines
        ],
        common,
    )


def score_sheet(scores: Sequence[Row], benchmark: str) -> Sheet:
    """Return the sheet of a benchmark: each run on its video, on each probe, and video minus probe; then guesses.

    Settings that all runs share stand above the table. Other settings stand beside each run, with a warning.
    """
    of = [row for row in scores if row["benchmark"] == benchmark]
    runs = list(dict.fromkeys(row["run"] for row in of))
    how = {run: {column: _recorded(of, run, column) for column in HOW} for run in runs}
    mixed = [column for column in HOW if len({recorded[column] for recorded in how.values()}) > 1]
    words_of = {run: _words(recorded, mixed) for run, recorded in how.items()}
    common = [word for word in words_of[runs[0]] if all(word in words for words in words_of.values())]
    titles = task_columns(of)
    shares = {k: v for k, v in SHARES.items() if k not in IF_KNOWN or any(row.get(k) is not None for row in of)}
    groups = []
    for run in runs:
        lines = [_score_line(of, titles, shares, run, view, label, look) for view, label, look in VIEWS]
        kept = next((row["rests_on"] for row in of if row["run"] == run and row["view"] == "video"), ())
        own = ", ".join(word for word in words_of[run] if word not in common)
        groups.append(Group(run, [line for line in lines if line], own, kept_note(kept)))
    # Guesses depend on the benchmark only: every run has the same.
    guesses = [_score_line(of, titles, shares, runs[0], view, label, "guess") for view, label in GUESSES]
    groups.append(Group("no video", [line for line in guesses if line]))
    return Sheet(
        f"scores-{benchmark}",
        f"Scores on {benchmark}",
        "Shown",
        [
            *(Column(title) for title in titles.values()),
            Column("n"),
            *(Column(each, digits=0) for each in shares.values()),
        ],
        [group for group in groups if group.lines],
        group="Run",
        notes=[", ".join(common)] if common else [],
        warning=f"Not comparable: the runs differ in {' and '.join(mixed)}" if mixed else "",
    )


def _recorded(rows: Sequence[Row], run: str, column: str) -> str:
    """Return a run's value in a column of `HOW`; empty for score tables without that column."""
    own = (row.get(column) for row in rows if row["run"] == run and row["view"] == "video")
    return next((value for value in own if value), "")


def _words(recorded: Mapping[str, str], mixed: Sequence[str]) -> list[str]:
    """Return how a run's scores were made, part by part; an unknown part is listed only where runs differ in it."""
    words = (
        recorded["settings"].split(", ")
        if recorded["settings"]
        else ["settings unknown"]
        if "settings" in mixed
        else []
    )
    if recorded["scorer"] or "scorer" in mixed:
        words.append(f"scorer {recorded['scorer'] or 'unknown'}")
    if recorded["part"] or "part" in mixed:
        words.append(f"part: {recorded['part'] or 'whole benchmark'}")
    return words


def _score_line(
    rows: Sequence[Row], tasks: Iterable[str], titles: Iterable[str], run: str, view: str, label: str, look: str
) -> Line | None:
    found = {row["task"]: row for row in rows if row["run"] == run and row["view"] == view}
    if not found:
        return None

    def cell(task: str) -> Cell:
        row = found.get(task)
        if row is None:
            return Cell()
        interval = None if row["low"] is None else (row["low"], row["high"])
        return Cell(row["score"], interval=interval, signed=view.startswith("seen"))

    overall = found.get("overall", {})
    shares = [overall.get(name) for name in titles]
    if any(row["low"] is not None for row in found.values()):
        label += ", 95 % interval"
    cells = [Cell() if share is None else Cell(100 * share, unit=" %") for share in shares]
    return Line(label, [*(cell(task) for task in tasks), Cell(overall.get("n")), *cells], look=look)


def source_sheet(rows: Sequence[Row]) -> Sheet:
    """Return the sheet of the sources of the training questions."""
    columns = [*(Column(fate.capitalize()) for fate in FATES), Column("Left out because", text=True)]
    lines = [
        Line(line["source"], [*(Cell(n) for n in line["fates"]), Cell(line["reasons"])]) for line in source_lines(rows)
    ]
    return plain_sheet("sources", "Sources of the training questions", "Source", columns, lines)


def bias_sheet(rows: Sequence[Row]) -> Sheet:
    """Return the sheet of guessing from the text alone; rules well above random guessing are marked."""
    rules, found = bias_lines(rows)
    columns = [Column("n"), Column("Chance"), *(Column(rule) for rule in rules)]
    lines = []
    for line in found:
        marks = {rule: "bad" if rule in line["marked"] else "" for rule in rules}
        scores = [Cell(line["scores"].get(rule), mark=marks[rule]) for rule in rules]
        cells = [Cell(line["n"]), Cell(line["chance"]), *scores, Cell(line["answers"])]
        lines.append(Line(words(line["type"]), cells))
    title = "Scores of guessing from the text"
    return plain_sheet("bias", title, "Type", [*columns, Column("Most frequent answers", text=True)], lines)


def figure3_sheet(cells: Sequence[Row]) -> Sheet:
    """Return the sheet with the numbers of Figure 3."""
    columns, lines, common = pivot(cells)
    counted = [Line(words(line["name"]), [Cell(_whole(line["cells"][c]["ours"])) for c in columns]) for line in lines]
    return plain_sheet("figure3", "Questions per type", "Type", [Column(column) for column in columns], counted, common)


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def hard_sheet(rows: Sequence[Row]) -> Sheet:
    """Return the sheet of hard questions per transition."""
    counts = sorted(Counter(row["transition"] for row in rows).items())
    lines = [Line(name, [Cell(n)]) for name, n in counts]
    return plain_sheet("hard", "Hard questions", "Transition", [Column("Questions")], lines)


def verdict_sheet(annotations: Sequence[Row]) -> Sheet:
    """Return the sheet of the teacher's attempts: verdict, number, and the most frequent reasons."""
    lines = []
    for verdict in ("accepted", "rejected", "failed"):
        rows = [row for row in annotations if row["verdict"] == verdict]
        reasons = Counter((row["reason"] or "").split(":")[0].split("(")[0].strip() for row in rows)
        listing = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common(3) if reason)
        if rows:
            lines.append(Line(verdict, [Cell(len(rows)), Cell(listing)]))
    columns = [Column("Attempts"), Column("Reasons", text=True)]
    return plain_sheet("attempts", "The teacher's attempts", "Verdict", columns, lines)


def rollout_sheet(name: str, title: str, rows: Sequence[Row]) -> Sheet:
    """Return the sheet of the rollouts of one question and their rewards."""
    parts = list(dict.fromkeys(part["name"] for row in rows for part in row["rewards"]))
    columns = [Column("Answer", text=True, limit=24), *(Column(part, digits=2) for part in parts)]
    columns += [Column("Advantage", digits=2), Column("Text", text=True, limit=420)]
    lines = []
    for row in rows:
        values = {part["name"]: part["value"] for part in row["rewards"]}
        advantage = row["advantage"]
        mark = "good" if advantage > 0 else "bad" if advantage < 0 else ""
        answer = row["answer"] if row["answer"] is not None else "none"
        cells = [Cell(answer), *(Cell(values.get(part)) for part in parts)]
        lines.append(Line(row["view"], [*cells, Cell(advantage, mark=mark, signed=True), Cell(row["text"])]))
    return plain_sheet(name, title, "View", columns, lines)


def recipe_sheet(recipes: Mapping[str, Mapping[str, Any]]) -> Sheet:
    """Return the sheet of recipes: per run, each key whose value is not the study's."""
    groups = []
    for run, recipe in recipes.items():
        lines = [
            Line(key, [Cell(value_text(own)), Cell(value_text(study))])
            for key, (study, own) in recipe["differs"].items()
        ]
        lines += [Line(f"row: {cell}", [Cell(value_text(value)), Cell("")]) for cell, value in recipe["run"].items()]
        if lines:
            groups.append(Group(f"{run}: recipe {recipe['recipe']}", lines))
    columns = [Column("This run", text=True, limit=200), Column("The study", text=True, limit=200)]
    title = "Differences of runs from the study: in all else the compared runs are equal"
    return Sheet("recipes", title, "Key", columns, groups, group="Run")


def setting_sheet(changed: Sequence[tuple[str, str, str]]) -> Sheet:
    """Return the sheet of the keys of the configuration whose value is not the paper's."""
    lines = [Line(key, [Cell(here), Cell(paper)]) for key, here, paper in changed]
    columns = [Column("This study", text=True, limit=200), Column("The paper's configuration", text=True, limit=200)]
    return plain_sheet("configuration", "Settings that are not the paper's", "Key", columns, lines)
