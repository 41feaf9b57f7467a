"""Ask the filter model the training questions of one shard, in one of the four settings (OCR, Table 1)."""

from __future__ import annotations

from rollout3d import tables
from rollout3d.config import SETTINGS
from rollout3d.stages.common import Stage, StageError

STAGE = Stage("difficulty", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--setting", required=True, choices=SETTINGS)
    parser.add_argument("--shard", required=True, type=int)
    parser.add_argument("--n-shards", required=True, type=int)
    parser.add_argument("--questions", required=True, help="table ocr_rl")
    parser.add_argument("--frames", required=True, nargs="+", help="tables frames of all scenes")
    parser.add_argument("--maps", nargs="*", default=[], help="tables maps of all scenes; frames16_bev shows them")
    parser.add_argument("--model", required=True, help="model.json of the filter model, or of its GRPO run")
    parser.add_argument("--out", required=True, help="table predictions")
    args, config = STAGE.parse(parser, argv)

    lineage = STAGE.lineage(
        {"questions": args.questions, "frames": args.frames, "maps": args.maps, "model": args.model}
    )
    if STAGE.restore(args.out, lineage):
        return

    from rollout3d.difficulty import settings
    from rollout3d.model.backends import open_model
    from rollout3d.model.load import ModelError
    from rollout3d.model.media import FrameStore, MissingFrames

    rows = settings.of_shard(tables.read(tables.OCR_RL, args.questions), args.shard, args.n_shards)
    try:
        policy, generate = open_model(args.model, config.video, config.difficulty.backend, config.torch_threads)
        store = FrameStore(args.frames, args.maps, config.video)
        predictions = settings.predict(
            args.setting,
            rows,
            policy,
            store,
            config.difficulty,
            config.video,
            think=config.prompts.think if args.setting == "frames16_grpo" else None,
            seed=config.seed,
            generate=generate,
        )
        tables.write(tables.PREDICTIONS, args.out, predictions, lineage)
        STAGE.keep(args.out, lineage)
    except (ModelError, MissingFrames) as error:
        raise StageError(str(error)) from None


if __name__ == "__main__":
    main()
