"""Import questions that others released: SpaceR, VLM-3R, Video-R1.

rollout3d import_questions --source spacer --out questions/external/spacer.parquet --dropped spacer_dropped.parquet
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rollout3d import releases
from rollout3d.fingerprint import Recorder
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("import_questions", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    from rollout3d.imports.released import SOURCES, import_questions

    parser = STAGE.parser()
    parser.add_argument("--source", required=True, choices=SOURCES, help="which release: a key of site.external")
    parser.add_argument("--out", required=True, type=Path, help="table questions")
    parser.add_argument("--dropped", required=True, type=Path, help="table questions_dropped")
    parser.add_argument("--sets", nargs="*", default=[], help="frame sets of videos; default: the configuration's")
    parser.add_argument("--raw", help="table raw_files: the files that were read")
    parser.add_argument("--threads", type=int, default=1, help="pictures and videos decoded at a time")
    args, config = STAGE.parse(parser, argv)
    path = config.site.external.get(args.source)
    message = releases.missing_file(args.source, path)
    if message:
        raise StageError(message)
    lineage = STAGE.lineage({"file": path})
    with Recorder({f"external.{args.source}": Path(path).parent}) as raw:
        own = partial(raw.lineage, lineage)
        import_questions(args.source, Path(path), args.out, args.dropped, config, own, args.threads, args.sets)
    if args.raw:
        raw.write(args.raw, lineage)


if __name__ == "__main__":
    main()
