"""Join all question tables into the training table and the test table.

    rollout3d assemble --questions a.parquet b.parquet --scenes s.parquet t.parquet \\
        --out-train ocr_rl.parquet --out-test test.parquet --dropped dropped.parquet
"""

from __future__ import annotations

from rollout3d import tables
from rollout3d.questions.assemble import assemble
from rollout3d.stages.common import Stage

STAGE = Stage("assemble", __doc__)


def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, nargs="+", help="tables questions, generated and imported")
    parser.add_argument("--scenes", required=True, nargs="+", help="all tables scenes, for the leak guard")
    parser.add_argument("--out-train", required=True, help="table ocr_rl")
    parser.add_argument("--out-test", required=True, help="table questions of the test splits")
    parser.add_argument("--dropped", required=True, help="table questions_dropped")
    args, config = STAGE.parse(parser, argv)
    made = assemble(
        tables.read_many(tables.QUESTIONS, args.questions),
        tables.read_many(tables.SCENES, args.scenes, ["space_id", "dataset", "split"]),
        config,
    )
    lineage = STAGE.lineage({"questions": args.questions, "scenes": args.scenes})
    tables.write(tables.OCR_RL, args.out_train, made.train, lineage)
    tables.write(tables.QUESTIONS, args.out_test, made.test, lineage)
    tables.write(tables.TABLES["questions_dropped"], args.dropped, made.dropped, lineage)


if __name__ == "__main__":
    main()
