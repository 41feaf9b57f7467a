"""Answer a benchmark, or one shard of it, with the model of a run."""

from __future__ import annotations

from typing import cast

from rollout3d import tables
from rollout3d.config.evaluation import map_given
from rollout3d.evaluation.settings import style_of
from rollout3d.model.parts import Parts
from rollout3d.stages.common import Stage, StageError
from rollout3d.tables.rows import QuestionRow

STAGE = Stage("evaluate", __doc__)


@STAGE.command
def main(argv: list[str] | None = None) -> None:
    parser = STAGE.parser()
    parser.add_argument("--run", required=True, help="name written into the predictions")
    parser.add_argument("--method", required=True, choices=("none", "sft", "grpo"), help="how the run was trained")
    parser.add_argument(
        "--benchmark", help="name of the benchmark, which may have a prompt, frames and a scorer of its own"
    )
    parser.add_argument("--model", required=True, help="model.json")
    parser.add_argument("--questions", required=True, help="table questions of the benchmark")
    parser.add_argument("--frames", required=True, nargs="+", help="table frames of the benchmark")
    parser.add_argument("--probes", nargs="?", help="table probes; only black frames for all need none")
    parser.add_argument("--objects", nargs="*", default=[], help="tables objects, for probes of objects")
    parser.add_argument("--regions", nargs="*", default=[], help="tables regions, for probes of objects")
    parser.add_argument("--maps", nargs="*", default=[], help="tables cognitive_maps of the benchmark's scenes")
    parser.add_argument("--answers", nargs="?", help="table predictions of the run whose own maps are given")
    parser.add_argument("--shard", type=int, default=0, help="part of the questions, from 0; default: all")
    parser.add_argument("--n-shards", type=int, default=1)
    parser.add_argument("--style", choices=("direct", "think"), help="default: direct for method none, else think")
    parser.add_argument("--out", required=True, help="table predictions")
    args, config = STAGE.parse(parser, argv)

    every = config.evaluation.probe_share == 1
    if set(config.evaluation.probes) - ({"black"} if every else set()) and not args.probes:
        parser.error("evaluation.probes needs --probes: rollout3d probes makes that table")
    shard = args.shard, args.n_shards
    if not 0 <= args.shard < args.n_shards:
        raise StageError("--shard {} of --n-shards {}: shards count from 0".format(*shard))
    style = args.style or style_of(args.method)
    gives = map_given(config.evaluation, style, args.benchmark)
    needed = {"none": None, "own": "answers"}.get(gives, "maps")
    if needed and not getattr(args, needed):
        parser.error(f"evaluation.given_map: {gives} needs --{needed}")
    parents = {"model": args.model, "questions": args.questions, "frames": args.frames}
    altered = {"probes": args.probes, "objects": args.objects, "regions": args.regions}
    altered |= {"maps": args.maps, "answers": args.answers}
    lineage = STAGE.lineage(parents | {name: paths for name, paths in altered.items() if paths})
    parts = Parts(args.out, lineage, args.style or args.method, *shard)
    if STAGE.restore(args.out, lineage):
        parts.clear()
        return

    from rollout3d.config.frames import eval_set
    from rollout3d.evaluation.maps import given_maps, true_maps
    from rollout3d.evaluation.run import evaluate
    from rollout3d.evaluation.settings import most_tokens, part_of
    from rollout3d.model.answer import of_shard
    from rollout3d.model.backends import open_model
    from rollout3d.model.media import FrameStore
    from rollout3d.model.prompts import GivenMap
    from rollout3d.model.twins import Twins

    questions = tables.read(tables.QUESTIONS, args.questions)
    rows = cast("list[QuestionRow]", of_shard(questions, *shard))
    predictions, maps = (), {}
    if rows and needed:
        grid = config.prompts.map_grid
        texts = given_maps(
            *(gives, rows),
            truth=true_maps(args.maps, grid) if needed == "maps" else {},
            answers=tables.read(tables.PREDICTIONS, args.answers) if needed == "answers" else (),
            grid=grid,
            seed=config.seed,
            max_without=config.site.max_drop_share,
            everything=questions,
        )
        maps = {question: GivenMap(text, grid) for question, text in texts.items()}
    if rows:
        store, twins = FrameStore(args.frames), None
        if args.probes:
            shown = eval_set(config.evaluation, config.video, args.benchmark)
            twins = Twins(
                tables.read(tables.PROBES, args.probes), shown, store, args.objects, args.regions, config.seed
            )
        policy, back_end = open_model(args.model, config.video, config.generation.backend, config.torch_threads)
        predictions = evaluate(
            args.run,
            rows,
            policy,
            store,
            config.evaluation,
            config.video,
            style=style,
            think=config.prompts.wording if style == "think" else None,
            most_tokens=most_tokens(config.generation, style, args.benchmark),
            batch_size=config.generation.batch_size,
            seed=config.seed,
            back_end=back_end,
            parts=parts,
            twins=twins,
            given_maps=maps,
            benchmark=args.benchmark,
            split=(part_of(args.benchmark, questions) or "full") if args.benchmark else None,
        )
    tables.write(tables.PREDICTIONS, args.out, predictions, lineage)
    STAGE.keep(args.out, lineage)
    parts.clear()


if __name__ == "__main__":
    main()
