"""Watch a training run in a terminal: progress, rewards, lengths, phases; while it trains and afterwards."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from rollout3d.stages.common import Stage

STAGE = Stage("watch", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("run", type=Path, help="directory of a run, such as results/runs/ocr")
    parser.add_argument("--once", action="store_true", help="print the present state and end")
    parser.add_argument("--every", type=float, default=5.0, metavar="SECONDS", help="between two updates (default: 5)")
    args, _ = STAGE.parse(parser, argv)

    from rollout3d.training.watch import watch

    with suppress(KeyboardInterrupt):
        watch(args.run, once=args.once, every_s=args.every)


if __name__ == "__main__":
    main()
