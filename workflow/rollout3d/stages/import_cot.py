"""Import Video-R1's cold start data as a train table.

rollout3d import_cot --out train/video_r1_cot.parquet --dropped train/video_r1_cot_dropped.parquet
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rollout3d.fingerprint import Recorder
from rollout3d.stages.common import Stage
from rollout3d.stages.external import add_import, external_file

STAGE = Stage("import_cot", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--out", required=True, type=Path, help="table ocr_sft")
    add_import(parser)
    args, config = STAGE.parse(parser, argv)
    source = external_file(config, "video_r1_cot")

    from rollout3d.imports.release import Import
    from rollout3d.imports.video_r1 import import_cot

    lineage = STAGE.lineage({"file": source})
    with Recorder({"external.video_r1_cot": source.parent}) as raw:
        own = partial(raw.lineage, lineage)
        import_cot(source, Import(args.out, args.dropped, config, own, args.threads, args.sets))
    if args.raw:
        raw.write(args.raw, lineage)


if __name__ == "__main__":
    main()
