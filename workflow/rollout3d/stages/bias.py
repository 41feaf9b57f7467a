"""Measure how far the text of questions gives the answer away: the scores of guessing without a video.

rollout3d bias --questions train/ocr_rl.parquet --out bias.parquet
"""

from __future__ import annotations

from typing import Any

from rollout3d import tables
from rollout3d.questions.bias import bias_table
from rollout3d.stages.common import Stage

STAGE = Stage("bias", __doc__)
READABLE: dict[str, tables.Table[Any]] = {
    table.name: table for table in (tables.OCR_RL, tables.QUESTIONS, tables.OCR_SFT)
}


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, nargs="+", help="tables questions, ocr_rl or ocr_sft")
    parser.add_argument("--out", required=True, help="table bias")
    args, _ = STAGE.parse(parser, argv)
    rows = []
    for path in args.questions:
        table = READABLE.get(tables.lineage(path).get("table", ""), tables.QUESTIONS)
        rows += tables.read_light(table, path)
    found = bias_table(rows)
    tables.write(tables.BIAS, args.out, found, STAGE.lineage({"questions": args.questions}))
    print(as_text(found))


def as_text(found: list[dict]) -> str:
    """Return the scores in percent, one line per type: questions, random guessing, and the rules, best first."""
    lines = [f"{'type':<30}{'questions':>10}{'chance':>8}  guesses from the text"]
    for name in dict.fromkeys(row["question_type"] for row in found):
        scores = {r["name"]: r for r in found if r["question_type"] == name and r["measure"] == "score"}
        chance = scores.pop("chance")
        best = sorted(scores.values(), key=lambda row: (-row["value"], row["name"]))
        listing = ", ".join(f"{row['name']} {100 * row['value']:.1f}" for row in best)
        lines.append(f"{name:<30}{chance['n']:>10,}{100 * chance['value']:>8.1f}  {listing}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
