"""Train the presets' small Qwen2.5-VL from scratch on synthetic rooms (never part of the paper)."""

from __future__ import annotations

from pathlib import Path

from rollout3d.stages.common import Stage

STAGE = Stage("train_base_model", __doc__)


def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--name", required=True, help="name written into model.json and into predictions")
    parser.add_argument("--out-dir", required=True, type=Path)
    args, config = STAGE.parse(parser, argv)

    from rollout3d.cot.wording import SENTENCES
    from rollout3d.training.base_model import train

    # The tokeniser learns the teacher's words, so that its reasoning is short; the model does not read them.
    words = [way for ways in SENTENCES.values() for way in ways]
    train(config, args.name, args.out_dir, STAGE.lineage(), words)


if __name__ == "__main__":
    main()
