"""Meet every fault that a long study meets, and print what each cost: `make faults`, `make faults-quick`.

    .venv/bin/python tests/faults/run.py [--quick] [--only NAME ...] [--folder FOLDER] [--list]

One finished study of the tiny preset is made first, then copied for each fault. Expected: no row is lost, no finished
training is repeated, and no more is done twice than the steps since the last checkpoint and the questions in flight.
Exit status 1 if that is not so for every fault; the others run nevertheless.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow"))

from faults import damage, disk, drivers, killed, places, slurm_jobs
from faults.table import Line, header, render, summary
from faults.world import Fault, World, meet

FAMILIES = (drivers, killed, damage, places, disk, slurm_jobs)


def chosen(quick: bool, only: list[str]) -> list[Fault]:
    """The faults to meet. Raises SystemExit for a name that there is not."""
    if not only:
        return [fault for family in FAMILIES for fault in (family.QUICK if quick else family.ALL)]
    known = {fault.__name__: fault for family in FAMILIES for fault in (*family.ALL, *family.QUICK)}
    unknown = set(only) - set(known)
    if unknown:
        raise SystemExit(f"no such fault: {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    return [known[name] for name in dict.fromkeys(only)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a choice that needs no cluster: at most six minutes")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these faults (--list names them)")
    parser.add_argument(
        "--folder", type=Path, help="where the studies go, and stay; a finished one there is used again"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the faults")
    args = parser.parse_args()
    faults = chosen(args.quick, args.only)
    if args.list:
        print(*(f"{fault.__name__}: {fault.__doc__}" for fault in faults), sep="\n")
        return 0
    folder = args.folder or Path(tempfile.mkdtemp(prefix="rollout3d-faults-"))
    world, started = World(folder / "world"), time.monotonic()
    try:
        world.make()
        print(f"an undisturbed study took {time.monotonic() - started:.0f} s\n\n{header()}", flush=True)
        lines: list[Line] = []
        for fault in faults:
            at = time.monotonic()
            for line in meet(fault, world):
                lines.append(line)
                print(render(line), flush=True)
            print(f"{fault.__name__}: {time.monotonic() - at:.0f} s", file=sys.stderr)
        print(f"\n{summary(lines, time.monotonic() - started)}")
    finally:
        if not args.folder:
            shutil.rmtree(folder, ignore_errors=True)
    return int(any(line.problems for line in lines))


if __name__ == "__main__":
    sys.exit(main())
