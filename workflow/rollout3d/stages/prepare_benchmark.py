"""A benchmark as released -> its questions and the frames that models are shown."""

from __future__ import annotations

from rollout3d import tables
from rollout3d.evaluation import benchmarks
from rollout3d.releases import MissingData
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("prepare_benchmark", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--benchmark", required=True, choices=sorted(benchmarks.BENCHMARKS))
    parser.add_argument("--questions", nargs="*", default=[], help="benchmark synthetic: its test questions")
    parser.add_argument("--frames", nargs="*", default=[], help="benchmark synthetic: tables frames")
    parser.add_argument("--out-questions", required=True, help="table questions")
    parser.add_argument("--out-frames", required=True, help="table frames")
    args, config = STAGE.parse(parser, argv)
    questions = args.questions[0] if args.questions else None
    try:
        prepared = benchmarks.get(args.benchmark).prepare(config, questions, args.frames)
        released = () if args.benchmark == "synthetic" else prepared.sources
        lineage = STAGE.lineage({"questions": args.questions, "frames": args.frames, "released": released})
        tables.write(tables.FRAMES, args.out_frames, prepared.frames, lineage)
        tables.write(tables.QUESTIONS, args.out_questions, prepared.questions, lineage)
    except (benchmarks.BenchmarkError, MissingData) as error:
        raise StageError(str(error)) from None


if __name__ == "__main__":
    main()
