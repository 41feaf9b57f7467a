"""Compare the arms of a study with its baseline, over seeds and rooms; or state what it can detect, from its pilot.

    rollout3d study_table --predictions eval/pilot_*/synthetic/predictions.parquet --questions questions.parquet \\
        --out study_design.parquet
    rollout3d study_table --design study_design.parquet --predictions eval/*/synthetic/predictions.parquet \\
        --questions questions.parquet --out study.parquet

Arms are the runs named ARM_SEED of the run table (`config.arms`). Without --design the pilot's runs are read.
"""

from __future__ import annotations

import json

from rollout3d import tables
from rollout3d.config import of_run, read_runs
from rollout3d.config.arms import BASELINE, PILOT, arms_of
from rollout3d.config.evaluation import official_scorer
from rollout3d.config.frames import most_frames
from rollout3d.resources import found
from rollout3d.stages.common import Stage, StageError
from rollout3d.tables.rows import ClaimRow

STAGE = Stage("study_table", __doc__)
CLAIM_COLUMNS = ["run", "question_id", "view", "queried", "context", "absent", "reason"]


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--predictions", required=True, nargs="+", help="tables predictions of the arms' runs")
    parser.add_argument("--questions", required=True, help="table questions of the benchmark")
    parser.add_argument("--claims", nargs="*", default=[], help="tables claims of these runs; none: no shares of names")
    parser.add_argument("--rollouts", nargs="*", default=[], help="tables rollouts of these runs; none: no tokens")
    parser.add_argument("--design", nargs="?", help="table study of the pilot; without it that table is made")
    parser.add_argument("--kept", nargs="*", default=[], help="kept rules and runs that predictions rest on")
    parser.add_argument(
        "--recipes", default="{}", help="differences of runs from the study, as JSON (config/recipes.py)"
    )
    parser.add_argument("--out", required=True, help="table study")
    args, config = STAGE.parse(parser, argv)

    from rollout3d.evaluation import benchmarks
    from rollout3d.evaluation.arms import Cost, cost, design_rows, measures, study_rows
    from rollout3d.training.rollouts import in_loss, planned_views

    runs = read_runs(config.runs.table, config, json.loads(args.recipes))
    arms = arms_of(runs)
    if not arms:
        raise StageError(
            f"{config.runs.table}: has no arms of a study: name its runs {BASELINE}_SEED, {PILOT}_SEED, ..."
        )
    wanted = {arm: names for arm, names in arms.items() if (arm == PILOT) != bool(args.design)}
    benchmark = config.evaluation.benchmarks[0]
    questions = tables.read(tables.QUESTIONS, args.questions)
    average, scorer = benchmarks.get(benchmark).average, official_scorer("think", benchmark)
    named: dict[str, list[ClaimRow]] = {}
    for path in args.claims:
        for row in tables.read(tables.CLAIMS, path, CLAIM_COLUMNS):
            named.setdefault(row["run"], []).append(row)
    made = {}
    for path in args.predictions:
        rows = tables.read(tables.PREDICTIONS, path)
        for name in {row["model"] for row in rows}:
            own = [row for row in rows if row["model"] == name]
            made[name] = measures(own, questions, named.get(name, ()), average, scorer)
    if lost := [name for names in wanted.values() for name in names if name not in made]:
        raise StageError(
            f"--predictions: {', '.join(lost)} of {config.runs.table} is missing: evaluate it, and name it"
        )
    spent: dict[str, Cost] = {}
    for path in args.rollouts:
        name = (tables.lineage(path).get("values") or {}).get("job.run")
        if name not in runs:
            raise StageError(f"--rollouts: {path} is of the run {name}, which {config.runs.table} lacks")
        grpo = of_run(config, runs[name]).grpo
        views = planned_views(grpo, runs[name], most_frames(config.video.train_frames))
        drawn = tables.read(tables.ROLLOUTS, path, ["view", "sample", "n_tokens"])
        spent[name] = cost(drawn, in_loss(views, grpo.ablation.grad_limit))
    if spent and (lost := [name for names in wanted.values() for name in names if name not in spent]):
        raise StageError(f"--rollouts: those of {', '.join(lost)} are missing: name them, or give none")
    costs = {arm: [spent[name] for name in names] for arm, names in wanted.items()} if spent else {}
    of_arms = {arm: [made[name] for name in names] for arm, names in wanted.items()}
    if args.design:
        rows = study_rows(of_arms, tables.read(tables.STUDY, args.design), args.kept, costs)
    else:
        rows = design_rows(of_arms[PILOT], len(arms[BASELINE]), args.kept)
    parents = {"predictions": args.predictions, "claims": args.claims, "questions": args.questions}
    parents["rollouts"] = args.rollouts
    parents["design"] = args.design
    parents["runs"] = str(found(config.runs.table))
    lineage = STAGE.lineage({name: paths for name, paths in parents.items() if paths})
    tables.write(tables.STUDY, args.out, rows, lineage)
    for row in rows:
        gap = (
            "" if row["difference"] is None else f", {row['difference']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})"
        )
        at_least = "" if row["detectable"] is None else f", detects {row['detectable']:.1f}"
        print(f"{row['arm']:<14}{row['measure']:<18}{row['value']:6.1f}{gap}{at_least}")


if __name__ == "__main__":
    main()
