"""Score the predictions of a run on a benchmark, with the scores of guessing for comparison.

By hand, score predictions of others (JSON lines, JSON, CSV, Excel or Parquet with an id and a text; logs of lmms-eval,
tables of VLMEvalKit) with several scorers:

    rollout3d score --predictions FILE --answers data/vsibench/test.jsonl --scorer vsibench lmms tagged
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
from pathlib import Path

from rollout3d import doors, files, tables
from rollout3d.config import map_grid_of
from rollout3d.config.evaluation import official_scorer
from rollout3d.evaluation import answer_key, assess, foreign, maps, settings
from rollout3d.evaluation.benchmarks import released
from rollout3d.evaluation.scores import score_rows
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("score", __doc__)
LOG = logging.getLogger(__name__)
PIPELINE = ("--run", "--benchmark", "--questions", "--train")
"""Options that only the workflow gives; without any of them, predictions of others are scored."""


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    given = sys.argv[1:] if argv is None else argv
    if not any(each.split("=")[0] in PIPELINE for each in given):
        return score_foreign(given)
    parser = STAGE.parser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--benchmark", required=True, choices=doors.BENCHMARKS.names)
    parser.add_argument("--predictions", required=True, help="table predictions")
    parser.add_argument("--questions", required=True, help="table questions of the benchmark")
    parser.add_argument("--train", required=True, help="table ocr_rl: guesses are drawn from its answers")
    parser.add_argument("--out", required=True, help="table scores")
    parser.add_argument(
        "--method", choices=("none", "sft", "grpo"), help="how the run was trained; default: not compared"
    )
    parser.add_argument("--style", choices=("direct", "think"), help="prompt style of the run; default: by --method")
    parser.add_argument("--scorer", nargs="+", help="scorers, the official one first; default: evaluation.scorers")
    parser.add_argument("--model", help="model.json that the predictions must come from; default: not compared")
    parser.add_argument(
        "--maps", nargs="*", default=[], help="tables cognitive_maps of its scenes: maps in answers are compared"
    )
    parser.add_argument("--kept", nargs="*", default=[], help="kept rules and runs that the predictions rest on")
    args, config = STAGE.parse(parser, argv)
    predictions = tables.read(tables.PREDICTIONS, args.predictions)
    grid = None
    if args.maps and settings.style_in(predictions) == "think":  # direct answers draw no map
        grid = map_grid_of(config)
        if grid is None:
            parser.error("--maps: prompts of this configuration offer no map (prompts.think, evaluation.given_map)")
    questions = tables.read(tables.QUESTIONS, args.questions)
    training = tables.read(tables.OCR_RL, args.train, ["question_type", "ground_truth"])
    try:
        if args.model:
            settings.check_model(predictions, args.model)
        rows = score_rows(
            *(args.run, args.benchmark, predictions, questions, training, args.kept),
            scorers=args.scorer or config.evaluation.scorers,
            wanted=settings.wanted(config, predictions, args.method, args.style, args.benchmark),
            **({"maps": maps.true_maps(args.maps, grid), "grid": grid} if grid else {}),
        )
    except ValueError as error:
        raise StageError(f"{args.predictions}: {error}") from None
    parents = {"predictions": args.predictions, "questions": args.questions, "train": args.train}
    parents |= {"maps": args.maps} if args.maps else {}
    tables.write(tables.SCORES, args.out, rows, STAGE.lineage(parents))
    for row in rows:
        if row["task"] == "overall":
            by = f"{row['view']} by {row['scorer']}" if row["scorer"] else row["view"]
            LOG.info("%s on %s, %s: %.1f %% of %d", args.run, args.benchmark, by, row["score"], row["n"])


def score_foreign(argv: list[str]) -> None:
    """Score predictions of others, print the table, and write it where `--out` and `--json` say."""
    parser = _foreign_parser()
    args = parser.parse_args(argv)
    own = [official_scorer("direct", args.answers_of), *doors.BENCHMARKS.constant(args.answers_of, "BESIDE", ())]
    names = list(dict.fromkeys(args.scorer or own))
    if args.split not in answer_key.splits(args.answers_of):
        parser.error(f"--split: {args.answers_of} has {', '.join(answer_key.splits(args.answers_of))}")
    predictions = foreign.read_predictions(args.predictions, args.id_column, args.text_column)
    right = answer_key.read_answers(args.answers, args.answers_of)
    wanted = right.of_split(args.split, args.tiny_ids)
    found = assess.assess(predictions, right, wanted, args.split, names)
    print(_heading(args, predictions, right, found))
    print(assess.report(found))
    if args.json:
        about = {"predictions": args.predictions, "answers": [str(file) for file in right.files]}
        about |= {"id_column": predictions.id_column, "text_column": predictions.text_column}
        about |= {"rows": predictions.rows, "doubled": predictions.doubled, "empty": predictions.empty}
        _write_json(args.json, about | dataclasses.asdict(found))
    if args.out:
        STAGE.parse(parser, argv)
        rows = assess.score_rows(found, Path(args.predictions).stem, tables.SCORES.schema.names)
        parents = {"predictions": args.predictions, "answers": right.files}
        tables.write(tables.SCORES, args.out, rows, STAGE.lineage(parents))


def _foreign_parser() -> argparse.ArgumentParser:
    parser = STAGE.parser()
    parser.epilog = f"In the workflow, with {', '.join(PIPELINE)} and --out, a run's table of predictions is scored."
    parser.add_argument("--predictions", required=True, help=".jsonl, .json, .csv, .tsv, .xlsx, .parquet")
    parser.add_argument(
        "--answers",
        required=True,
        nargs="+",
        help="released question files (VSI-Bench: test.jsonl or test*.parquet), or a table questions",
    )
    parser.add_argument(
        "--answers-of",
        default=answer_key.BENCHMARK,
        choices=[name for name in doors.BENCHMARKS.names if released(name)],
        help="benchmark of the answers [vsibench]",
    )
    parser.add_argument(
        "--scorer", nargs="+", choices=doors.SCORERS.names, help="rules, side by side [the benchmark's own]"
    )
    parser.add_argument(
        "--split", default="full", help="part of the benchmark; VSI-Bench: debiased, pruned, tiny [full]"
    )
    parser.add_argument("--tiny-ids", help="file with the ids of the split tiny, which the release does not hold")
    parser.add_argument("--id-column", help="column of the question's id [guessed]")
    parser.add_argument("--text-column", help="column of the model's text [guessed]")
    parser.add_argument("--out", help="also write a table scores (Parquet)")
    parser.add_argument("--json", help="also write the table, counts and notes as JSON")
    return parser


def _heading(
    args: argparse.Namespace, predictions: foreign.Predictions, right: answer_key.AnswerKey, found: assess.Assessment
) -> str:
    missing, n = found.missing.get("overall", 0), found.n["overall"]
    counts = [f"{missing:,} missing (count as wrong)", f"{predictions.empty:,} empty (wrong)"]
    counts.append(f"{predictions.doubled:,} doubled with equal texts (counted once)")
    examples = f", such as {assess.shown(found.unknown)}" if found.unknown else ""
    counts.append(f"{len(found.unknown):,} of unknown ids (ignored{examples})")
    if found.outside:
        counts.append(f"{found.outside:,} outside the split (ignored)")
    unknown = "settings of these predictions are unknown"
    return "\n".join(
        [
            f"{args.predictions}: {predictions.rows:,} predictions; id from column '{predictions.id_column}', "
            f"text from '{predictions.text_column}'",
            f"{', '.join(str(file) for file in right.files)}: {n:,} questions, split {found.split}",
            f"predictions: {'; '.join(counts)}",
            unknown if predictions.settings is None else f"settings: {predictions.settings}",
            *(f"note: {note}" for note in found.notes),
            "",
        ]
    )


def _write_json(path: str, value: dict) -> None:
    try:
        files.write_atomically(path, json.dumps(value, indent=2) + "\n")
    except OSError as error:
        raise StageError(f"{path}: cannot be written ({error.strerror})") from None


if __name__ == "__main__":
    main()
