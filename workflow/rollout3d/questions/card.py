"""Data card of the training questions about scans: counts, rules, exclusions, licences, departures. Pure.

SpaceR released the questions of SR-91k without its generator; a card says what stands behind a table that is made anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from rollout3d import doors
from rollout3d.config import Config
from rollout3d.config.choices import GENERAL
from rollout3d.questions import evidence
from rollout3d.questions.guard import REASON
from rollout3d.questions.mix import too_few_general
from rollout3d.releases import terms_of
from rollout3d.scenes import datasets
from rollout3d.tables.rows import DroppedQuestionRow, QuestionRow

GENERATED = "generated"
"""Source of questions that were not imported."""
NAMES = {"ocr": "OCR", "spacer": "SpaceR", "spatial_r1": "Spatial-R1"}
"""Value of `questions.rules` -> name of the paper."""


def card(
    train: Sequence[QuestionRow], dropped: Iterable[DroppedQuestionRow], config: Config, synthetic: bool = False
) -> str:
    """Return the card as Markdown.

    `train`: the whole training table, general data included; `dropped`: what was left out of it; `synthetic`: true of
    rendered scans. Counts are those of the rows: a table that is smaller than what the study asks for says so.
    """
    n_scans = sum(row["scene_id"] is not None for row in train)
    title = f"# Training questions: {n_scans:,} about scans, {len(train) - n_scans:,} general"
    return "\n\n".join([title, *sections(train, dropped, config, synthetic)]) + "\n"


def sections(
    train: Sequence[QuestionRow], dropped: Iterable[DroppedQuestionRow], config: Config, synthetic: bool = False
) -> list[str]:
    """Return the parts of the card below its title, as Markdown. Parameters are those of `card`."""
    scans = [row for row in train if row["scene_id"] is not None]
    general = [row for row in train if row["scene_id"] is None]
    per_scan = Counter(row["scene_id"] for row in scans)
    of_rules = NAMES[config.questions.rules]
    return [
        f"Made by rollout3d. Questions about scans follow the rules of {of_rules} (`questions.rules: "
        f"{config.questions.rules}`) with the wording `{config.questions.wording}`; docs/rules.md lists the rules.",
        "## Questions about scans",
        _table("Question type", Counter(row["question_type"] for row in scans), len(scans)),
        _table("Type of answer", Counter(row["answer_type"] for row in scans), len(scans)),
        _table("Dataset", Counter(str(row["dataset"]) for row in scans), len(scans)),
        _scans(list(per_scan.values()), len({row["space_id"] for row in scans})),
        "## General data",
        _general(general, config.external.general, len(train)),
        "## Left out",
        _left_out(dropped),
        "## What stands in for other data",
        _departures(scans),
        "## Rules of this table",
        _rules(config),
        "## Licences",
        licences(train, synthetic),
    ]


def _table(title: str, counts: Mapping[str, int], total: int) -> str:
    """Return a table of counts and shares, the most frequent first."""
    rows = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    lines = [f"| {title} | questions | share |", "|---|---:|---:|"]
    return "\n".join([*lines, *(f"| {name} | {n:,} | {n / total:.1%} |" for name, n in rows)]) if rows else "None."


def _scans(counts: Sequence[int], n_spaces: int) -> str:
    if not counts:
        return "No scan."
    return (
        f"{len(counts):,} scans of {n_spaces:,} spaces; questions per scan: {min(counts)} to {max(counts)}, "
        f"median {median(counts):g}."
    )


def _general(rows: Sequence[QuestionRow], wanted: int, total: int) -> str:
    if not rows and not wanted:
        return "None: `external.general` is 0."
    if len(rows) < wanted:
        line = too_few_general(len(rows), wanted, total)
        return f"**Smaller than asked for.** {line[0].upper()}{line[1:]}." + ("\n\n" + _kinds(rows) if rows else "")
    return _kinds(rows)


def _kinds(rows: Sequence[QuestionRow]) -> str:
    known = Counter(row["question_type"] if row["question_type"] in GENERAL else "other" for row in rows)
    return _table("Type of answer", known, len(rows))


def _left_out(dropped: Iterable[DroppedQuestionRow]) -> str:
    """Return the counts of left-out questions by reason; the spaces of benchmarks and held-out splits stand first."""
    reasons = Counter(
        "in a space that is tested, or of a held-out split"
        if row["reason"].startswith(REASON)
        else _short(row["reason"])
        for row in dropped
    )
    guarded = "No question is about a physical space that a benchmark of this study or a held-out split has."
    lines = [f"- {n:,} {reason}" for reason, n in sorted(reasons.items(), key=lambda each: (-each[1], each[0]))]
    return "\n".join([guarded, "", *lines]) if lines else guarded


def _short(reason: str) -> str:
    """Return a reason up to its first colon: what follows names single questions."""
    return reason.partition(":")[0]


def _departures(rows: Sequence[QuestionRow]) -> str:
    found = Counter(evidence.approximations(row["evidence"] for row in rows))
    listing = "\n".join(f"- {n:,} questions: {what}" for what, n in sorted(found.items()))
    return listing or "Nothing: every answer rests on the data that its rule names."


def _rules(config: Config) -> str:
    own = config.questions
    caps = ", ".join(f"{name} {cap}" for name, cap in sorted(own.caps.items()))
    return "\n".join(
        [
            f"- At most per scan: {caps or 'no limit'} (`questions.per_scene`).",
            f"- No number answers more than {own.max_value_share:.0%} of a type (`questions.max_value_share`).",
            f"- Questions about scans at most: {f'{own.total:,}' if own.total else 'no limit'} (`questions.total`).",
            "- Options are shuffled and their letters balanced; draws depend on the seed and the question's id.",
        ]
    )


def licences(train: Sequence[QuestionRow], synthetic: bool) -> str:
    """Return the terms that questions stand under, as a list: of their scans, of imported files, of their texts.

    `synthetic`: true of rendered scans.
    """
    names = sorted({str(row["dataset"]) for row in train if row["scene_id"] is not None})
    terms = [f"- Questions made from scans stay under the terms of their release: {_terms(name)}." for name in names]
    if synthetic:
        terms = ["- The scans are synthetic, made by this code (Apache-2.0)."]
    if any(row["scene_id"] is None for row in train):
        terms.append(
            "- General data are those of their release, such as Video-R1-260k, under the terms of its sources."
        )
    files = Counter(row["source"] for row in train if row["source"] != GENERATED)
    terms += [f"- {n:,} questions come from `{name}`: {terms_of(name)}." for name, n in sorted(files.items())]
    return "\n".join(
        [
            *terms,
            "- Texts of questions: own templates, or those of the source that `questions.wording` names (the card of "
            "VSI-Bench states Apache-2.0).",
        ]
    )


def _terms(name: str) -> str:
    return datasets.load(name).RELEASE.terms if name in doors.DATASETS.names else name
