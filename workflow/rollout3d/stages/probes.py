"""Make the table of probes: for each question, altered videos (`model.probes`).

    rollout3d probes --questions questions.parquet --frames frames.parquet --out probes.parquet \\
        --objects objects.parquet --regions regions.aabb_none.parquet

Pictures are not stored: the table holds the scan whose frames are shown, their order, and the objects drowned.
"""

from __future__ import annotations

import logging
from collections import Counter

from rollout3d import tables
from rollout3d.config.frames import eval_set
from rollout3d.model.probes import probe_rows
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("probes", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, help="table questions")
    parser.add_argument("--frames", required=True, nargs="+", help="tables frames of their scenes")
    parser.add_argument("--objects", nargs="*", default=[], help="tables objects, for probes of objects")
    parser.add_argument("--regions", nargs="*", default=[], help="tables regions, for probes of objects")
    parser.add_argument("--sets", nargs="*", default=[], help="frame sets; default: the one of evaluation")
    parser.add_argument("--benchmark", help="name of the benchmark, which may have frames of its own")
    parser.add_argument("--out", required=True, help="table probes")
    args, config = STAGE.parse(parser, argv)
    if bool(args.objects) != bool(args.regions):
        parser.error("--objects and --regions go together")
    questions = tables.read_light(tables.QUESTIONS, args.questions)
    sets = args.sets or [eval_set(config.evaluation, config.video, args.benchmark)]
    regions = (args.objects, args.regions) if args.regions else None
    wanted, share = config.evaluation.probes, config.evaluation.probe_share
    try:
        rows = [
            row
            for name in sets
            for row in probe_rows(questions, args.frames, name, wanted, config.seed, regions, share)
        ]
    except ValueError as error:
        raise StageError(f"{args.questions}: {error}") from None
    parents = {"questions": args.questions, "frames": args.frames, "objects": args.objects, "regions": args.regions}
    lineage = STAGE.lineage({name: paths for name, paths in parents.items() if paths})
    tables.write(tables.PROBES, args.out, rows, lineage)
    for probe in wanted:
        reasons = Counter(row["reason"] for row in rows if row["probe"] == probe)
        n = reasons.pop(None, 0)
        none = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        LOG.info("%s: %d twins%s", probe, n, f"; without one: {none}" if none else "")


if __name__ == "__main__":
    main()
