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

from rollout3d.config import question_types
from rollout3d.report import claims, figures, lines
from rollout3d.report.about import LICENCE, About
from rollout3d.report.drawn_map import DrawnMap
from rollout3d.report.gallery import Example
from rollout3d.report.sheet import number, shown, span
from rollout3d.report.tables import kept_note
from rollout3d.seeding import generator
from rollout3d.training.blindness import warnings

Row = Mapping[str, Any]

PRESETS = {
    "demo": "Synthetic scenes and a small model trained from scratch: these numbers show that the pipeline works. "
    "They are no evidence about the method, and must not be compared with the paper's.",
    "tiny": "The smallest run that passes through every stage, for tests. Its numbers are no evidence of anything.",
    "smoke": "The real model on a handful of samples: these numbers show that the installation works, nothing more.",
    "ablations": "The paper's configuration, runs of Tables 3 to 5.",
    "spacer": "SpaceR's training questions of ScanNet, by its rules.",
    "spatial_r1": "Spatial-R1's training questions of ScanNet, by its rules.",
    "seeing": "Synthetic scenes and a small model trained from scratch, long enough to use its video: the result is "
    "the difference between its video and black frames. Its scores must not be compared with the paper's.",
    "spacer_demo": "Synthetic scenes, a small model trained from scratch, seconds of training per run: these numbers "
    "show that SpaceR's and Spatial-R1's parts work. They must not be compared with the papers'.",
    "study": "A toy study of rollout methods: synthetic scenes, a model of a few million parameters, minutes per run. "
    "It compares methods with each other; its numbers must not be compared with the paper's.",
    "tiny_qwen": "The recipe of the small model: synthetic scenes only. Its scores must not be compared with the "
    "paper's.",
}
"""Preset -> what stands above its results."""
OUTLINES = ("#ffd400", "#00e5ff", "#ff5cf4", "#7dff5c", "#ff9a3c", "#b9a4ff")
"""Colours of the outlines of objects, repeated from the first where there are more objects."""


@dataclass(frozen=True)
class Study:
    """Contents of the page; empty parts are left out."""

    preset: str | None
    counts: Sequence[tuple[str, str, str]]
    """Name, number and remark of each part of the study that was built."""
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
    maps: Mapping[str, DrawnMap] = field(default_factory=dict)
    """Cognitive map by scene."""
    claim_shares: Sequence[Row] = ()
    """CLAIM_SHARES rows of all runs."""
    claim_examples: Sequence[claims.Example] = ()
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Run -> its recipe's differences from the study (`config.recipes.summaries`)."""
    about: About = field(default_factory=About)


def sample_questions(train: Sequence[Row], seed: int, n: int = 10) -> list[Row]:
    """Draw `n` questions by `seed`: one of each type in turn, as long as there are types with more."""
    by_type: dict[str, list[Row]] = {}
    for row in train:
        by_type.setdefault(row["question_type"], []).append(row)
    names = question_types.NAMES
    order = [name for name in names if name in by_type] + sorted(set(by_type) - set(names))
    drawn: list[Row] = []
    piles = {name: generator(seed, "report", name).permutation(len(by_type[name])).tolist() for name in order}
    while len(drawn) < n and any(piles.values()):
        for name in order:
            if piles[name] and len(drawn) < n:
                drawn.append(by_type[name][piles[name].pop()])
    return drawn


def render(study: Study) -> str:
    """Return the page as HTML that loads nothing from elsewhere."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"uri": _uri, "number": number, "span": span, "pretty": _pretty}
    environment.globals |= {"plain": figures.words, "several": _several}
    environment.globals |= {"shown": shown, "outline_colors": OUTLINES}
    benchmarks = sorted({row["benchmark"] for row in study.scores})
    figure3 = study.tables.get("figure3", ())
    kept = {row["run"]: kept_note(row["rests_on"]) for row in study.scores if row["view"] == "video"}
    claimed = list(dict.fromkeys(row["benchmark"] for row in study.claim_shares if row["benchmark"] is not None))
    return environment.get_template("page.html.j2").render(
        study=study,
        about=study.about,
        licence=LICENCE,
        banner=PRESETS.get(study.preset or ""),
        tables=[lines.paper_sheet(name, cells) for name, cells in study.tables.items() if lines.TITLES.get(name)],
        benchmarks=[
            (name, figures.scores_chart(study.scores, name), lines.score_sheet(study.scores, name))
            for name in benchmarks
        ],
        claimed=[each for name in claimed if (each := claims.share_sheet(study.claim_shares, name, kept))],
        changed_answers=[each for name in claimed if (each := claims.changed_sheet(study.claim_shares, name, kept))],
        claim_curves=claims.curves(study.claim_shares),
        kinds=claims.KIND_WORDS,
        curves={run: figures.training_curves(rows) for run, rows in study.metrics.items()},
        blind={run: warnings(rows) for run, rows in study.metrics.items()},
        figure3=figures.dataset_chart(figure3),
        counted=lines.figure3_sheet(figure3) if figure3 else None,
        hard=lines.hard_sheet(study.hard) if study.hard else None,
        attempts=lines.verdict_sheet(study.annotations) if study.annotations else None,
        sources=lines.source_sheet(study.sources) if study.sources else None,
        bias=lines.bias_sheet(study.bias) if study.bias else None,
        recipes=lines.recipe_sheet(study.recipes) if study.recipes else None,
        changed=lines.setting_sheet(study.about.changed) if study.about.changed else None,
        thoughts={row["question_id"]: row["think"] for row in study.sft},
        samples=study.samples,
        gallery=[
            (example, lines.rollout_sheet(f"rollouts-{i}", _title(example), example.rollouts))
            for i, example in enumerate(study.examples, 1)
        ],
    )


def _title(example: Example) -> str:
    return f"Rollouts of run {example.run}, step {example.step} of {example.total}"


def _several(labels: Sequence[str]) -> str:
    """Return labels with their counts above one, such as "bed, keyboard (3), printer"."""
    return ", ".join(name if n == 1 else f"{name} ({n})" for name, n in sorted(Counter(labels).items()))


def _uri(data: bytes | str, media_type: str) -> str:
    """Return data as a data URL, so that the page needs no other file."""
    return f"data:{media_type};base64," + base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def _pretty(evidence: str) -> str:
    """Return evidence as text without the room's other objects, one line per key."""
    values = json.loads(evidence)
    if not isinstance(values, dict):
        return evidence
    return "\n".join(f"{key}: {json.dumps(value)}" for key, value in values.items() if key != "centres")
