"""Train a run by supervised fine-tuning, on written reasoning or on answers alone. Resumes from its newest checkpoint.

Several GPUs: `python workflow/launch.py --gpus 8 -- -m rollout3d.stages.train_sft ...`.
"""

from __future__ import annotations

from pathlib import Path

from rollout3d.config import Run
from rollout3d.stages.common import Stage, end_process
from rollout3d.training.lock import LOCK, Lock

STAGE = Stage("train_sft", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--row", required=True, help="the run's row of config/runs.tsv, as JSON")
    parser.add_argument("--init", required=True, type=Path, help="model.json to start from")
    parser.add_argument(
        "--train",
        required=True,
        type=Path,
        help="table with targets, such as ocr_sft; style direct: any of questions",
    )
    parser.add_argument("--frames", required=True, type=Path, nargs="+", help="frames tables of the scenes")
    parser.add_argument("--maps", type=Path, nargs="*", default=[], help="maps tables of the scenes")
    parser.add_argument("--probe-questions", type=Path, nargs="?", help="table questions, for probes; default: --train")
    parser.add_argument(
        "--probe-objects", type=Path, nargs="*", default=[], help="objects tables, for probes with objects under noise"
    )
    parser.add_argument(
        "--probe-regions", type=Path, nargs="*", default=[], help="regions tables, for probes with objects under noise"
    )
    parser.add_argument("--out-dir", required=True, type=Path, help="where model.json and metrics.parquet go")
    args, config = STAGE.parse(parser, argv)
    run = Run.model_validate_json(args.row)

    lineage = STAGE.lineage({name: getattr(args, name) for name in ("init", "train", "frames", "maps")})
    model = args.out_dir / "model.json"
    if STAGE.restore(model, lineage, Lock(args.out_dir / LOCK)):
        return

    from rollout3d.training.run import Inputs, run_sft

    probed = {name: getattr(args, name) for name in STAGE.spec.beside}
    inputs = Inputs(args.init, args.train, args.frames, args.maps, **probed)
    run_sft(
        config,
        run,
        inputs,
        args.out_dir,
        lambda parents: lineage,
        keep=lambda: STAGE.keep(model, lineage, ["metrics.parquet", "weights"]),
        restore=lambda: STAGE.restore(model, lineage),
    )


if __name__ == "__main__":
    main()
    end_process()
