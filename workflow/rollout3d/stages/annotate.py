"""Write reasoning for the hard questions with the teacher; keep every attempt with its verdict.

`--estimate` prints what it will cost and ends: no key is needed, nothing is sent, nothing is written. Before the hard
set exists, `--rows N` gives its size:

cd results/scenes; rollout3d annotate --estimate --rows 2000 --frames */*/frames.parquet --maps */*/maps.parquet
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

from rollout3d import doors, tables
from rollout3d.config import Config
from rollout3d.cot import teachers
from rollout3d.cot.annotate import annotate
from rollout3d.stages.common import Stage
from rollout3d.tables.rows import QuestionRow
from rollout3d.teacher.asking import ASK_AGAIN

STAGE = Stage("annotate", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--hard", help="table hard")
    parser.add_argument("--questions", help="table ocr_rl")
    parser.add_argument("--frames", nargs="*", default=[], help="tables frames of all scenes")
    parser.add_argument("--maps", nargs="*", default=[], help="tables maps of all scenes")
    parser.add_argument("--out", help="table annotations")
    parser.add_argument("--cache", help="directory of paid replies; default: replies/ beside --out")
    parser.add_argument("--estimate", action="store_true", help="print what it will cost, and end")
    parser.add_argument("--rows", type=int, metavar="N", help="with --estimate: number of questions, instead of --hard")
    args, config = STAGE.parse(parser, argv)
    if args.estimate:
        print(_estimate(parser, args, config))
        return
    if not (args.hard and args.questions and args.out):
        parser.error("--hard, --questions and --out are needed")
    lineage = STAGE.lineage({n: getattr(args, n) for n in ("hard", "questions", "frames", "maps") if getattr(args, n)})
    if STAGE.restore(args.out, lineage):
        return
    hard, questions = tables.read(tables.HARD, args.hard), tables.read(tables.OCR_RL, args.questions)
    chosen = {row["question_id"] for row in hard}
    work = _work(args, config, [row for row in questions if row["question_id"] in chosen])
    opened = teachers.get(config.cot.teacher).open_teacher(work)
    rows = annotate(hard, questions, opened.teacher, config.cot.attempts, opened.how, opened.second)
    tables.write(tables.ANNOTATIONS, args.out, rows, lineage)
    STAGE.keep(args.out, lineage)
    verdicts = Counter(row["verdict"] for row in rows)
    usd = sum(row["usd"] for row in rows)
    LOG.info("%d hard questions: %s; %.2f dollars", len(hard), dict(sorted(verdicts.items())), usd)
    if _paid(config) and verdicts["failed"]:
        LOG.warning(ASK_AGAIN, verdicts["failed"], args.out)


def _paid(config: Config) -> bool:
    return doors.TEACHERS.constant(config.cot.teacher, "PAID", False)


def _work(args: argparse.Namespace, config: Config, questions: list[QuestionRow]) -> teachers.Work:
    cache = Path(args.cache) if args.cache else Path(args.out).parent / "replies" if args.out else None
    return teachers.Work(config, questions, args.frames, args.maps, cache, Path(args.out or "annotations").stem)


def _estimate(parser: argparse.ArgumentParser, args: argparse.Namespace, config: Config) -> str:
    if not _paid(config):
        return f"annotate: the {config.cot.teacher} teacher costs nothing"
    if bool(args.hard) == bool(args.rows) or (args.hard and not args.questions) or not args.frames:
        parser.error("--estimate needs --frames, and --hard with --questions, or --rows")
    rows: list[QuestionRow] = []
    if not args.rows:
        hard = {row["question_id"] for row in tables.read(tables.HARD, args.hard)}
        rows = [row for row in tables.read(tables.OCR_RL, args.questions) if row["question_id"] in hard]
    return teachers.get(config.cot.teacher).estimate(_work(args, config, rows), args.rows)


if __name__ == "__main__":
    main()
