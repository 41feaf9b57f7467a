"""Make the cognitive maps of one shard of scans: the cells of all objects on grids of 5, 10, 15 and 20 cells.

    rollout3d cognitive-maps --scenes scenes.parquet --objects objects.parquet --maps maps.parquet \\
        --out cognitive_maps.parquet

Scans of all splits have maps; training reads those of the split train alone. A scan that contradicts itself
(`scenes.agreement`), has no floor or no box has none: the table scenes_dropped beside the maps has the reason, also of
single instances without a box. Published boxes (`ingest-meta`) have no floor: without --maps the border of a map is the
rectangle around all boxes of its scan, which may be smaller than the floor.
"""

from __future__ import annotations

import logging
from pathlib import Path

from rollout3d import tables
from rollout3d.scenes.cognitive_maps import NoMap, around, map_rows
from rollout3d.scenes.verdict import CONTRADICTS, judge_all
from rollout3d.stages.common import Stage
from rollout3d.tables.rows import CognitiveMapRow, DroppedSceneRow, ObjectRow

STAGE = Stage("cognitive_maps", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--dataset", help="dataset of the scans; default: that of the scenes")
    parser.add_argument("--scenes", required=True, help="table scenes of the shard")
    parser.add_argument("--objects", required=True, help="table objects of the shard")
    parser.add_argument("--maps", help="table maps of the shard, which has the floors; none for published boxes")
    parser.add_argument("--out", required=True, type=Path, help="table cognitive_maps")
    parser.add_argument(
        "--dropped", type=Path, help="table scenes_dropped; beside --out, as NAME_dropped, if not given"
    )
    args, config = STAGE.parse(parser, argv)
    parents = {"scenes": args.scenes, "objects": args.objects}
    lineage = STAGE.lineage(parents | ({"maps": args.maps} if args.maps else {}))
    scenes = sorted(tables.read(tables.SCENES, args.scenes), key=lambda row: (row["dataset"], row["scene_id"]))
    verdicts = judge_all(scenes, config.scenes.agreement, config.site.max_drop_share)
    objects: dict[str, list[ObjectRow]] = {}
    for row in tables.read(tables.OBJECTS, args.objects):
        objects.setdefault(row["scene_id"], []).append(row)
    if args.maps:
        rows = tables.read(tables.MAPS, args.maps, ["scene_id", "floor_rect"])
        floors = {row["scene_id"]: row["floor_rect"] for row in rows}
    else:
        LOG.warning("no table maps, so the floors are unknown: the border of a map is the rectangle around its boxes")
        floors = {scene_id: around(rows) for scene_id, rows in objects.items()}
    made: list[CognitiveMapRow] = []
    dropped: list[DroppedSceneRow] = []
    n_without = 0
    for scene in scenes:
        scene_id, verdict = scene["scene_id"], verdicts[scene["scene_id"]]
        try:
            if verdict.fate == "dropped":
                raise NoMap(f"{CONTRADICTS}: {verdict.text}")
            rows, reasons = map_rows(scene, objects.get(scene_id, ()), floors.get(scene_id))
        except NoMap as reason:
            rows, reasons = [], [f"no cognitive map: {reason}"]
            n_without += 1
        made += rows
        dropped += [DroppedSceneRow(scene_id=scene_id, file="", reason=reason) for reason in reasons]
    tables.write(tables.COGNITIVE_MAPS, args.out, made, lineage)
    tables.write(
        tables.SCENES_DROPPED, args.dropped or args.out.with_name(f"{args.out.stem}_dropped.parquet"), dropped, lineage
    )
    LOG.info("cognitive maps of %d of %d scans", len(scenes) - n_without, len(scenes))
    if n_without:
        LOG.warning("%d of %d scans have no cognitive map; scenes_dropped has the reasons", n_without, len(scenes))


if __name__ == "__main__":
    main()
