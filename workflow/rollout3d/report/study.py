"""Read the tables of a study into the contents of the page."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rollout3d import doors, tables
from rollout3d.config import Config, Run, read_runs
from rollout3d.evaluation.settings import official
from rollout3d.report import claims, gallery
from rollout3d.report import tables as paper
from rollout3d.report.about import About
from rollout3d.report.page import Study, sample_questions
from rollout3d.scenes.verdict import Mode, judge
from rollout3d.tables.fields import R
from rollout3d.tables.rows import QuestionRow, ReportRow, ScoreRow

Row = Mapping[str, Any]
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Files:
    """Paths of the tables that exist; any may be missing. `metrics` and `rollouts` lie in their run's directory.

    `claims`: of answers to benchmarks; `claim_shares`: of these and of rollouts; `asked`: questions of the benchmarks.
    """

    tables: Sequence[str] = ()
    scores: Sequence[str] = ()
    metrics: Sequence[str] = ()
    rollouts: Sequence[str] = ()
    train: str | None = None
    sft: str | None = None
    hard: str | None = None
    annotations: str | None = None
    sources: str | None = None
    bias: str | None = None
    scenes: Sequence[str] = ()
    frames: Sequence[str] = ()
    objects: Sequence[str] = ()
    maps: Sequence[str] = ()
    regions: Sequence[str] = ()
    cognitive_maps: Sequence[str] = ()
    claims: Sequence[str] = ()
    claim_shares: Sequence[str] = ()
    asked: Sequence[str] = ()


def collect(
    files: Files,
    config: Config,
    about: About | None = None,
    recipes: Mapping[str, dict[str, Any]] | None = None,
    configured: Callable[[Mapping[str, Any]], Config] | None = None,
) -> Study:
    """Read the tables that exist. Tables of scores that no stage made are built from the scores given.

    `recipes`: differences of runs from the study (`config.recipes.summaries`); `configured` lays keys of a run over
    `config`.
    """
    recipes = recipes or {}
    runs = read_runs(config.runs.table, config, recipes)
    train = _read(tables.OCR_RL, files.train)
    sft = _read(tables.OCR_SFT, files.sft)
    hard = _read(tables.HARD, files.hard)
    annotations = _read(tables.ANNOTATIONS, files.annotations)
    scores = cast("list[ScoreRow]", official(tables.read_many(tables.SCORES, files.scores)))
    metrics = {Path(path).parent.name: tables.read(tables.METRICS, path) for path in files.metrics}
    samples = sample_questions(train, config.seed)
    pictures = gallery.Pictures(files.frames, files.maps, config.video, files.cognitive_maps)
    bevs = {scene: pictures.bev(scene) for scene in dict.fromkeys(row["scene_id"] for row in samples) if scene}
    return Study(
        preset=config.preset,
        counts=_counts(files, config.scenes.agreement, train, sft, hard, metrics),
        tables=_tables(files, scores, config, runs, recipes),
        recipes=recipes,
        scores=scores,
        metrics=metrics,
        examples=_examples(files, train, config, runs, lambda run: _own(config, recipes.get(run), configured)),
        sft=sft,
        hard=hard,
        annotations=annotations,
        samples=samples,
        sources=_read(tables.SOURCES, files.sources),
        bias=_read(tables.BIAS, files.bias),
        bevs={scene: bev for scene, bev in bevs.items() if bev},
        maps=pictures.cognitive_maps,
        claim_shares=tables.read_many(tables.CLAIM_SHARES, files.claim_shares),
        claim_examples=_claim_examples(files, config.seed),
        about=about or About(),
    )


def _read(table: tables.Table[R], path: str | None) -> list[R]:
    return tables.read(table, path) if path else []


def _claim_examples(files: Files, seed: int) -> list[claims.Example]:
    """Return answers that name objects, drawn by seed: of each question type in turn, from all runs. Half of them, if
    there are as many, name an object that the question does not name."""
    beside, others = claims.naming(tables.read_many(tables.CLAIMS, files.claims))
    n_others = min(len(others), max(claims.EXAMPLES // 2, claims.EXAMPLES - len(beside)))
    drawn = sample_questions(beside, seed, claims.EXAMPLES - n_others) + sample_questions(others, seed, n_others)
    asked = [row for path in files.asked for row in tables.read_light(tables.QUESTIONS, path)] if drawn else []
    return claims.examples(drawn, asked)


def _own(
    config: Config, recipe: Mapping[str, Any] | None, configured: Callable[[Mapping[str, Any]], Config] | None
) -> Config:
    """Return the configuration of one run: the study's with its recipe laid over it."""
    if not recipe or not recipe["differs"] or configured is None:
        return config
    return configured({key: own for key, (_, own) in recipe["differs"].items()})


def _tables(
    files: Files,
    scores: Sequence[ScoreRow],
    config: Config,
    runs: Mapping[str, Run],
    recipes: Mapping[str, dict[str, Any]],
) -> dict[str, list[ReportRow]]:
    names = shown_tables(runs)
    reference = paper.read_references(names)
    models = paper.models_of(config, runs)
    found = {Path(path).stem: tables.read(tables.REPORT, path) for path in files.tables}
    for name in names:
        if name not in found and doors.PAPER_TABLES.constant(name, "NEEDS", ()) == ("scores", "runs"):
            reported = [row for row in scores if _belongs(row["run"], name, reference)]
            found[name] = paper.build(
                name, reference, scores=reported, preset=config.preset, models=models, recipes=recipes
            )
    return {name: found[name] for name in paper.TABLES if name in found}


def shown_tables(runs: Mapping[str, Run]) -> list[str]:
    """Return the tables of the papers that the column `tables` of the run table names; OCR's where it names none."""
    papers = {doors.paper_of(table) for run in runs.values() for table in run.tables} or {doors.OWN_PAPER}
    return [name for name in paper.TABLES if doors.paper_of(name) in papers]


def _belongs(run: str, table: str, reference: Sequence[Mapping[str, str]]) -> bool:
    """Return whether a table of the paper shows a run: it has a row for it, or compares every run."""
    every = doors.PAPER_TABLES.constant(table, "EVERY_RUN", False)
    return every or any(row["table"] == table and row["run"] == run for row in reference)


def _examples(
    files: Files,
    train: Sequence[QuestionRow],
    config: Config,
    runs: Mapping[str, Run],
    own: Callable[[str], Config],
) -> list[gallery.Example]:
    """Return examples of the first trained run that perturbs objects; `own` gives the configuration of a run."""
    trained: dict[str, str] = {Path(path).parent.name: path for path in files.rollouts}
    perturbing = doors.ROLLOUTS.declaring("OBJECTS")
    for name, run in runs.items():
        if run.rollout not in perturbing or name not in trained:
            continue
        regions = [path for path in files.regions if Path(path).name == f"regions.{run.regions}.parquet"]
        if not regions:
            LOG.warning("run %s: no region tables of mode %s, so no gallery", name, run.regions)
            continue
        return _examples_of(run, trained[name], regions, files, train, own(name))
    return []


def _examples_of(
    run: Run,
    rollouts: str,
    regions: Sequence[str],
    files: Files,
    train: Sequence[QuestionRow],
    config: Config,
) -> list[gallery.Example]:
    pictures = gallery.Pictures(files.frames, files.maps, config.video, files.cognitive_maps)
    by_id = {row["question_id"]: row for row in train}
    rows = tables.read(tables.ROLLOUTS, rollouts)
    return gallery.examples(run, rows, by_id, pictures, files.objects, regions, config.grpo, config.seed)


def _counts(
    files: Files,
    agreement: Mode,
    train: Sequence[Row],
    sft: Sequence[Row],
    hard: Sequence[Row],
    metrics: Mapping[str, Sequence[Row]],
) -> list[tuple[str, str, str]]:
    scans = Counter(row["dataset"] for row in tables.read_many(tables.SCENES, files.scenes, ["scene_id", "dataset"]))
    fates = Counter(judge(row, agreement).fate for row in tables.read_many(tables.SCENES, files.scenes, ["agreement"]))
    n_types = len({row["question_type"] for row in train})
    steps = ", ".join(f"{run} {len(rows):,}" for run, rows in metrics.items())
    counts = [
        ("scans", scans.total(), ", ".join(f"{dataset} {n:,}" for dataset, n in sorted(scans.items()))),
        (
            "scans checked",
            scans.total() - fates["unchecked"],
            f"flagged: {fates['flagged']:,}, dropped: {fates['dropped']:,} (scenes.agreement: {agreement})",
        ),
        ("frames", _n_rows(files.frames), "stored with pose and intrinsics"),
        ("objects", _n_rows(files.objects), "annotated"),
        ("training questions", len(train), f"of {n_types} types"),
        ("hard questions", len(hard), ""),
        ("cold start samples", len(sft), "questions with verified reasoning"),
        ("runs trained", len(metrics), f"steps: {steps}" if steps else ""),
    ]
    return [(name, f"{n:,}", remark) for name, n, remark in counts if n]


def _n_rows(paths: Sequence[str]) -> int:
    return sum(tables.n_rows(path) for path in paths)
