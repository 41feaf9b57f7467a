"""Write one self-contained page that shows the study: tables, curves, data and examples."""

from __future__ import annotations

import json
from pathlib import Path

from rollout3d import provenance, tables
from rollout3d.files import write_atomically
from rollout3d.report.about import about
from rollout3d.report.page import render
from rollout3d.report.study import Files, collect
from rollout3d.resources import found
from rollout3d.stages.common import Stage

STAGE = Stage("report", __doc__)
LISTS = ("tables", "scores", "metrics", "rollouts", "scenes", "frames", "objects", "maps", "regions", "cognitive_maps")
LISTS += ("claims", "claim_shares", "asked")
SINGLE = {"train": "ocr_rl", "sft": "ocr_sft", "hard": "hard", "annotations": "annotations"}
SINGLE |= {"sources": "sources", "bias": "bias"}


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    for name in LISTS:
        parser.add_argument(f"--{name.replace('_', '-')}", nargs="*", default=[], help=f"files of {name}")
    for name, table in SINGLE.items():
        parser.add_argument(f"--{name}", nargs="?", help=f"table {table}")
    parser.add_argument("--out", required=True, type=Path, help="the page, index.html")
    parser.add_argument(
        "--recipes", default="{}", help="differences of runs from the study, as JSON (config/recipes.py)"
    )
    args, config = STAGE.parse(parser, argv)
    recipes = json.loads(args.recipes)
    files = {name: getattr(args, name) for name in (*LISTS, *SINGLE) if getattr(args, name)}
    lineage = STAGE.lineage({**files, "runs": found(config.runs.table)})
    shown = [path for given in files.values() for path in ([given] if isinstance(given, str) else given)]
    noted = next((folder for folder in args.out.resolve().parents if (folder / provenance.FOLDER).is_dir()), None)
    made = about(shown, noted, STAGE.whole_configuration)
    given = Files(**{name: getattr(args, name) for name in (*LISTS, *SINGLE)})
    page = render(collect(given, config, made, recipes, STAGE.configured))
    write_atomically(args.out, tables.with_lineage(page, lineage))


if __name__ == "__main__":
    main()
