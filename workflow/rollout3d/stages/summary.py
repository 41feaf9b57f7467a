"""Print a summary of a results directory: counts, scores compared with guessing, files to open next."""

from __future__ import annotations

from rollout3d.report.summary import summary
from rollout3d.stages.common import Stage

STAGE = Stage("summary", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--results", required=True, help="results directory, such as results/demo")
    args, config = STAGE.parse(parser, argv)
    print(summary(args.results, config.scenes.agreement) or f"{args.results}: nothing was built yet")


if __name__ == "__main__":
    main()
