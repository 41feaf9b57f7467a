"""Let the teacher reason about the hard questions; keep every attempt with its verdict."""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from rollout3d import tables
from rollout3d.cot.annotate import annotate
from rollout3d.stages.common import Stage, StageError
from rollout3d.teacher.client import TeacherRefused

STAGE = Stage("annotate", __doc__)
LOG = logging.getLogger(__name__)
PROMPT = Path(__file__).resolve().parents[3] / "resources" / "prompts" / "cot_teacher.txt"
WORKERS = 8
"""Requests to the API at a time."""


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--hard", required=True, help="table hard")
    parser.add_argument("--questions", required=True, help="table ocr_rl")
    parser.add_argument("--frames", nargs="*", default=[], help="tables frames of all scenes")
    parser.add_argument("--maps", nargs="*", default=[], help="tables maps of all scenes")
    parser.add_argument("--out", required=True, help="table annotations")
    parser.add_argument("--cache", help="directory of paid replies; default: replies/ beside --out")
    args, config = STAGE.parse(parser, argv)
    lineage = STAGE.lineage({n: getattr(args, n) for n in ("hard", "questions", "frames", "maps") if getattr(args, n)})
    if STAGE.restore(args.out, lineage):
        return
    workers = 1
    if config.cot.teacher == "geometric":
        from rollout3d.cot.geometric import GeometricTeacher

        teacher = GeometricTeacher(config.seed, config.cot.sentences)
    else:
        from rollout3d.cot import openai

        workers = WORKERS
        try:
            chat = openai.client(
                config.cot, args.cache or Path(args.out).parent / "replies", config.site.openai_base_url
            )
        except TeacherRefused as error:
            raise StageError(str(error)) from None
        frame_set = f"eval{config.video.eval_frames}"
        teacher = openai.OpenAITeacher(
            chat, args.frames, args.maps, config.cot.frames, frame_set, PROMPT.read_text(encoding="utf-8")
        )
    hard, questions = tables.read(tables.HARD, args.hard), tables.read(tables.OCR_RL, args.questions)
    try:
        rows = list(annotate(hard, questions, teacher, config.cot.attempts, workers))
    except (TeacherRefused, ValueError) as error:
        raise StageError(str(error)) from None
    tables.write(tables.ANNOTATIONS, args.out, rows, lineage)
    STAGE.keep(args.out, lineage)
    verdicts = Counter(row["verdict"] for row in rows)
    usd = sum(row["usd"] for row in rows)
    LOG.info("%d hard questions: %s; %.2f dollars", len(hard), dict(sorted(verdicts.items())), usd)


if __name__ == "__main__":
    main()
