"""Forget results, so that the next run computes them again: files, entries of the store, checkpoints, partial answers.

    rollout3d forget results/demo/runs/ocr/model.json
    rollout3d forget results/demo/eval/ocr/synthetic/predictions.parquet

`-R` and `--force` of Snakemake put current results back from the store; this command forces a new computation.
Paid replies of the teacher stay in their cache.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from rollout3d.errors import reported
from rollout3d.stages.common import StageError
from rollout3d.study.dump import add_options, load, options_of
from rollout3d.tables.store import Store


@reported()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="rollout3d forget", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="+", help="paths that the workflow writes")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only print what would be deleted")
    add_options(parser)
    args = parser.parse_args(argv)
    yes = not args.dry_run
    graph = load(options_of(args, args.targets), args.targets)
    store = Store(graph.results)
    for target in args.targets:
        job = graph.study.job(target)
        if job is None:
            raise StageError(f"{target}: no rule of this study writes it; --configfile names another study")
        folder = Path(job.name).parent
        leftovers = (
            [folder / name for name in ("checkpoints", "weights", "steps")]
            if job.stage in ("train_sft", "train_grpo")
            else []
        )
        leftovers.append(folder / ".parts" / Path(job.name).stem)
        for path in [*map(Path, job.outputs), *leftovers]:
            if path.exists():
                print(f"{'deleted' if yes else 'would delete'} {path}")
                if yes:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        entries = [entry for entry in store.entries() if entry.target == store.target(job.name)]
        for entry in entries:
            print(f"{'dropped' if yes else 'would drop'} {entry.identity} of {entry.target} from the store")
            if yes:
                store.drop(entry)


if __name__ == "__main__":
    main()
