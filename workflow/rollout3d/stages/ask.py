"""Make the questions of one scan and a picture of it, without any configuration.

    rollout3d ask scannet ROOT/scans/scene0000_00
    rollout3d ask arkitscenes ~/Downloads/41048190 --out look

Prints the scan and its questions with answers, by type. Writes questions.parquet, the scene tables and picture.png (the
room from above with its objects, frames with their boxes) to --out, or to a new folder for temporary files. The scan
may lie in its release or in a folder by itself; what is lost without split lists or label tables is printed.
`rollout3d view SCENE --tables OUT` makes an interactive page of the same folder.

Exit status: 0 if there are questions, 1 if there are none or the scan cannot be read, 2 if the folder is no scan or a
table of its release is damaged.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from rollout3d import tables
from rollout3d.releases import MissingData
from rollout3d.scenes.locate import UnusableScan, locate
from rollout3d.stages.common import Stage, StageError, add_scan

STAGE = Stage("ask", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    """`DATASET PATH [--out DIR] [--show N | --all]`; PATH is the scan's own folder."""
    parser = STAGE.parser()
    add_scan(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="where the files go; default: a new temporary folder")
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument("--show", type=int, default=3, metavar="N", help="questions printed per type (%(default)s)")
    shown.add_argument("--all", action="store_true", help="print every question")
    args, config = STAGE.parse(parser, argv)
    if args.show < 0:
        parser.error("--show is at least 0")
    try:
        locate(args.dataset, args.path)  # before the imports: they take seconds
    except (UnusableScan, MissingData) as error:
        raise StageError(str(error), 2) from None
    LOG.info("%s: reading mesh, objects and video", args.path)
    from rollout3d.questions.ask import ask, lines
    from rollout3d.scenes import datasets
    from rollout3d.scenes.check_picture import write_png
    from rollout3d.scenes.overview import overview
    from rollout3d.scenes.reading import ScanError

    try:
        made = ask(args.dataset, args.path, config)
        room = datasets.load(args.dataset).read_room(made.root, made.ref)
    except (UnusableScan, MissingData) as error:
        raise StageError(str(error), 2) from None
    except ScanError as error:
        raise StageError(f"the scan cannot be used: {error}") from None
    scene_id = made.scene["scene_id"]
    try:
        out = args.out or Path(tempfile.mkdtemp(prefix=f"rollout3d-{scene_id}-"))
        out.mkdir(parents=True, exist_ok=True)
        lineage = STAGE.lineage()
        written = {**made.tables, "questions": made.questions, "questions_dropped": made.dropped}
        for name, rows in written.items():
            tables.write(tables.TABLES[name], out / f"{name}.parquet", rows, lineage)
        title = f"{args.dataset}  {scene_id}: {len(made.tables['objects'])} objects, {len(made.questions)} questions"
        write_png(overview(room, made.tables["frames"], made.tables["maps"][0], title), out / "picture.png")
    except OSError as error:
        raise StageError(f"{args.out}: the files cannot be written ({error.strerror}); name another --out") from None
    # Printed last: a pager that ends early must not cost the files.
    print("\n".join(lines(made, None if args.all else args.show)))
    print(f"\n{len(made.questions)} questions: {(out / 'questions.parquet').resolve()}")
    print(f"picture: {(out / 'picture.png').resolve()}")
    if not made.questions:
        raise StageError(f"no question can be asked about {scene_id}: the lines above say why, by type")


if __name__ == "__main__":
    main()
