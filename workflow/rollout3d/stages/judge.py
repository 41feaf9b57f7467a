"""Judge imported questions about scans, or a sample of generated ones, by a model; assembly drops rejected ones.

    rollout3d judge --questions questions/external/spacer.parquet --frames frames.parquet --out spacer.verdicts.parquet
    rollout3d judge --source generated --questions questions/scannet/*.parquet --frames frames.parquet \\
        --config '{"judge": {"generated_sample": 200, "max_usd": 5}}' --out generated.verdicts.parquet

With `--estimate`, prints what it will cost and ends: no key is needed, nothing is sent, nothing is written.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.frames import train_set
from rollout3d.questions.judge import COLUMNS, FAILED, OPTIONS, Shows, judge, sample
from rollout3d.resources import shipped
from rollout3d.stages.common import Stage
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher import estimate
from rollout3d.teacher.asking import ASK_AGAIN, Asking
from rollout3d.teacher.batched import BatchedChat, refuse_open
from rollout3d.teacher.client import open_client
from rollout3d.teacher.prices import price

STAGE = Stage("judge", __doc__)
LOG = logging.getLogger(__name__)
PROMPT = shipped("resources/prompts/judge.txt")


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--questions", required=True, nargs="+", help="tables questions of an import, or of all shards")
    parser.add_argument("--frames", nargs="+", default=[], help="tables frames of all scenes")
    parser.add_argument("--out", help="table verdicts")
    parser.add_argument("--cache", help="directory of paid replies; default: replies/ beside --out")
    parser.add_argument("--source", help="the import, or generated: then judge.generated_sample questions are judged")
    parser.add_argument("--estimate", action="store_true", help="print what it will cost, and end")
    args, config = STAGE.parse(parser, argv)
    if args.estimate:
        print(_estimate(args, config))
        return
    if not args.out:
        parser.error("--out is needed")
    lineage = STAGE.lineage({"questions": args.questions, "frames": args.frames})
    if STAGE.restore(args.out, lineage):
        return
    want, cache = config.judge, _cache(args) or Path(args.out).parent / "replies"
    show, questions = _read(args, config)
    chat = open_client(want, config.api, OPTIONS, "judge", cache, config.site.openai_base_url)
    how, name = Asking.of(chat, config.api), Path(args.out).stem
    if config.api.batch:
        chat = BatchedChat(chat, name)
        chat.fetch([chat.question(lambda row=row: show.parts(row)) for row in show.judged(questions)])
    else:
        refuse_open(chat.cache, name, "api.batch")
    rows = judge(questions, show, chat, how)
    tables.write(tables.VERDICTS, args.out, rows, lineage)
    STAGE.keep(args.out, lineage)
    verdict_counts = Counter("kept" if row["keep"] else "dropped" for row in rows)
    LOG.info("%d questions judged: %s; %.2f dollars", len(rows), dict(sorted(verdict_counts.items())), chat.spent_usd)
    type_of = {row["question_id"]: row["question_type"] for row in questions}
    judged = Counter(type_of[row["question_id"]] for row in rows)
    rejected = Counter(type_of[r["question_id"]] for r in rows if not r["keep"] and not r["reason"].startswith(FAILED))
    LOG.info("rejected by type: %s", ", ".join(f"{name} {rejected[name]} of {n}" for name, n in sorted(judged.items())))
    failed = sum(row["reason"].startswith(FAILED) for row in rows)
    if failed:
        LOG.warning(ASK_AGAIN, failed, args.out)


def _read(args: argparse.Namespace, config: Config) -> tuple[Shows, list[QuestionRow]]:
    """Return the frames and prompt that the judge is shown, and the questions to judge."""
    prompt, frame_set = PROMPT.read_text(encoding="utf-8"), train_set(config.video)
    show = Shows(tables.SceneReader(tables.FRAMES, args.frames), prompt, config.judge.frames, frame_set)
    questions = tables.read_many(tables.QUESTIONS, args.questions, COLUMNS)
    if args.source == "generated":
        shown = [row for row in questions if show.knows(row)]
        splits = {name: dataset.splits for name, dataset in config.datasets.items()}
        questions = sample(shown, config.judge.generated_sample, splits, config.seed)
    return show, questions


def _cache(args: argparse.Namespace) -> Path | None:
    """Return the directory of paid replies; None if neither --cache nor --out is given."""
    return Path(args.cache) if args.cache else Path(args.out).parent / "replies" if args.out else None


def _estimate(args: argparse.Namespace, config: Config) -> str:
    show, questions = _read(args, config)
    known = price(config.api.model, config.api.prices, config.api.batch)
    limit = {"limit_key": "judge.max_usd", "max_usd": config.judge.max_usd}
    parts = (show.parts(row) for row in show.judged(questions))
    return estimate.exact("judge", parts, known, _cache(args), OPTIONS, attempts=1, **limit).text()


if __name__ == "__main__":
    main()
