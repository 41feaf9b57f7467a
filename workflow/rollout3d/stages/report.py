"""One self-contained page that shows the study."""

from __future__ import annotations

import os
from pathlib import Path

from rollout3d.report.page import render
from rollout3d.report.study import Files, collect
from rollout3d.stages.common import Stage

STAGE = Stage("report", __doc__)
LISTS = ("tables", "scores", "metrics", "rollouts", "scenes", "frames", "objects", "maps", "regions")
SINGLE = {"train": "ocr_rl", "sft": "ocr_sft", "hard": "hard", "annotations": "annotations"}
SINGLE |= {"sources": "sources", "bias": "bias"}


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    for name in LISTS:
        parser.add_argument(f"--{name}", nargs="*", default=[], help=f"files of {name}")
    for name, table in SINGLE.items():
        parser.add_argument(f"--{name}", help=f"table {table}")
    parser.add_argument("--out", required=True, type=Path, help="the page, index.html")
    args, config = STAGE.parse(parser, argv)
    page = render(collect(Files(**{name: getattr(args, name) for name in (*LISTS, *SINGLE)}), config))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    aside = args.out.with_name(f".{args.out.name}.{os.getpid()}.tmp")
    aside.write_text(page, encoding="utf-8")
    os.replace(aside, args.out)


if __name__ == "__main__":
    main()
