"""One of the paper's tables, its numbers beside ours."""

from __future__ import annotations

import json

from rollout3d import tables
from rollout3d.config import read_runs
from rollout3d.report import tables as paper
from rollout3d.resources import found
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("paper_table", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--table", required=True, choices=paper.TABLES)
    parser.add_argument("--scores", nargs="*", default=[], help="tables scores (tables 2 to 5)")
    parser.add_argument("--predictions", nargs="*", default=[], help="tables predictions of the settings (table 1)")
    parser.add_argument(
        "--questions", nargs="*", default=[], help="tables ocr_rl (table 1, figure 3), ocr_sft (figure 3)"
    )
    parser.add_argument("--reference", default=paper.REFERENCE, help="the paper's numbers")
    parser.add_argument("--out", required=True, help="table report")
    parser.add_argument(
        "--kept", nargs="*", default=[], help="kept rules and runs that predictions or questions rest on"
    )
    parser.add_argument("--recipes", default="{}", help="what runs have for themselves, as JSON (config/recipes.py)")
    args, config = STAGE.parse(parser, argv)
    recipes = json.loads(args.recipes)
    given = {"ocr_rl": [], "ocr_sft": []}
    for path in args.questions:
        kind = tables.lineage(path).get("table")
        if kind not in given:
            raise StageError(f"{path}: holds the table '{kind}'; --questions takes ocr_rl and ocr_sft")
        columns = ["question_id", "answer_type", "ground_truth", "question_type", "source"]
        given[kind] += tables.read(tables.TABLES[kind], path, columns)
    models = {}
    if args.table != "figure3":
        named = paper.models_of_settings if args.table == "table1" else paper.models_of
        models = named(config, read_runs(config.runs.table, config, recipes))
    rows = paper.build(
        args.table,
        paper.read_reference(args.reference),
        scores=tables.read_many(tables.SCORES, args.scores),
        predictions=tables.read_many(
            *(tables.PREDICTIONS, args.predictions),
            ["question_id", "setting", "sample", "text", *tables.SETTING_COLUMNS],
        ),
        rl=given["ocr_rl"],
        sft=given["ocr_sft"],
        correct_above=config.difficulty.correct_above if args.table == "table1" else 0.5,
        preset=config.preset,
        rests_on=args.kept,
        models=models,
        recipes=recipes,
    )
    parents = {"scores": args.scores, "predictions": args.predictions, "questions": args.questions}
    parents["reference"] = str(args.reference)
    if args.table != "figure3":
        parents["runs"] = found(config.runs.table)
    lineage = STAGE.lineage({name: paths for name, paths in parents.items() if paths})
    tables.write(tables.REPORT, args.out, rows, lineage)


if __name__ == "__main__":
    main()
