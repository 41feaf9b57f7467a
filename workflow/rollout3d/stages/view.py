"""Write one scan as an interactive page: points, boxes, cameras, frames and their regions.

The page is one file that needs no network: copy it from the head node and open it, or read it through a tunnel. It
shows the scene tables of a results directory (the configuration's own if neither --results nor --tables is given).
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from rollout3d.files import write_atomically
from rollout3d.report.view import MAX_MB, collect, locate, render, shards
from rollout3d.stages.common import Stage

STAGE = Stage("view", __doc__)
LOG = logging.getLogger(__name__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("scene", metavar="SCENE", help="scene id, such as scene0000_00")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--results", type=Path, metavar="DIR", help="results directory, such as results/demo")
    source.add_argument("--tables", type=Path, metavar="DIR", help="one shard, such as results/scenes/scannet/0")
    parser.add_argument("--out", type=Path, metavar="HTML", help="the page; SCENE.html here if not given")
    parser.add_argument(
        "--max-mb", type=float, default=MAX_MB, help="largest page, million bytes; frames go first (%(default)g)"
    )
    parser.add_argument("--glb", type=Path, help="write points and boxes to this file instead, for Blender or MeshLab")
    args, config = STAGE.parse(parser, argv)
    folders = [args.tables] if args.tables else shards(args.results or Path(config.results))
    located = locate(args.scene, folders)
    if args.glb:
        from rollout3d.report import glb

        print(f"{args.glb}: {glb.write(located, args.glb)} boxes")
        return
    view = collect(located, args.max_mb)
    for note in view.notes:
        LOG.warning("%s: %s", args.scene, note)
    out = args.out or Path(re.sub(r"[^\w.-]", "_", args.scene) + ".html")
    write_atomically(out, render(view))
    print(f"{out}: {len(view.objects)} objects, {len(view.frames)} frames, {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
