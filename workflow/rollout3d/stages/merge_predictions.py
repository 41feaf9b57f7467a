"""Merge the predictions of all shards of a benchmark into one table, in the order of the questions."""

from __future__ import annotations

import logging

from rollout3d import tables
from rollout3d.evaluation.merge import merge
from rollout3d.evaluation.settings import filled
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("merge_predictions", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--predictions", required=True, nargs="+", help="tables predictions of all shards, in order")
    parser.add_argument("--questions", required=True, help="table questions of the benchmark")
    parser.add_argument("--probes", nargs="?", help="table probes, if probes were evaluated")
    parser.add_argument("--out", required=True, help="table predictions")
    parser.add_argument("--run", help="run of the predictions, for the lineage")
    parser.add_argument("--benchmark", help="benchmark of the predictions, for the lineage")
    args, _ = STAGE.parse(parser, argv)
    questions = [row["question_id"] for row in tables.read(tables.QUESTIONS, args.questions, ["question_id"])]
    try:
        shards = [filled(tables.read(tables.PREDICTIONS, path), tables.lineage(path)) for path in args.predictions]
        rows = merge(shards, questions, _no_twin(args.probes))
    except ValueError as error:
        shards = ", ".join(args.predictions[:3]) + (" ..." if len(args.predictions) > 3 else "")
        raise StageError(f"{shards}: {error}; evaluate all shards again on {args.questions}") from None
    parents = {"predictions": args.predictions, "questions": args.questions}
    lineage = STAGE.lineage(parents | ({"probes": args.probes} if args.probes else {}))
    tables.write(tables.PREDICTIONS, args.out, rows, lineage)
    LOG.info("%d predictions from %d shards", len(rows), len(args.predictions))


def _no_twin(path: str | None) -> dict[str, set[str]]:
    """Return, for each probe, the questions without such a twin of their video."""
    found: dict[str, set[str]] = {}
    for row in tables.read(tables.PROBES, path, ["question_id", "probe", "reason"]) if path else ():
        if row["reason"] is not None:
            found.setdefault(row["probe"], set()).add(row["question_id"])
    return found


if __name__ == "__main__":
    main()
