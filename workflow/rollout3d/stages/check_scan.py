"""Run sanity checks on one raw scan: files, poses, axes, depth and boxes against each other.

    rollout3d check-scan scannet ROOT/scans/scene0000_00 --out look.png

Prints the contents of the scan and the result of every check. A picture is drawn only with --out: frames with boxes,
the mesh from their poses, depth, and the room from above with the camera's path.

Exit status: 0 if every check that could be made passes, 1 if one fails or the picture cannot be written, 2 if there
is nothing to check.
"""

from __future__ import annotations

import logging
from pathlib import Path

from rollout3d.scenes.locate import UnusableScan, locate
from rollout3d.stages.common import Stage, StageError, add_scan

STAGE = Stage("check_scan", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    """`DATASET PATH [--out PICTURE.png]`; PATH is the scan's own folder in the release."""
    parser = STAGE.parser()
    add_scan(parser)
    parser.add_argument("--out", type=Path, metavar="PNG", help="draw the picture there; without it none is drawn")
    args, _ = STAGE.parse(parser, argv)
    try:
        locate(args.dataset, args.path)  # before the imports: they take seconds
        LOG.info("%s: reading mesh, objects and video", args.path)
        from rollout3d.scenes.check import check_scan
        from rollout3d.scenes.check_picture import write_picture

        report = check_scan(args.dataset, args.path)
    except UnusableScan as error:
        raise StageError(str(error), 2) from None
    print(report.text())
    if args.out:
        try:
            write_picture(report, args.out)
        except OSError as error:
            why = f"the picture cannot be written ({error.strerror}); name another place"
            raise StageError(f"{args.out}: {why}") from None
        print(f"picture: {args.out.resolve()}")
    else:
        print("no picture was drawn: --out look.png draws frames with boxes, depth, and the room from above")
    if not report.passed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
