"""Predict what a run needs before any GPU is used: memory per GPU by part, seconds per phase, hours, disk.

    rollout3d plan ocr --gpus 8 --gib 80
    rollout3d plan ocr --gpus 8 --gib 24 --config 'grpo={"lora_rank": 64}' 'training={"deepspeed": "none"}'
    rollout3d plan --table

Reads the configuration as Snakemake does, the run table with the run's recipe (its values come before those of
`--config`), and `config.json` of the run's model where `site.models` names one (else built-in sizes). Nothing is loaded
or run. Exit status 1: the run does not fit; settings that would fit are printed.
"""

from __future__ import annotations

import argparse
import sys

from rollout3d.config import read_runs
from rollout3d.config.read import read_study
from rollout3d.errors import reported
from rollout3d.study.dump import add_options


@reported()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="rollout3d plan", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", help="a run of the run table that trains")
    parser.add_argument("--gpus", type=_positive, default=8, help="GPUs, over all nodes (8)")
    parser.add_argument("--gib", type=float, default=80, help="memory per GPU, GiB (80)")
    parser.add_argument("--card", help="name of the card, such as H100 (default by --gib)")
    parser.add_argument("--tokens", type=_positive, help="mean tokens of a completion (default: half of the most)")
    parser.add_argument("--samples", type=_positive, help="samples of SFT, if its table does not exist yet")
    parser.add_argument("--vllm-share", type=_share, help="share of the GPU for vLLM, instead of the configuration's")
    parser.add_argument("--compute", type=_share, default=0.4, help="share of the card's FLOP/s reached (0.4)")
    parser.add_argument("--bandwidth", type=_share, default=0.6, help="share of its bytes per second reached (0.6)")
    parser.add_argument("--disk", type=float, default=1.0, help="GB/s of the disk for checkpoints (1)")
    parser.add_argument("--table", action="store_true", help="print the table of docs/planning.md and stop")
    add_options(parser)
    args = parser.parse_args(argv)

    from rollout3d.planning import report
    from rollout3d.planning.cards import choose
    from rollout3d.planning.seconds import Rates
    from rollout3d.planning.shape import base_model, model_shape
    from rollout3d.planning.work import steps, work
    from rollout3d.training.checkpoint import KEPT

    if args.table:
        print("\n".join(report.table(args.gpus)))
        return
    if args.run is None:
        parser.error("name a run of the run table, or give --table")
    if args.gib <= 0 or args.disk <= 0:
        parser.error("--gib and --disk must be above 0")
    config = read_study(args.config, args.configfile)
    runs = read_runs(config.runs.table, config)
    step = work(config, runs, args.run, args.gpus, tokens=args.tokens, share=args.vllm_share)
    key = base_model(config, runs, args.run)
    number, source = steps(config, runs[args.run], args.samples)
    card = choose(args.card, args.gib)
    model = f"{config.models[key].name} ({model_shape(config, key)[1]})"
    rates = Rates(args.compute, args.bandwidth, args.disk * 1e9)
    # While a checkpoint is written, those that are kept are on the disk too.
    plan = report.Plan(args.run, model, step, args.gib, card, rates, number, source, KEPT + 1)
    print("\n".join(report.lines(plan)))
    sys.exit(0 if plan.fits else 1)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError("must be above 0 and at most 1")
    return value


if __name__ == "__main__":
    main()
