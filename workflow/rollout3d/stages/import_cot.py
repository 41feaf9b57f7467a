"""Import Video-R1's cold start data as a train table.

rollout3d import_cot --out train/video_r1_cot.parquet --dropped train/video_r1_cot_dropped.parquet
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rollout3d import releases
from rollout3d.fingerprint import Recorder
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("import_cot", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--out", required=True, type=Path, help="table ocr_sft")
    parser.add_argument("--dropped", required=True, type=Path, help="table questions_dropped")
    parser.add_argument("--sets", nargs="*", default=[], help="frame sets of videos; default: the configuration's")
    parser.add_argument("--raw", help="table raw_files: the files that were read")
    parser.add_argument("--threads", type=int, default=1, help="pictures and videos decoded at a time")
    args, config = STAGE.parse(parser, argv)
    source = config.site.external.get("video_r1_cot")
    message = releases.missing_file("video_r1_cot", source)
    if message:
        raise StageError(message)

    from rollout3d.imports.video_r1 import import_cot

    lineage = STAGE.lineage({"file": source})
    with Recorder({"external.video_r1_cot": Path(source).parent}) as raw:
        own = partial(raw.lineage, lineage)
        import_cot(Path(source), args.out, args.dropped, config, own, args.threads, args.sets)
    if args.raw:
        raw.write(args.raw, lineage)


if __name__ == "__main__":
    main()
