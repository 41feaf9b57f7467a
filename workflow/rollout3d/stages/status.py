"""Show which tables and models are current, and what the next run would compute, put back and cost.

    rollout3d status
    rollout3d status table4 --configfile config/presets/demo.yaml --config 'grpo={"ablation": {"sigma0": 64}}'
    rollout3d status --raw

Reads footers of files only; runs and changes nothing. With --raw the files outside the workflow (scans, models,
benchmarks) are compared with those that the stages opened. Exit status 1: something is not current.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from rollout3d import tables
from rollout3d.errors import reported
from rollout3d.fingerprint import compare
from rollout3d.study.dump import Graph, add_options, load, options_of
from rollout3d.study.plan import Step, plan, spent_usd

SHOWN = 12
"""Lines per rule and reason; the rest are counted."""
GPU_STAGES = ("difficulty", "train_sft", "train_grpo", "evaluate")


@reported()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="rollout3d status", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", default=["all"], help="targets or paths, as for snakemake (all)")
    add_options(parser)
    parser.add_argument("--raw", action="store_true", help="compare files outside the workflow too")
    args = parser.parse_args(argv)
    graph = load(options_of(args, args.targets), args.targets)
    steps = plan(graph)
    for line in report(graph, steps):
        print(line)
    differ = raw_differences(graph) if args.raw else []
    for line in differ:
        print(line)
    raise SystemExit(1 if differ or any(step.fate != "leave" for step in steps) else 0)


def report(graph: Graph, steps: list[Step]) -> list[str]:
    """Lines on the state of the study: what is not current and why, then what the next run does."""
    lines: list[str] = []
    shown: Counter[tuple[str, ...]] = Counter()
    for step in steps:
        state = step.state
        if state.status == "current" and not state.code_changed:
            continue
        status = "stale (code)" if state.status == "current" else state.status
        reasons = state.reasons or state.code_files
        group = (step.job.rule, status, *reasons)
        shown[group] += 1
        if shown[group] <= SHOWN:
            lines.append(f"{status:<8} {step.job.name}" + (f": {'; '.join(reasons)}" if reasons else ""))
    for (rule, status, *_), count in shown.items():
        if count > SHOWN:
            lines.append(f"{status:<8} ... and {count - SHOWN} more of {rule}")
    for path, name in sorted(graph.kept.items()):
        lines.append(f"kept     {path} (keep: {name})")
    lines.append("")
    counts = Counter(step.state.status for step in steps)
    listing = ", ".join(f"{counts[status]} {status}" for status in ("current", "stale", "missing") if counts[status])
    lines.append(f"{graph.results}: {len(steps)} jobs, {listing}" + (f", {len(graph.kept)} kept" if graph.kept else ""))
    return lines + cost(graph, steps)


def cost(graph: Graph, steps: list[Step]) -> list[str]:
    """Lines about the next run: jobs by fate, hours by earlier benchmark files, dollars."""
    lines = []
    for fate in ("compute", "restore", "restore or compute"):
        of = [step for step in steps if step.fate == fate]
        if not of:
            continue
        rules = Counter(step.job.rule for step in of)
        lines.append(f"next run: {fate} {len(of)} ({', '.join(f'{n} {rule}' for rule, n in rules.items())})")
    if not lines:
        return ["next run: nothing to do"]
    gpu = [s for s in steps if s.fate in ("compute", "restore or compute") and s.job.stage in GPU_STAGES]
    known = [s.seconds for s in gpu if s.seconds is not None]
    if gpu:
        unknown = len(gpu) - len(known)
        hours = f"about {sum(known) / 3600:.2f} h of GPU jobs" if known else "GPU jobs of unknown length"
        lines.append(f"cost: {hours}" + (f", {unknown} more were never timed here" if known and unknown else ""))
    if any(s.fate != "leave" and s.job.stage in ("annotate", "judge") for s in steps):
        lines.append(
            f"cost: the teacher may be called again; {spent_usd(graph):.2f} dollars were paid for the annotations, "
            "and replies in the cache are not paid for twice"
        )
    return lines


def raw_differences(graph: Graph) -> list[str]:
    """Lines about files outside the workflow that are not those that the stages opened."""
    lines = []
    for job in graph.jobs:
        for path in (Path(output) for output in job.outputs if output.endswith("raw_files.parquet")):
            if path.exists():
                for found in compare(tables.read(tables.RAW_FILES, path), graph.roots):
                    lines.append(f"outside  {found}: read by {job.rule} for {job.name}")
    if lines:
        lines.append("what has changed outside is not recomputed by itself: `snakemake -R RULE` does, by content")
    return lines


if __name__ == "__main__":
    main()
