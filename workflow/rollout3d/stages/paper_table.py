"""Make one of the papers' tables, with this study's numbers beside the paper's."""

from __future__ import annotations

import json

from rollout3d import doors, tables
from rollout3d.config import read_runs
from rollout3d.report import tables as paper
from rollout3d.resources import found
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("paper_table", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--table", required=True, choices=paper.TABLES)
    parser.add_argument("--scores", nargs="*", default=[], help="tables scores of the runs that are compared")
    parser.add_argument("--predictions", nargs="*", default=[], help="tables predictions of the filter model")
    parser.add_argument("--answers", nargs="*", default=[], help="tables predictions of the runs that are compared")
    parser.add_argument(
        "--questions", nargs="*", default=[], help="training tables ocr_rl, ocr_sft; table questions of the benchmark"
    )
    parser.add_argument("--scenes", nargs="*", default=[], help="tables scenes of all scans")
    parser.add_argument("--reference", help="the paper's numbers; default: the file of the paper that prints the table")
    parser.add_argument("--out", required=True, help="table report")
    parser.add_argument(
        "--kept", nargs="*", default=[], help="kept rules and runs that predictions or questions rest on"
    )
    parser.add_argument(
        "--recipes", default="{}", help="differences of runs from the study, as JSON (config/recipes.py)"
    )
    args, config = STAGE.parse(parser, argv)
    recipes = json.loads(args.recipes)
    reference = args.reference or paper.reference_of(args.table)
    given = {"ocr_rl": [], "ocr_sft": [], "questions": []}
    for path in args.questions:
        name = tables.lineage(path).get("table")
        if name not in given:
            raise StageError(f"{path}: holds the table '{name}'; --questions takes {', '.join(given)}")
        columns = ["question_id", "answer_type", "ground_truth", "question_type", "source", "dataset", "scene_id"]
        given[name] += tables.read(tables.TABLES[name], path, columns)
    needs = doors.PAPER_TABLES.constant(args.table, "NEEDS", ())
    models = {}
    if "runs" in needs:
        named = paper.models_of_settings if "predictions" in needs else paper.models_of
        models = named(config, read_runs(config.runs.table, config, recipes))
    rows = paper.build(
        args.table,
        paper.read_reference(reference),
        scores=tables.read_many(tables.SCORES, args.scores),
        predictions=tables.read_many(
            *(tables.PREDICTIONS, args.predictions),
            ["question_id", "setting", "sample", "text", *tables.SETTING_COLUMNS],
        ),
        answers=tables.read_many(
            *(tables.PREDICTIONS, args.answers),
            ["question_id", "model", "setting", "text", "n_tokens", *tables.SETTING_COLUMNS],
        ),
        asked=given["questions"],
        rl=given["ocr_rl"],
        sft=given["ocr_sft"],
        scenes=tables.read_many(tables.SCENES, args.scenes, ["scene_id", "fps", "n_frames"]),
        preset=config.preset,
        rests_on=args.kept,
        models=models,
        recipes=recipes,
    )
    parents = {"scores": args.scores, "predictions": args.predictions, "answers": args.answers}
    parents |= {"questions": args.questions, "scenes": args.scenes}
    parents["reference"] = str(reference)
    if "runs" in needs:
        parents["runs"] = found(config.runs.table)
    lineage = STAGE.lineage({name: paths for name, paths in parents.items() if paths})
    tables.write(tables.REPORT, args.out, rows, lineage)


if __name__ == "__main__":
    main()
