"""Render the scans of one dataset, write them in its release's format, and list the files.

The true answers about each scan are written beside the release, to <root>/../<dataset>_truth/, which no reader opens.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d import tables
from rollout3d.stages.common import Stage
from toyworld.rooms.vocabulary import FORMATS
from toyworld.settings import settings_of

STAGE = Stage("render_scans", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    """Run the stage; size and number of the scans come from `toyworld.scans`."""
    parser = STAGE.parser()
    parser.add_argument("--dataset", required=True, choices=FORMATS)
    parser.add_argument("--root", required=True, type=Path, metavar="DIR", help="directory of the release, replaced")
    parser.add_argument("--out", required=True, type=Path, metavar="PARQUET", help="the files written, with digests")
    args, config = STAGE.parse(parser, argv)
    from toyworld.writers.release import write_release

    rows = write_release(args.dataset, args.root, settings_of(config).scans, config.seed)
    tables.write(tables.SCANS, args.out, rows, STAGE.lineage())


if __name__ == "__main__":
    main()
