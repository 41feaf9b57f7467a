"""Train a run by GRPO with its rollout method: object-centric 3D rollout, or one that it is compared with.

Resumes from its newest checkpoint. Several GPUs: `python workflow/launch.py --gpus 8 -- -m rollout3d.stages.train_grpo
...`.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d.config import Run
from rollout3d.stages.common import Stage, end_process
from rollout3d.training.lock import LOCK, Lock
from rollout3d.training.steps import STEPS

STAGE = Stage("train_grpo", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--row", required=True, help="the run's row of config/runs.tsv, as JSON")
    parser.add_argument("--init", required=True, type=Path, help="model.json to start from, also the reference")
    parser.add_argument("--train", required=True, type=Path, help="table of questions, such as ocr_rl")
    parser.add_argument("--frames", required=True, type=Path, nargs="+", help="frames tables of the scenes")
    parser.add_argument("--maps", type=Path, nargs="*", default=[], help="maps tables of the scenes")
    parser.add_argument(
        "--objects", type=Path, nargs="*", default=[], help="objects tables, where the rollout method needs regions"
    )
    parser.add_argument(
        "--regions", type=Path, nargs="*", default=[], help="regions tables, where the rollout method needs them"
    )
    parser.add_argument(
        "--cognitive-maps", type=Path, nargs="*", default=[], help="tables of maps, where reward or prompt needs them"
    )
    parser.add_argument(
        "--keep-steps", type=int, nargs="*", default=[], metavar="N", help="also keep the weights after these steps"
    )
    parser.add_argument("--probe-questions", type=Path, nargs="?", help="table questions, for probes; default: --train")
    parser.add_argument(
        "--probe-objects", type=Path, nargs="*", default=[], help="objects tables, for probes with objects under noise"
    )
    parser.add_argument(
        "--probe-regions", type=Path, nargs="*", default=[], help="regions tables, for probes with objects under noise"
    )
    parser.add_argument("--out-dir", required=True, type=Path, help="where model.json and the run's tables go")
    args, config = STAGE.parse(parser, argv)
    run = Run.model_validate_json(args.row)

    names = ("init", "train", "frames", "maps", "objects", "regions", "cognitive_maps")
    lineage = STAGE.lineage({name: getattr(args, name) for name in names})
    model = args.out_dir / "model.json"
    if STAGE.restore(model, lineage, Lock(args.out_dir / LOCK)):
        return

    from rollout3d.training.run import Inputs, run_grpo

    inputs = Inputs(**{name: getattr(args, name) for name in (*names, *STAGE.spec.beside)})
    kept = ["metrics.parquet", "rollouts.parquet", "weights"]
    run_grpo(
        config,
        run,
        inputs,
        args.out_dir,
        lambda parents: lineage,
        keep=lambda: STAGE.keep(model, lineage, [*kept, *([STEPS] if (args.out_dir / STEPS).is_dir() else [])]),
        restore=lambda: STAGE.restore(model, lineage),
        keep_steps=args.keep_steps,
    )


if __name__ == "__main__":
    main()
    end_process()
