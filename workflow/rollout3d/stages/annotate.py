"""Let the teacher reason about the hard questions; keep every attempt with its verdict.

`--estimate` prints what it will cost and ends: no key is needed, nothing is asked, nothing is written. Before the hard
set exists, `--rows N` stands for it:

cd results/scenes; rollout3d annotate --estimate --rows 2000 --frames */*/frames.parquet --maps */*/maps.parquet
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter
from pathlib import Path

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.config.frames import teacher_set
from rollout3d.cot.annotate import annotate
from rollout3d.resources import shipped
from rollout3d.stages.common import Stage
from rollout3d.teacher.asking import ASK_AGAIN, ONE_BY_ONE, Asking

STAGE = Stage("annotate", __doc__)
LOG = logging.getLogger(__name__)
_PROMPTS = shipped("resources/prompts")
PROMPT, LEAK_CHECK = _PROMPTS / "cot_teacher.txt", _PROMPTS / "leak_check.txt"


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
    parser.add_argument("--rows", type=int, metavar="N", help="with --estimate: how many, instead of --hard")
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
    how, second = ONE_BY_ONE, None
    if config.cot.teacher == "geometric":
        from rollout3d.cot.geometric import GeometricTeacher

        teacher = GeometricTeacher(config.seed, config.cot.sentences)
    else:
        teacher, how, second = _openai(args, config, hard, questions)
    rows = annotate(hard, questions, teacher, config.cot.attempts, how, second)
    tables.write(tables.ANNOTATIONS, args.out, rows, lineage)
    STAGE.keep(args.out, lineage)
    verdicts = Counter(row["verdict"] for row in rows)
    usd = sum(row["usd"] for row in rows)
    LOG.info("%d hard questions: %s; %.2f dollars", len(hard), dict(sorted(verdicts.items())), usd)
    if config.cot.teacher == "openai" and verdicts["failed"]:
        LOG.warning(ASK_AGAIN, verdicts["failed"], args.out)


def _openai(args: argparse.Namespace, config: Config, hard: list[dict], questions: list[dict]):
    """The teacher behind the API, how it is asked, and the second opinion.

    With `cot.batch`, batches have answered all that the teacher is asked.
    """
    from rollout3d.cot import batched, openai
    from rollout3d.cot.opinion import open_opinion
    from rollout3d.teacher.batched import BatchedChat, refuse_open

    cot, name = config.cot, Path(args.out).stem
    chat = openai.client(cot, _cache(args), config.site.openai_base_url)
    how = Asking.of(chat, cot)
    second = open_opinion(cot, chat, config.site.openai_base_url, LEAK_CHECK.read_text("utf-8"))

    def teacher(of):
        frame_set = teacher_set(config.video)
        return openai.OpenAITeacher(of, args.frames, args.maps, cot.frames, frame_set, PROMPT.read_text("utf-8"))

    if not cot.batch:
        refuse_open(chat.cache, name, "cot.batch")
        return teacher(chat), how, second
    from_batches = BatchedChat(chat, name)
    wanted = {row["question_id"] for row in hard}
    rows = [row for row in questions if row["question_id"] in wanted]
    made = teacher(from_batches)
    batched.fetch(rows, made, from_batches, cot.attempts, second)
    return made, how, second


def _cache(args: argparse.Namespace) -> Path:
    return Path(args.cache) if args.cache else Path(args.out).parent / "replies"


def _estimate(parser: argparse.ArgumentParser, args: argparse.Namespace, config: Config) -> str:
    if config.cot.teacher == "geometric":
        return "annotate: the geometric teacher costs nothing"
    if bool(args.hard) == bool(args.rows) or (args.hard and not args.questions) or not args.frames:
        parser.error("--estimate needs --frames, and --hard with --questions, or --rows")
    from rollout3d.cot import costs

    cache = _cache(args) if args.cache or args.out else None
    prompt, frame_set = PROMPT.read_text("utf-8"), teacher_set(config.video)
    if args.rows:
        made = costs.expected(config.cot, args.rows, args.frames, args.maps, frame_set, prompt, cache)
    else:
        hard = {row["question_id"] for row in tables.read(tables.HARD, args.hard)}
        rows = [row for row in tables.read(tables.OCR_RL, args.questions) if row["question_id"] in hard]
        made = costs.exact(config.cot, rows, args.frames, args.maps, frame_set, prompt, cache)
    return made.text()


if __name__ == "__main__":
    main()
