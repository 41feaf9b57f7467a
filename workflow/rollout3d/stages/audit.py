"""Prove the generator on your copy of VSI-Bench: its questions answered again from its own boxes.

    rollout3d audit --meta DIR_OR_FILES --answers test.parquet --out audit.parquet

Reads the *_meta_info_val.json files and the released question file (JSON lines or Parquet); prints the agreement per
question type and every disagreement with both values. Appearance order and route planning cannot be audited.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d import tables
from rollout3d.evaluation.benchmarks import BenchmarkError
from rollout3d.evaluation.benchmarks.vsibench import question_files, read_rows
from rollout3d.questions.audit import audit, report
from rollout3d.scenes.meta import MetaError, read_meta
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("audit", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--meta", required=True, nargs="+", help="metadata files, or directories of them")
    parser.add_argument(
        "--answers", required=True, nargs="+", help="released question files, .parquet or .jsonl, or their folder"
    )
    parser.add_argument("--out", required=True, help="table audit")
    args, config = STAGE.parse(parser, argv)
    try:
        found = read_meta(args.meta, config.site.max_drop_share)
        given = [Path(path) for path in args.answers]
        files = [file for path in given for file in (question_files(path) if path.is_dir() else [path])]
        answers = [row for file in files for row in read_rows(file)]
    except (MetaError, BenchmarkError) as error:
        raise StageError(str(error)) from None
    unread = {row["scene_id"]: row["reason"] for row in found.dropped}
    rows = audit(answers, found.scenes, found.objects, unread, config.questions.distance)
    tables.write(tables.AUDIT, args.out, rows, STAGE.lineage({"meta": found.files, "answers": files}))
    print(report(rows, answers))
    if not any(row["agrees"] is not None for row in rows):
        raise StageError(
            f"none of {len(rows)} questions could be audited, so nothing is shown: do --meta and --answers belong "
            f"together? {args.out} says why, question by question"
        )


if __name__ == "__main__":
    main()
