"""Write the `model.json` of a run after some of its steps, whose weights its training has kept.

    rollout3d checkpoint --row JSON --model results/runs/spacer/model.json --out results/runs/spacer_1000/model.json

The workflow does so for rows of the run table with `at: spacer@1000`, which are then evaluated as any run (SpaceR,
Table 4: after 1,000 and 3,000 iterations).
"""

from __future__ import annotations

import os
from pathlib import Path

from rollout3d.config import Run
from rollout3d.stages.common import Stage, StageError
from rollout3d.training import steps

STAGE = Stage("checkpoint", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--row", required=True, help="row of the run table that names the checkpoint, as JSON")
    parser.add_argument("--model", required=True, type=Path, help="model.json of the finished run")
    parser.add_argument("--out", required=True, type=Path, help="model.json of the checkpoint")
    args, _ = STAGE.parse(parser, argv)
    run = Run.model_validate_json(args.row)
    if run.checkpoint is None:
        raise StageError(f"run '{run.run}' names no checkpoint in column at")
    name, step = run.checkpoint
    if problem := steps.problem(args.model, step):
        raise StageError(f"run '{run.run}' is {name} after {step} steps. {problem}")

    from rollout3d.model.load import check_weights, read_model, write_model

    kept = steps.model_of(args.model.parent, step)
    handle = read_model(kept)
    check_weights(kept, handle)
    about = {**handle.about, "lineage": STAGE.lineage({"model": args.model}).as_dict()}
    weights = os.path.relpath(handle.path, args.out.resolve().parent)
    write_model(args.out, name=run.run, kind=handle.kind, weights=weights, digest=handle.digest, **about)


if __name__ == "__main__":
    main()
