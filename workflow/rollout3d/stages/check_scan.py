"""Look at one raw scan before trusting a thousand: what is there, whether poses, axes and boxes agree, one picture.

Exit status: 0 if every check that could be made passes, 1 if one fails, 2 if there is nothing to check.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d.config import DATASETS
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("check_scan", __doc__)


def main(argv: list[str] | None = None) -> None:
    """`DATASET PATH [--out PICTURE.png]`; PATH is the scan's own folder in the release."""
    parser = STAGE.parser()
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("path", type=Path, help="folder of one scan, such as ROOT/scans/scene0000_00")
    parser.add_argument("--out", type=Path, metavar="PNG", help="frames, mesh, boxes, top view and camera path")
    args, config = STAGE.parse(parser, argv)
    from rollout3d.scenes.check import UnusableScan, check_scan
    from rollout3d.scenes.check_picture import write_picture

    try:
        report = check_scan(args.dataset, args.path)
    except UnusableScan as error:
        raise StageError(str(error), 2) from None
    print(report.text())
    if args.out:
        write_picture(report, args.out, config.scenes.bev_size)
        print(f"picture: {args.out}")
    if not report.passed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
