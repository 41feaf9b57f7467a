"""Convert a released benchmark to its questions and the frames that models are shown."""

from __future__ import annotations

from functools import partial

from rollout3d import doors, tables
from rollout3d.evaluation import benchmarks
from rollout3d.fingerprint import Recorder, roots_of
from rollout3d.stages.common import Stage

STAGE = Stage("prepare_benchmark", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--benchmark", required=True, choices=doors.BENCHMARKS.names)
    parser.add_argument(
        "--questions", nargs="*", default=[], help="table of test questions, for a benchmark of own scans"
    )
    parser.add_argument("--frames", nargs="*", default=[], help="tables frames, for a benchmark of own scans")
    parser.add_argument("--sets", nargs="*", default=[], help="frame sets to store; default: the configuration's")
    parser.add_argument("--out-questions", required=True, help="table questions")
    parser.add_argument("--out-frames", required=True, help="table frames")
    parser.add_argument("--raw", help="table raw_files: the files that were read")
    args, config = STAGE.parse(parser, argv)
    questions = args.questions[0] if args.questions else None
    root = f"benchmarks.{args.benchmark}"
    with Recorder({key: path for key, path in roots_of(config.site).items() if key == root}) as raw:
        prepared = benchmarks.prepare(args.benchmark, config, questions, args.frames, args.sets)
        lineage = STAGE.lineage({"questions": args.questions, "frames": args.frames})
        own = partial(raw.lineage, lineage)
        tables.write(tables.FRAMES, args.out_frames, prepared.frames, own)
        tables.write(tables.QUESTIONS, args.out_questions, prepared.questions, own)
    if args.raw:
        raw.write(args.raw, lineage)


if __name__ == "__main__":
    main()
