"""Show or clear the store of finished results (difficulty, annotations, trainings, predictions).

    rollout3d store results/demo            list targets, identities, sizes
    rollout3d store results/demo --clear    drop every entry that is not in place (or --all of them)
    rollout3d store results/demo --target runs/ocr/model.json --clear

A result in place shares its files with its entry, so that an entry costs space only after its result was replaced.
Deleting a run's folder leaves its entries here, from which the next run puts it back.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rollout3d.errors import reported
from rollout3d.stages.common import StageError
from rollout3d.tables.store import Entry, Store


@reported()
def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="rollout3d store", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="results folder")
    parser.add_argument("--target", help="only this target, as the list names it")
    parser.add_argument("--clear", action="store_true", help="drop the entries listed as `only here`")
    parser.add_argument("--all", action="store_true", help="with --clear: drop those in place too")
    args = parser.parse_args(argv)
    store = Store(args.results)
    if not args.results.is_dir():
        raise StageError(f"{args.results}: no such folder; name the results folder of a study")
    freed = 0
    for entry in list(store.entries()):
        if args.target and entry.target != args.target:
            continue
        own = own_bytes(entry)
        state = "in place" if own < entry.n_bytes else "only here"
        dropped = args.clear and (args.all or state == "only here")
        if dropped:
            freed += own
            store.drop(entry)
        print(f"{'dropped' if dropped else state:<10} {entry.n_bytes / 1e6:10.1f} MB  {entry.identity}  {entry.target}")
    if args.clear:
        print(f"{freed / 1e6:.1f} MB freed")
    else:
        alone = sum(own_bytes(entry) for entry in store.entries())
        print(f"{alone / 1e6:.1f} MB belong to results that are not in place: --clear drops them")


def own_bytes(entry: Entry) -> int:
    """Bytes that only this entry holds: of files without another name."""
    sizes = [(entry.folder / "files" / name).stat() for name in entry.files if (entry.folder / "files" / name).exists()]
    return sum(stat.st_size for stat in sizes if stat.st_nlink == 1)


if __name__ == "__main__":
    main()
