"""Convert published boxes to scene tables, without any scan: scenes, objects, scenes_dropped.

    rollout3d ingest-meta --meta DIR_OR_FILES --out DIR

Reads VSI-Bench's *_meta_info_val.json, and VLM-3R's variant of them. `rollout3d questions --scenes --objects` takes
the tables; a scene made this way has no frames and no view from above. `rollout3d cognitive-maps` makes its cognitive
map.
"""

from __future__ import annotations

import logging
from pathlib import Path

from rollout3d import tables
from rollout3d.scenes.meta import read_meta
from rollout3d.stages.common import Stage

STAGE = Stage("ingest_meta", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--meta", nargs="+", help="metadata files, or directories of them; default: site.boxes")
    parser.add_argument("--out", required=True, help="directory for the three tables")
    args, config = STAGE.parse(parser, argv)
    meta = args.meta or ([config.site.boxes] if config.site.boxes else [])
    if not meta:
        parser.error("name the metadata files: --meta, or site.boxes in config/local.yaml")
    found = read_meta(meta, config.site.max_drop_share)
    lineage = STAGE.lineage({"meta": found.files})
    for name, rows in (("scenes", found.scenes), ("objects", found.objects), ("scenes_dropped", found.dropped)):
        tables.write(tables.TABLES[name], Path(args.out) / f"{name}.parquet", rows, lineage)
    LOG.info(
        "%d scenes with %d objects from %d files, %d scenes dropped",
        *(len(some) for some in (found.scenes, found.objects, found.files, found.dropped)),
    )


if __name__ == "__main__":
    main()
