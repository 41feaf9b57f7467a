"""Compute the pixels that each object covers in each training frame, for one shard and one region mode."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import get_args

from rollout3d.config import RegionMode
from rollout3d.doors import DATASETS
from rollout3d.errors import UserError
from rollout3d.fingerprint import Recorder
from rollout3d.scenes import datasets
from rollout3d.scenes.regions import regions_shard
from rollout3d.scenes.release import outside
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("regions", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--dataset", required=True, choices=DATASETS.names, help="name of the dataset")
    parser.add_argument("--root", help="directory of the release; site.roots.<dataset> if not given")
    parser.add_argument("--scans", nargs="?", help="table of the synthetic release in --root, if that is what it holds")
    parser.add_argument("--shard-dir", required=True, help="the shard's scenes, objects and frames tables")
    parser.add_argument("--mode", required=True, choices=get_args(RegionMode))
    parser.add_argument("--sets", nargs="*", default=[], help="frame sets; default: the configuration's for training")
    parser.add_argument("--raw", help="table raw_files: the files that were read")
    parser.add_argument("--out", required=True)
    args, config = STAGE.parse(parser, argv)
    shard_dir = Path(args.shard_dir)
    release = datasets.load(args.dataset).RELEASE
    root = Path(args.root or config.site.roots[args.dataset])
    lists = config.site.splits.get(args.dataset)
    try:
        parents = {name: shard_dir / f"{name}.parquet" for name in ("scenes", "objects", "frames")}
        lineage = STAGE.lineage(parents | ({"scans": args.scans} if args.scans else {}))
        with Recorder({f"roots.{args.dataset}": root}, outside(release, root, lists)) as raw:
            own = partial(raw.lineage, lineage)
            regions_shard(args.dataset, root, shard_dir, args.mode, config, Path(args.out), own, args.sets)
        if args.raw:
            raw.write(args.raw, lineage)
    except UserError:
        raise
    except FileNotFoundError as error:
        raise StageError(str(error)) from None


if __name__ == "__main__":
    main()
