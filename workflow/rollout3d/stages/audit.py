"""Answer released questions again from boxes: the benchmark's, and those of other people's training files.

    rollout3d audit --meta DIR_OR_FILES --answers test.parquet --out audit.parquet
    rollout3d audit --meta DIR_OR_FILES --answers SpaceR-151k.jsonl --out audit.parquet
    rollout3d audit --scenes scenes.parquet --objects objects.parquet --answers vsi_590k.jsonl --out audit.parquet

VSI-Bench's own questions test the generator: they are answered from its *_meta_info_val.json files, and every
difference is printed with both values (table audit). Files in another form (SpaceR, VLM-3R, VSI-590K, SpatialEvo) are
recognised by their first record, and answered from boxes of their scans. This prints the agreement per question type,
for distances between closest points and between centres, and records without a match with the reason (table
audit_released). Appearance order and route planning cannot be audited.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from rollout3d import tables
from rollout3d.evaluation.benchmarks.vsibench import question_files, read_rows
from rollout3d.imports import audit as released
from rollout3d.questions.audit import audit, report
from rollout3d.scenes.meta import read_meta
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("audit", __doc__)
ROWS = 4096
"""Rows per row group of the table audit_released."""


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--meta", nargs="+", help="metadata files, or directories of them")
    parser.add_argument("--scenes", nargs="+", help="tables scenes, instead of --meta")
    parser.add_argument("--objects", nargs="+", help="tables objects, instead of --meta")
    parser.add_argument(
        "--answers",
        required=True,
        nargs="+",
        help="question files, .parquet, .jsonl or .json, or the benchmark's folder",
    )
    parser.add_argument("--out", required=True, help="table audit, or audit_released for other releases' files")
    args, config = STAGE.parse(parser, argv)
    if bool(args.meta) == bool(args.scenes) or bool(args.scenes) != bool(args.objects):
        parser.error("give --meta, or --scenes and --objects")
    unread: dict[str, str] = {}
    if args.meta:
        found = read_meta(args.meta, config.site.max_drop_share)
        scenes, objects, parents = found.scenes, found.objects, {"meta": found.files}
        unread = {row["scene_id"]: row["reason"] for row in found.dropped}
    else:
        scenes = tables.read_many(tables.SCENES, args.scenes)
        objects = tables.read_many(tables.OBJECTS, args.objects)
        parents = {"scenes": args.scenes, "objects": args.objects}
    given = [Path(path) for path in args.answers]
    others = [path for path in given if not path.is_dir() and released.is_released(path)]
    if others and len(others) < len(given):
        raise StageError(
            f"--answers holds files of the benchmark's form and of another, such as {others[0]}: audit them apart"
        )
    if others:
        tally, found = released.Tally(), released.audit_released(others, scenes, objects, unread)
        lineage = STAGE.lineage({**parents, "answers": others})
        with tables.Writer(tables.AUDIT_RELEASED, args.out, lineage) as writer:
            while rows := list(islice(found, ROWS)):
                writer.write(rows)
                for row in rows:
                    tally.add(row)
        print(tally.report())
        _check(tally.matched.total(), tally.asked.total(), args.out)
    else:
        files = [file for path in given for file in (question_files(path) if path.is_dir() else [path])]
        answers = [row for file in files for row in read_rows(file)]
        rows = audit(answers, scenes, objects, unread, config.questions.distance)
        tables.write(tables.AUDIT, args.out, rows, STAGE.lineage({**parents, "answers": files}))
        print(report(rows, answers))
        _check(sum(row["agrees"] is not None for row in rows), len(rows), args.out)


def _check(audited: int, total: int, out: str) -> None:
    """Raise StageError if nothing could be audited: a success would read as agreement."""
    if not audited:
        raise StageError(
            f"none of {total} questions could be audited: check that the boxes and --answers are of the same scans; "
            f"{out} says why, question by question"
        )


if __name__ == "__main__":
    main()
