"""Join accepted annotations with their questions into the cold start table (OCR-SFT)."""

from __future__ import annotations

from rollout3d import tables
from rollout3d.cot.sft_table import sft_rows
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("sft_table", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--annotations", required=True, help="table annotations")
    parser.add_argument("--questions", required=True, help="table ocr_rl")
    parser.add_argument("--out", required=True, help="table ocr_sft")
    args, _ = STAGE.parse(parser, argv)
    annotations = tables.read(tables.ANNOTATIONS, args.annotations)
    rows = sft_rows(annotations, tables.read(tables.OCR_RL, args.questions))
    if annotations and not rows:
        reasons = sorted({row["reason"] or "" for row in annotations})
        raise StageError(f"{args.annotations}: no annotation was accepted, so there is nothing to learn: {reasons[:3]}")
    lineage = STAGE.lineage({"annotations": args.annotations, "questions": args.questions})
    tables.write(tables.OCR_SFT, args.out, rows, lineage)


if __name__ == "__main__":
    main()
