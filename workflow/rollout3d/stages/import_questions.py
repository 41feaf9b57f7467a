"""Import questions that others released: SpaceR, VLM-3R, Video-R1.

rollout3d import_questions --source spacer --out questions/external/spacer.parquet --dropped spacer_dropped.parquet
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rollout3d.fingerprint import Recorder
from rollout3d.stages.common import Stage
from rollout3d.stages.external import add_import, external_file

STAGE = Stage("import_questions", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    from rollout3d.imports.release import Import
    from rollout3d.imports.released import SOURCES, import_questions

    parser = STAGE.parser()
    parser.add_argument("--source", required=True, choices=SOURCES, help="the release: a key of site.external")
    parser.add_argument("--out", required=True, type=Path, help="table questions")
    add_import(parser)
    args, config = STAGE.parse(parser, argv)
    path = external_file(config, args.source)
    lineage = STAGE.lineage({"file": path})
    with Recorder({f"external.{args.source}": path.parent}) as raw:
        own = partial(raw.lineage, lineage)
        import_questions(args.source, path, Import(args.out, args.dropped, config, own, args.threads, args.sets))
    if args.raw:
        raw.write(args.raw, lineage)


if __name__ == "__main__":
    main()
