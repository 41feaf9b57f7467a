"""Compare runs that differ by seed with the run that they start from, question by question, with intervals.

    rollout3d compare --results results/seeing --before sft --after grpo grpo_1 grpo_2

Ends with status 1 where --above names a view on which nothing was gained, or --not-above one on which the gain of the
video is not gone: its interval there lies above zero, or half of the video's gain is still there. The second condition
holds where few questions make the interval wide.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d import doors, tables
from rollout3d.evaluation.views import VIDEO
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("compare", __doc__)
GONE = 0.5
"""A gain is gone on a view where less than this share of the video's is left."""


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--results", required=True, type=Path, help="results directory, such as results/seeing")
    parser.add_argument("--before", required=True, metavar="RUN", help="run that the others start from")
    parser.add_argument("--after", required=True, nargs="+", metavar="RUN", help="runs that differ by seed")
    parser.add_argument("--benchmark", choices=doors.BENCHMARKS.names, help="default: the first of the configuration")
    parser.add_argument("--scorer", default="tagged", choices=doors.SCORERS.names, help="scorer of the texts [tagged]")
    parser.add_argument("--above", nargs="*", default=[], metavar="VIEW", help="the gain must be above zero")
    parser.add_argument("--not-above", nargs="*", default=[], metavar="VIEW", help="the gain must be gone there")
    args, config = STAGE.parse(parser, argv)

    from rollout3d.evaluation.paired import compare

    benchmark = args.benchmark or config.evaluation.benchmarks[0]
    questions = tables.read(tables.QUESTIONS, args.results / "benchmarks" / benchmark / "questions.parquet")
    runs = {
        run: tables.read(tables.PREDICTIONS, args.results / "eval" / run / benchmark / "predictions.parquet")
        for run in (args.before, *args.after)
    }
    before = runs[args.before]
    after = {run: runs[run] for run in args.after}
    views = list(dict.fromkeys([VIDEO, *config.evaluation.probes, *args.above, *args.not_above]))
    failed, gained = [], 0.0
    print(f"{', '.join(args.after)} minus {args.before} on {benchmark}, points, interval over rooms")
    for view in views:
        found = compare(before, after, questions, benchmark, view, args.scorer)
        gain = found.gains["overall"]
        interval = "" if gain.low is None else f" ({100 * gain.low:+.1f} to {100 * (gain.high or 0):+.1f})"
        each = ", ".join(f"{100 * value:+.1f}" for value in found.by_run.values())
        print(f"  {view:<12}{100 * gain.mean:+6.1f}{interval}  of {gain.n:,} questions; run by run {each}")
        above = gain.low is not None and gain.low > 0
        gained = gain.mean if view == VIDEO else gained
        if view in args.above and not above:
            failed.append(f"nothing was gained with {view}")
        if view in args.not_above and (above or gain.mean > GONE * max(gained, 0.0)):
            failed.append(f"something was gained with {view}")
    if failed:
        raise StageError("; ".join(failed))


if __name__ == "__main__":
    main()
