"""Run a command; fail if it takes longer, or its process tree ever holds more memory, than allowed."""

import argparse
import subprocess
import sys
import time
from pathlib import Path


def tree_bytes(root: int) -> int:
    """Resident memory of a process and its descendants (shared pages counted once per process: an upper bound)."""
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        pid = int(stat.parent.name)
        parents[pid], resident[pid] = int(fields[1]), int(fields[21]) * 4096
    total = 0
    for pid in resident:
        ancestor = pid
        while ancestor not in (root, 0):
            ancestor = parents.get(ancestor, 0)
        total += resident[pid] if ancestor == root else 0
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--gib", type=float)
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    started, peak = time.monotonic(), 0
    process = subprocess.Popen(args.command)
    while process.poll() is None:
        peak = max(peak, tree_bytes(process.pid))
        time.sleep(0.5)
    spent, gib = time.monotonic() - started, peak / 2**30
    print(
        f"measured: {spent:.0f} s (at most {args.seconds:.0f}), {gib:.1f} GiB (at most {args.gib or 'any'})", flush=True
    )
    if process.returncode:
        sys.exit(process.returncode)
    if spent > args.seconds or (args.gib and gib > args.gib):
        sys.exit(f"{' '.join(args.command)}: over its budget")


if __name__ == "__main__":
    main()
