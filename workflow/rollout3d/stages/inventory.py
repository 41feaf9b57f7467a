"""List the scans of a release before ingest: usable, missing or damaged, with the reason.

    rollout3d inventory scannet /data/scannet
    rollout3d inventory scannetpp /data/scannetpp --out inventory.parquet --list

Every scan that a split list names or that is on disk is checked by the headers of its files, without decoding any
video: seconds per hundred scans. Files are located as ingest locates them. Damage inside a file shows at ingest only.
Prints scans by split and state, and reasons with counts (--list: every unusable scan); writes the table `inventory`
to --out.

Exit status: 0 if any scan can be used, 1 if none can, 2 if there is no release.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d import tables
from rollout3d.doors import DATASETS
from rollout3d.releases import MissingData
from rollout3d.scenes import datasets
from rollout3d.scenes.release import missing
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("inventory", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    """`DATASET [ROOT] [--out PARQUET] [--list]`; ROOT is the release's directory."""
    parser = STAGE.parser()
    parser.add_argument("dataset", choices=DATASETS.names)
    parser.add_argument("root", type=Path, nargs="?", help="directory of the release; default: site.roots.<dataset>")
    parser.add_argument("--out", type=Path, metavar="PARQUET", help="table inventory: one row per scan")
    parser.add_argument("--list", action="store_true", help="print every scan that cannot be used")
    args, config = STAGE.parse(parser, argv)
    root = args.root or Path(config.site.roots[args.dataset])
    absent = missing(datasets.load(args.dataset).RELEASE, root)
    if absent:
        raise StageError(absent, 2)
    from rollout3d.scenes.inventory import lines, take_inventory

    try:
        found = take_inventory(args.dataset, root, config.site.splits.get(args.dataset))
    except MissingData as error:
        raise StageError(str(error), 2) from None
    print("\n".join(lines(found, args.list)))
    if args.out:
        tables.write(tables.INVENTORY, args.out, found.rows, STAGE.lineage())
        print(f"\n{len(found.rows)} rows: {args.out.resolve()}")
    if not found.n_usable:
        raise StageError(f"no scan of {args.dataset} in {root} can be used: the lines above say why")


if __name__ == "__main__":
    main()
