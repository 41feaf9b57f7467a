"""Predictions -> scores of a run on a benchmark, with what guessing scores beside them."""

from __future__ import annotations

import logging

from rollout3d import tables
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.scores import score_rows
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("score", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--benchmark", required=True, choices=sorted(benchmarks.BENCHMARKS))
    parser.add_argument("--predictions", required=True, help="table predictions")
    parser.add_argument("--questions", required=True, help="table questions of the benchmark")
    parser.add_argument("--train", required=True, help="table ocr_rl: guesses are drawn from its answers")
    parser.add_argument("--out", required=True, help="table scores")
    parser.add_argument("--kept", nargs="*", default=[], help="kept rules and runs that the predictions rest on")
    args, _ = STAGE.parse(parser, argv)
    predictions = tables.read(tables.PREDICTIONS, args.predictions)
    questions = tables.read(tables.QUESTIONS, args.questions)
    training = tables.read(tables.OCR_RL, args.train, ["question_type", "ground_truth"])
    try:
        rows = score_rows(args.run, args.benchmark, predictions, questions, training, args.kept)
    except ValueError as error:
        raise StageError(f"{args.predictions}: {error}") from None
    parents = {"predictions": args.predictions, "questions": args.questions, "train": args.train}
    tables.write(tables.SCORES, args.out, rows, STAGE.lineage(parents))
    for row in rows:
        if row["task"] == "overall":
            LOG.info("%s on %s, %s: %.1f %% of %d", args.run, args.benchmark, row["view"], row["score"], row["n"])


if __name__ == "__main__":
    main()
