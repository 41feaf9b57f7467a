"""Read the raw scans of one shard into scene tables: scenes, objects, frames, maps, visibility, scenes_dropped.

The table raw_files beside them lists the files that were read.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rollout3d.doors import DATASETS
from rollout3d.fingerprint import Recorder
from rollout3d.scenes import datasets
from rollout3d.scenes.ingest import ingest_shard
from rollout3d.scenes.release import outside
from rollout3d.stages.common import Stage

STAGE = Stage("ingest", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--dataset", required=True, choices=DATASETS.names, help="name of the dataset")
    parser.add_argument("--shard", type=int, required=True, help="0 ... datasets.<dataset>.shards - 1")
    parser.add_argument("--root", help="directory of the release; site.roots.<dataset> if not given")
    parser.add_argument("--scans", nargs="?", help="table of the synthetic release in --root, if that is what it holds")
    parser.add_argument("--sets", nargs="*", default=[], help="frame sets to store; default: the configuration's")
    parser.add_argument("--out-dir", required=True, help="where the tables go")
    args, config = STAGE.parse(parser, argv)
    release = datasets.load(args.dataset).RELEASE
    root = Path(args.root or config.site.roots[args.dataset])
    lists = config.site.splits.get(args.dataset)
    n_shards = config.datasets[args.dataset].shards
    lineage = STAGE.lineage({"scans": args.scans} if args.scans else {})
    with Recorder({f"roots.{args.dataset}": root}, outside(release, root, lists)) as raw:
        own = partial(raw.lineage, lineage)
        ingest_shard(args.dataset, root, Path(args.out_dir), args.shard, n_shards, config, own, args.sets)
    raw.write(Path(args.out_dir) / "raw_files.parquet", lineage)


if __name__ == "__main__":
    main()
