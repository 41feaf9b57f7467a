"""One self-contained HTML page that shows the study: tables, curves, baselines, data and gallery."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from rollout3d.config import CATEGORIES
from rollout3d.report import figures
from rollout3d.report.gallery import Example
from rollout3d.report.questions import bias_lines, source_lines
from rollout3d.report.tables import NO_QUESTIONS, NOT_OURS, TASKS, kept_note
from rollout3d.seeding import generator

Row = Mapping[str, Any]

TITLES = {
    "table1": "Table 1. Model-based data filtering",
    "table2": "Table 2. Comparison on VSI-Bench",
    "table3": "Table 3. Cold start data and rollout method",
    "table4": "Table 4. Rollout policies",
    "table5": "Table 5. Object schedules",
}
PRESETS = {
    "demo": "Synthetic scenes and a small model trained from scratch: these numbers show that the pipeline works. "
    "They say nothing about the method, and must not be compared with the paper's.",
    "tiny": "The smallest run that passes through every stage, for tests. Its numbers mean nothing.",
    "smoke": "The real model on a handful of samples: these numbers show that the installation works, nothing more.",
    "ablations": "The paper's configuration, runs of Tables 3 to 5.",
    "seeing": "Synthetic scenes and a small model trained from scratch, long enough to learn to see: the difference "
    "between its video and black frames is the point. Its scores must not be compared with the paper's.",
}
DIGITS = {"Correct": 0, "Wrong": 0, "Acc.": 2}
"""Decimals of a column, where not 1."""
SETTINGS = {
    "frames2": "2 frames",
    "frames16": "16 frames",
    "frames16_bev": "16 frames and the view from above",
    "frames16_grpo": "16 frames, after GRPO",
}


@dataclass(frozen=True)
class Study:
    """Everything the page shows; empty parts are left out of it."""

    preset: str | None
    counts: Sequence[tuple[str, str, str]]
    """What was built: name, number, remark."""
    tables: Mapping[str, Sequence[Row]]
    """REPORT rows by table."""
    scores: Sequence[Row] = ()
    metrics: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    """METRICS rows by run."""
    examples: Sequence[Example] = ()
    sft: Sequence[Row] = ()
    hard: Sequence[Row] = ()
    annotations: Sequence[Row] = ()
    samples: Sequence[Row] = ()
    """Training questions to show."""
    sources: Sequence[Row] = ()
    bias: Sequence[Row] = ()
    bevs: Mapping[str, bytes] = field(default_factory=dict)
    """PNG by scene, of the samples."""


def sample_questions(train: Sequence[Row], seed: int, n: int = 10) -> list[Row]:
    """`n` questions, one of each type as long as types last, drawn by `seed`."""
    by_kind: dict[str, list[Row]] = {}
    for row in train:
        by_kind.setdefault(row["question_type"], []).append(row)
    order = [kind for kind in CATEGORIES if kind in by_kind] + sorted(set(by_kind) - set(CATEGORIES))
    drawn: list[Row] = []
    piles = {kind: generator(seed, "report", kind).permutation(len(by_kind[kind])).tolist() for kind in order}
    while len(drawn) < n and any(piles.values()):
        for kind in order:
            if piles[kind] and len(drawn) < n:
                drawn.append(by_kind[kind][piles[kind].pop()])
    return drawn


def pivot(cells: Sequence[Row]) -> tuple[list[str], list[dict[str, Any]], list[str]]:
    """REPORT cells -> columns; lines with their name, cells by column and notes; notes that all our lines share."""
    columns = list(dict.fromkeys(cell["column"] for cell in cells))
    lines: dict[str, dict[str, Any]] = {}
    for cell in cells:
        line = lines.setdefault(cell["row"], {"name": cell["row"], "cells": {}, "notes": []})
        line["cells"][cell["column"]] = cell
        line["notes"] += [note for note in cell["note"].split("; ") if note not in line["notes"]]
    for line in lines.values():
        line["ours"] = any(cell["ours"] is not None for cell in line["cells"].values())
    # Guesses are made by no scorer and in no setting: what only they lack is common to all the others.
    mine = [line["notes"] for line in lines.values() if line["ours"] and "guessing" not in line["notes"]]
    shared = [note for note in mine[0] if all(note in notes for notes in mine)] if mine else []
    common = [note for note in shared if note != NO_QUESTIONS and not note.startswith("run ")]
    for line in lines.values():
        line["notes"] = [note for note in line["notes"] if note not in (*common, NOT_OURS, NO_QUESTIONS)]
    return columns, list(lines.values()), common


def score_lines(scores: Sequence[Row], benchmark: str) -> list[dict[str, Any]]:
    """Lines of the table of scores: each run on its video, on black frames, and the one less the other; then the
    guesses, which all runs share."""
    of = [row for row in scores if row["benchmark"] == benchmark]
    lines = []
    views = [("video", "its video"), ("black", "black frames"), ("seen", "difference, 95 % interval")]
    for run in dict.fromkeys(row["run"] for row in of):
        lines += [_score_line(of, run, view, run, label) for view, label in views]
    some = of[0]["run"] if of else ""
    for view, label in (("random", "random guess"), ("frequent", "frequent answer")):
        lines.append(_score_line(of, some, view, "", label))
    return [line for line in lines if line["scores"]]


def _score_line(rows: Sequence[Row], run: str, view: str, name: str, label: str) -> dict[str, Any]:
    found = {row["task"]: row for row in rows if row["run"] == run and row["view"] == view}
    overall = found.get("overall", {})
    return {
        "run": name,
        "view": view,
        "label": label,
        "scores": {task: row["score"] for task, row in found.items()},
        "intervals": {task: (row["low"], row["high"]) for task, row in found.items() if row["low"] is not None},
        "n": overall.get("n"),
        "well_formed": overall.get("well_formed"),
        "notes": kept_note(overall.get("rests_on", ())) if name else [],
    }


def render(study: Study) -> str:
    """The page's HTML. Nothing in it is loaded from elsewhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"png": _png, "jpeg": _jpeg, "number": _number, "pretty": _pretty}
    environment.globals |= {"plain": lambda kind: figures.NAMES.get(kind, kind), "several": _several}
    benchmarks = sorted({row["benchmark"] for row in study.scores})
    return environment.get_template("page.html.j2").render(
        study=study,
        banner=PRESETS.get(study.preset or ""),
        tables=[(name, TITLES[name], *pivot(cells)) for name, cells in study.tables.items() if name in TITLES],
        settings=SETTINGS,
        digits=DIGITS,
        tasks=TASKS,
        benchmarks=[
            (name, figures.scores_chart(study.scores, name), score_lines(study.scores, name)) for name in benchmarks
        ],
        curves={run: figures.training_curves(rows) for run, rows in study.metrics.items()},
        figure3=figures.dataset_chart(study.tables.get("figure3", ())),
        transitions=sorted(Counter(row["transition"] for row in study.hard).items()),
        verdicts=_verdicts(study.annotations),
        sources=source_lines(study.sources),
        bias=bias_lines(study.bias),
        thoughts={row["question_id"]: row["think"] for row in study.sft},
        samples=study.samples,
        gallery=[(example, _rollouts(example.rollouts)) for example in study.examples],
    )


def _verdicts(annotations: Sequence[Row]) -> list[tuple[str, int, str]]:
    """Verdict, attempts, and the most frequent reasons."""
    found = []
    for verdict in ("accepted", "rejected", "failed"):
        rows = [row for row in annotations if row["verdict"] == verdict]
        reasons = Counter((row["reason"] or "").split(":")[0].split("(")[0].strip() for row in rows)
        told = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common(3) if reason)
        if rows:
            found.append((verdict, len(rows), told))
    return found


def _rollouts(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [
        {
            "view": row["view"],
            "text": row["text"],
            "answer": row["answer"],
            "parts": {part["name"]: part["value"] for part in row["rewards"]},
            "advantage": row["advantage"],
        }
        for row in rows
    ]


def _several(labels: Sequence[str]) -> str:
    """ "bed, keyboard (3), printer"."""
    return ", ".join(name if n == 1 else f"{name} ({n})" for name, n in sorted(Counter(labels).items()))


def _png(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


def _jpeg(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _number(value: float | None, digits: int = 1) -> str:
    if value is None:
        return "–"
    return f"{value:,.{digits}f}"


def _pretty(evidence: str) -> str:
    """Evidence without the room's other objects, one key a line."""
    values = json.loads(evidence)
    if not isinstance(values, dict):
        return evidence
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items() if key != "centres")
