"""Choose the hard questions from the predictions of the four settings (OCR, cold start data construction)."""

from __future__ import annotations

import logging

from rollout3d import tables
from rollout3d.config import SETTINGS
from rollout3d.difficulty.select import CORRECT_ABOVE, select_hard, table1
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("select_hard", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, help="table ocr_rl: the questions and their right answers")
    for setting in SETTINGS:
        parser.add_argument(
            f"--{setting.replace('_', '-')}", dest=setting, required=True, nargs="+", help="tables predictions"
        )
    parser.add_argument("--out", required=True, help="table hard")
    args, config = STAGE.parse(parser, argv)
    files = {setting: getattr(args, setting) for setting in SETTINGS}
    columns = ["question_id", "setting", "sample", "text"]
    predictions = {setting: tables.read_many(tables.PREDICTIONS, files[setting], columns) for setting in SETTINGS}
    for setting, rows in predictions.items():
        others = {row["setting"] for row in rows} - {setting}
        if others:
            raise StageError(f"the tables given for {setting} hold predictions of {', '.join(sorted(others))}")
    rows = tables.read(tables.OCR_RL, args.questions, ["question_id", "answer_type", "ground_truth"])
    questions = {row["question_id"]: row for row in rows}
    if questions.keys() != {row["question_id"] for row in predictions[SETTINGS[0]]}:
        raise StageError(f"{args.questions}: other questions than were answered; rerun the stage difficulty")
    selection = select_hard(predictions, questions, config.cot, CORRECT_ABOVE, config.seed)
    for count in table1(predictions, questions, CORRECT_ABOVE):
        LOG.info("%s: %d right, %d wrong, %.2f %%", count.setting, count.correct, count.wrong, count.percent)
    for transition, size in selection.sizes.items():
        LOG.info("transition %s: %d candidates", transition, size)
    for note in selection.notes:
        LOG.warning("%s", note)
    lineage = STAGE.lineage({**files, "questions": args.questions})
    tables.write(tables.HARD, args.out, selection.rows, lineage)
    LOG.info("%d hard questions", len(selection.rows))


if __name__ == "__main__":
    main()
