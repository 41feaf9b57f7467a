"""Show whether a part of the reward grew during trainings: the last third of the steps minus the first, with intervals.

    rollout3d growth --results results/spacer_demo --runs spacer spacer_1 spacer_2 --part map

Ends with status 1 with --above where the interval of a run does not lie above zero.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d import tables
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("growth", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--results", required=True, type=Path, help="results directory, such as results/spacer_demo")
    parser.add_argument("--runs", required=True, nargs="+", metavar="RUN", help="runs trained by GRPO")
    parser.add_argument("--part", default="total", help="part of the reward, a name of rollouts.rewards [total]")
    parser.add_argument("--above", action="store_true", help="the interval of every run must lie above zero")
    args, _ = STAGE.parse(parser, argv)

    from rollout3d.training.growth import growth

    print(f"reward part {args.part}, last third of the steps minus the first, interval over questions")
    failed = []
    for run in args.runs:
        path = args.results / "runs" / run / "rollouts.parquet"
        rows = tables.read(tables.ROLLOUTS, path, ["step", "view", "question_id", "rewards"])
        found = growth(rows, args.part)
        print(
            f"  {run:<20}{found.last - found.first:+.3f} ({found.low:+.3f} to {found.high:+.3f}): {found.first:.3f} of "
            f"{found.n_first:,} questions, then {found.last:.3f} of {found.n_last:,}"
        )
        if not found.low > 0:  # not a number, too
            failed.append(run)
    if args.above and failed:
        raise StageError(f"{args.part} did not grow in {', '.join(failed)}")


if __name__ == "__main__":
    main()
