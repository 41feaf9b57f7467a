"""Train the presets' small Qwen2.5-VL from scratch on rendered rooms (not used by the paper's configuration)."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rollout3d.stages.common import Stage

STAGE = Stage("train_base_model", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    """Run the stage; size and length of the training come from `toyworld.model`."""
    parser = STAGE.parser()
    parser.add_argument("--key", required=True, metavar="KEY", help="key of the configuration's models")
    parser.add_argument(
        "--out-dir", required=True, type=Path, metavar="DIR", help="folder for model.json, weights and metrics"
    )
    args, config = STAGE.parse(parser, argv)

    from rollout3d.cot import geometric
    from toyworld.model.training import train

    reason = partial(geometric.reasoning, seed=config.seed, most=config.cot.sentences)
    train(config, config.models[args.key].name, args.out_dir, STAGE.lineage(), reason)


if __name__ == "__main__":
    main()
