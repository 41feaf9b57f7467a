"""Find the objects that thoughts name, and whether question and scene have them: of answers, or of rollouts.

    rollout3d claims --run ocr --benchmark synthetic --predictions predictions.parquet --questions questions.parquet \\
        --scenes results/demo/scenes/*/*/scenes.parquet --out claims.parquet --shares claim_shares.parquet

With --rollouts in place of --predictions, --questions is the training table, and shares are those of parts of the
training, by step.
"""

from __future__ import annotations

import logging
from collections import Counter

from rollout3d import doors, tables
from rollout3d.evaluation.claim_shares import WINDOWS, changed_rows, share_rows
from rollout3d.evaluation.claims import KINDS, NO_COUNTS, Scenes, answer_claims, rollout_claims
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("claims", __doc__)
LOG = logging.getLogger(__name__)
SCENE_COLUMNS = ("scene_id", "dataset", "object_counts")


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--run", required=True)
    parser.add_argument("--benchmark", choices=doors.BENCHMARKS.names, help="benchmark of the predictions")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--predictions", help="table predictions")
    given.add_argument("--rollouts", help="table rollouts")
    parser.add_argument("--questions", required=True, help="table questions, or the training table")
    parser.add_argument("--scenes", nargs="*", default=[], help="tables scenes: what is in a scene")
    parser.add_argument("--out", required=True, help="table claims")
    parser.add_argument("--shares", required=True, help="table claim_shares")
    args, _ = STAGE.parse(parser, argv)
    if bool(args.predictions) != bool(args.benchmark):
        parser.error("--predictions and --benchmark go together")
    scenes = Scenes(tables.read_many(tables.SCENES, args.scenes, SCENE_COLUMNS))
    try:
        if args.predictions:
            questions = tables.read_light(tables.QUESTIONS, args.questions)
            predictions = tables.read(tables.PREDICTIONS, args.predictions)
            rows = list(answer_claims(args.run, args.benchmark, predictions, questions, scenes))
            shares = share_rows(rows) + changed_rows(args.run, args.benchmark, predictions, questions)
        else:
            questions = tables.read_light(tables.OCR_RL, args.questions)
            rows = list(rollout_claims(args.run, tables.read(tables.ROLLOUTS, args.rollouts), questions, scenes))
            shares = share_rows(rows, WINDOWS)
    except KeyError as error:
        raise StageError(
            f"{args.predictions or args.rollouts}: has an answer to question {error}, which {args.questions} lacks: "
            "name the table of questions that was answered"
        ) from None
    parents = {"predictions": args.predictions, "rollouts": args.rollouts, "questions": args.questions}
    parents |= {"scenes": args.scenes}
    lineage = STAGE.lineage({name: paths for name, paths in parents.items() if paths})
    tables.write(tables.CLAIMS, args.out, rows, lineage)
    tables.write(tables.CLAIM_SHARES, args.shares, shares, lineage)
    reasons = Counter(row["reason"] for row in rows)
    judged = reasons.pop(None, 0)
    others = ", ".join(f"{n} {reason}" for reason, n in reasons.most_common())
    LOG.info("%d thoughts judged%s", judged, f"; others: {others}" if others else "")
    if reasons[NO_COUNTS]:
        LOG.warning(
            "%d answers are about scenes whose objects are not known: name VSI-Bench's published boxes (site.boxes), "
            "or ingest the scans (datasets.<name>.splits.test)",
            reasons[NO_COUNTS],
        )
    for kind in KINDS:
        named = sum(bool(row[kind]) for row in rows)
        LOG.info("%s: named by %d of %d thoughts", kind, named, judged)


if __name__ == "__main__":
    main()
