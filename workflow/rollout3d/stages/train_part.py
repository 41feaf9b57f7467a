"""Split the training table into its questions about scans, and general data.

    rollout3d train_part --train ocr_rl.parquet --scans sr_91k.parquet --general general_60k.parquet

SpaceR's SpaceR-151k is SR-91k, its questions about scans, and 60,000 questions of Video-R1-260k (section 3). Runs
without either train on the other part. `--card` writes a data card (Markdown): counts, rules, what was left out, and
licences.
"""

from __future__ import annotations

import logging
from collections import Counter
from pathlib import Path

from rollout3d import files, tables
from rollout3d.questions.assemble import write_train
from rollout3d.questions.card import card
from rollout3d.stages.common import Stage

STAGE = Stage("train_part", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--train", required=True, type=Path, help="table ocr_rl")
    parser.add_argument("--scans", required=True, type=Path, help="table ocr_rl: questions about scans")
    parser.add_argument(
        "--general", required=True, type=Path, help="table ocr_rl: general data; empty if there are none"
    )
    parser.add_argument("--dropped", help="table questions_dropped of the training table, for the card")
    parser.add_argument("--card", type=Path, help="data card")
    parser.add_argument("--synthetic", action="store_true", help="the scans are rendered, which the card says")
    args, config = STAGE.parse(parser, argv)
    rows = tables.read_light(tables.OCR_RL, args.train)
    parents = {"train": args.train} | ({"dropped": args.dropped} if args.dropped else {})
    lineage = STAGE.lineage(parents)
    for name, path in (("about scans", args.scans), ("general", args.general)):
        mine = [row for row in rows if (row["scene_id"] is None) == (name == "general")]
        write_train(path, mine, [args.train], lineage, tables.OCR_RL)
        kinds = Counter(row["question_type"] for row in mine)
        listing = ", ".join(f"{n:,} {kind}" for kind, n in sorted(kinds.items(), key=lambda each: (-each[1], each[0])))
        LOG.info("%s: %d questions %s: %s", path.stem, len(mine), name, listing or "none")
    if args.card:
        left_out = tables.read(tables.QUESTIONS_DROPPED, args.dropped) if args.dropped else []
        files.write_atomically(args.card, card(rows, left_out, config, args.synthetic))


if __name__ == "__main__":
    main()
