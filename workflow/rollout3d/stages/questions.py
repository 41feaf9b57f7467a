"""Generate the questions of one shard of scans.

    rollout3d questions --scenes scenes.parquet --objects objects.parquet --maps maps.parquet \\
        --out questions.parquet --dropped questions_dropped.parquet
"""

from __future__ import annotations

from rollout3d import tables
from rollout3d.questions.generate import questions_for_shard
from rollout3d.stages.common import Stage

STAGE = Stage("questions", __doc__)


def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--scenes", required=True, help="table scenes of the shard")
    parser.add_argument("--objects", required=True, help="table objects of the shard")
    parser.add_argument("--maps", required=True, help="table maps of the shard")
    parser.add_argument("--out", required=True, help="table questions")
    parser.add_argument("--dropped", required=True, help="table questions_dropped")
    args, config = STAGE.parse(parser, argv)
    rows, dropped = questions_for_shard(
        tables.read(tables.SCENES, args.scenes),
        tables.read(tables.OBJECTS, args.objects),
        tables.SceneReader(tables.MAPS, [args.maps]),
        {name: dataset.splits for name, dataset in config.datasets.items()},
        config.questions,
        config.seed,
    )
    lineage = STAGE.lineage({"scenes": args.scenes, "objects": args.objects, "maps": args.maps})
    tables.write(tables.QUESTIONS, args.out, rows, lineage)
    tables.write(tables.TABLES["questions_dropped"], args.dropped, dropped, lineage)


if __name__ == "__main__":
    main()
