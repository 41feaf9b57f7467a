"""Keep the training questions that a model answers rightly at times: the resampled set (SpaceR, section 5.2).

    rollout3d resample --questions sr_91k.parquet --predictions 0.parquet 1.parquet --out sr_resampled.parquet \\
        --dropped sr_resampled_dropped.parquet

Of 8 answers per question, those of the stage `difficulty` in the setting frames16_sampled, not all may be right and not
all wrong. General data are not resampled, as SpaceR filters SR-91k alone.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rollout3d import tables
from rollout3d.config import SAMPLED
from rollout3d.difficulty.select import CORRECT_ABOVE, N_SAMPLED, OUTCOMES, outcomes
from rollout3d.questions.assemble import write_train
from rollout3d.stages.common import Stage, StageError
from rollout3d.tables.rows import DroppedQuestionRow, PredictionRow

STAGE = Stage("resample", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, type=Path, help="table ocr_rl: questions about scans")
    parser.add_argument("--predictions", required=True, nargs="+", help=f"tables predictions, setting {SAMPLED}")
    parser.add_argument("--out", required=True, type=Path, help="table ocr_rl: the questions that stay")
    parser.add_argument("--dropped", required=True, type=Path, help="table questions_dropped: the others")
    args, _ = STAGE.parse(parser, argv)
    rows = tables.read_light(tables.OCR_RL, args.questions)
    found = outcomes(_answers(args.predictions), {row["question_id"]: row for row in rows}, CORRECT_ABOVE)
    counts = Counter(found.values())
    if not counts["mixed"]:
        raise StageError(
            f"{args.questions}: no question has both right and wrong answers: {counts['all right']} all right, "
            f"{counts['all wrong']} all wrong. Name another model under difficulty.model"
        )
    lineage = STAGE.lineage({"questions": args.questions, "predictions": args.predictions})
    kept = [row for row in rows if found[row["question_id"]] == "mixed"]
    write_train(args.out, kept, [args.questions], lineage, tables.OCR_RL)
    dropped: list[DroppedQuestionRow] = [
        {"question_id": name, "file": "", "reason": f"{outcome} of {N_SAMPLED} answers"}
        for name, outcome in found.items()
        if outcome != "mixed"
    ]
    tables.write(tables.QUESTIONS_DROPPED, args.dropped, dropped, lineage)
    LOG.info("of %d questions: %s", len(rows), ", ".join(f"{counts[outcome]:,} {outcome}" for outcome in OUTCOMES))


def _answers(paths: Iterable[str]) -> Iterator[Sequence[PredictionRow]]:
    """Yield the answers of each file: 91,310 questions have eight of up to 1,024 tokens each, too many for memory."""
    for path in paths:
        rows = tables.read(tables.PREDICTIONS, path, ["question_id", "setting", "sample", "text"])
        others = {row["setting"] for row in rows} - {SAMPLED}
        if others:
            raise StageError(f"{path}: holds predictions of {', '.join(sorted(others))}, not of {SAMPLED}")
        yield rows


if __name__ == "__main__":
    main()
