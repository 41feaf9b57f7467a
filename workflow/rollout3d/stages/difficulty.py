"""Answer the training questions of one shard with the filter model.

In one of the four settings of OCR (Table 1), or several times for the resampled set (SpaceR, section 5.2).
"""

from __future__ import annotations

from typing import cast

from rollout3d import tables
from rollout3d.config import REASONED, SAMPLED, SETTINGS
from rollout3d.model.parts import Parts
from rollout3d.stages.common import Stage, StageError
from rollout3d.tables.rows import QuestionRow

STAGE = Stage("difficulty", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--setting", required=True, choices=(*SETTINGS, SAMPLED))
    parser.add_argument("--shard", type=int, default=0, help="part of the questions, from 0; default: all")
    parser.add_argument("--n-shards", type=int, default=1)
    parser.add_argument("--questions", required=True, help="table ocr_rl, such as sr_91k")
    parser.add_argument("--frames", required=True, nargs="+", help="tables frames of all scenes")
    parser.add_argument("--maps", nargs="*", default=[], help="tables maps of all scenes, for frames16_bev")
    parser.add_argument("--model", required=True, help="model.json of the filter model, or of its GRPO run")
    parser.add_argument("--out", required=True, help="table predictions")
    args, config = STAGE.parse(parser, argv)

    shard = args.shard, args.n_shards
    if not 0 <= args.shard < args.n_shards:
        raise StageError("--shard {} of --n-shards {}: shards count from 0".format(*shard))
    lineage = STAGE.lineage(
        {
            "questions": args.questions,
            "frames": args.frames,
            "maps": args.maps if args.setting == "frames16_bev" else (),
            "model": args.model,
        }
    )
    parts = Parts(args.out, lineage, args.setting, *shard)
    if STAGE.restore(args.out, lineage):
        parts.clear()
        return

    from rollout3d.difficulty import settings
    from rollout3d.model.answer import of_shard
    from rollout3d.model.backends import open_model
    from rollout3d.model.media import FrameStore

    rows = cast("list[QuestionRow]", of_shard(tables.read(tables.OCR_RL, args.questions), *shard))
    predictions = ()
    if rows:
        policy, back_end = open_model(args.model, config.video, config.generation.backend, config.torch_threads)
        predictions = settings.predict(
            args.setting,
            rows,
            policy,
            FrameStore(args.frames, args.maps),
            config.generation,
            config.video,
            think=config.prompts.wording if args.setting in REASONED else None,
            seed=config.seed,
            back_end=back_end,
            parts=parts,
            grpo=config.grpo if args.setting == SAMPLED else None,
        )
    tables.write(tables.PREDICTIONS, args.out, predictions, lineage)
    STAGE.keep(args.out, lineage)
    parts.clear()


if __name__ == "__main__":
    main()
