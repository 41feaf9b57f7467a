"""Let a model judge the imported questions about scans; its verdicts decide at assembly.

rollout3d judge --questions questions/external/spacer.parquet --frames frames.parquet --out spacer.verdicts.parquet

With `--estimate`, prints what it will cost and ends: no key is needed, nothing is asked, nothing is written.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from rollout3d import tables
from rollout3d.config.frames import train_set
from rollout3d.questions.judge import FAILED, Shows, judge
from rollout3d.stages.common import Stage, StageError
from rollout3d.teacher import estimate
from rollout3d.teacher.asking import ASK_AGAIN, Asking, TooManyFailed
from rollout3d.teacher.batched import BatchedChat, refuse_open
from rollout3d.teacher.client import open_client
from rollout3d.teacher.errors import TeacherRefused
from rollout3d.teacher.prices import price

STAGE = Stage("judge", __doc__)
LOG = logging.getLogger(__name__)
PROMPT = Path(__file__).resolve().parents[3] / "resources" / "prompts" / "judge.txt"


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, help="table questions of an import")
    parser.add_argument("--frames", nargs="+", default=[], help="tables frames of all scenes")
    parser.add_argument("--out", help="table verdicts")
    parser.add_argument("--cache", help="directory of paid replies; default: replies/ beside --out")
    parser.add_argument("--source", help="which import it is, for the lineage")
    parser.add_argument("--estimate", action="store_true", help="print what it will cost, and end")
    args, config = STAGE.parse(parser, argv)
    want, frame_set, prompt = config.judge, train_set(config.video), PROMPT.read_text(encoding="utf-8")
    cache = Path(args.cache) if args.cache else Path(args.out).parent / "replies" if args.out else None
    if not args.estimate:
        if not args.out:
            parser.error("--out is needed")
        lineage = STAGE.lineage({"questions": args.questions, "frames": args.frames})
        if STAGE.restore(args.out, lineage):
            return
    try:
        known = price(want.model, want.usd_per_million_in, want.usd_per_million_out, "judge", want.batch)
        show = Shows(tables.SceneReader(tables.FRAMES, args.frames), prompt, want.frames, frame_set)
        questions = tables.read_light(tables.QUESTIONS, args.questions)
        options = {"max_tokens": want.max_tokens, "temperature": want.temperature}
        if args.estimate:
            limit = {"limit_key": "judge.max_usd", "max_usd": want.max_usd}
            parts = (show.parts(row) for row in show.judged(questions))
            print(estimate.exact("judge", parts, known, cache, options, attempts=1, **limit).text())
            return
        chat = open_client(want, "judge", cache, config.site.openai_base_url)
        how, name = Asking.of(chat, want), Path(args.out).stem
        if want.batch:
            chat = BatchedChat(chat, name)
            chat.fetch([chat.question(lambda row=row: show.parts(row)) for row in show.judged(questions)])
        else:
            refuse_open(chat.cache, name, "judge.batch")
        rows = judge(questions, show, chat, how)
    except (TeacherRefused, TooManyFailed, ValueError) as error:
        raise StageError(str(error)) from None
    tables.write(tables.VERDICTS, args.out, rows, lineage)
    STAGE.keep(args.out, lineage)
    told = Counter("kept" if row["keep"] else "dropped" for row in rows)
    LOG.info("%d questions judged: %s; %.2f dollars", len(rows), dict(sorted(told.items())), chat.spent_usd)
    failed = sum(row["reason"].startswith(FAILED) for row in rows)
    if failed:
        LOG.warning(ASK_AGAIN, failed, args.out)


if __name__ == "__main__":
    main()
