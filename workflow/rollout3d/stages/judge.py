"""Let a model judge the imported questions about scans; its verdicts decide at assembly.

rollout3d judge --questions questions/external/spacer.parquet --frames frames.parquet --out spacer.verdicts.parquet
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from rollout3d import tables
from rollout3d.questions.judge import JudgeError, judge
from rollout3d.stages.common import Stage, StageError
from rollout3d.teacher.client import ChatClient, Price, TeacherRefused

STAGE = Stage("judge", __doc__)
LOG = logging.getLogger(__name__)
PROMPT = Path(__file__).resolve().parents[3] / "resources" / "prompts" / "judge.txt"
WORKERS = 8
"""Requests to the API at a time."""


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, help="table questions of an import")
    parser.add_argument("--frames", nargs="+", default=[], help="tables frames of all scenes")
    parser.add_argument("--out", required=True, help="table verdicts")
    parser.add_argument("--cache", help="directory of paid replies; default: replies/ beside --out")
    parser.add_argument("--source", help="which import it is, for the lineage")
    args, config = STAGE.parse(parser, argv)
    lineage = STAGE.lineage({"questions": args.questions, "frames": args.frames})
    if STAGE.restore(args.out, lineage):
        return
    want = config.judge
    price = Price(want.usd_per_million_in, want.usd_per_million_out, want.max_usd)
    try:
        chat = ChatClient(
            want.model,
            price,
            args.cache or Path(args.out).parent / "replies",
            max_tokens=want.max_tokens,
            temperature=want.temperature,
            base_url=config.site.openai_base_url,
            limit_key="judge.max_usd",
        )
        rows = judge(
            tables.read_light(tables.QUESTIONS, args.questions),
            tables.SceneReader(tables.FRAMES, args.frames),
            chat,
            PROMPT.read_text(encoding="utf-8"),
            want.frames,
            f"train{config.video.train_frames}",
            want.max_share_failed,
            WORKERS,
        )
    except (TeacherRefused, JudgeError, ValueError) as error:
        raise StageError(str(error)) from None
    tables.write(tables.VERDICTS, args.out, rows, lineage)
    STAGE.keep(args.out, lineage)
    told = Counter("kept" if row["keep"] else "dropped" for row in rows)
    LOG.info("%d questions judged: %s; %.2f dollars", len(rows), dict(sorted(told.items())), chat.spent_usd)


if __name__ == "__main__":
    main()
