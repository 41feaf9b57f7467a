"""Run the benchmarks and print measured figures with their targets: `make bench`, or `make bench BENCH=regions`.

Every `bench_*.py` has a docstring that says what is measured, and `figures()`, which measures it. Timings are medians.
Compared ways run in the same call on the same machine. A missed target is printed and fails nothing; a figure that
needs a GPU is one line where there is none.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import sys
import time

from measure import HERE, columns, table_row


def main() -> None:
    names = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"benchmarks to run: {', '.join(names)} (default: all)"
    )
    chosen = parser.parse_args().names or names
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}: choose from {', '.join(names)}")
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {load:.1f}, Python {platform.python_version()}\n")
    print(columns("figure", "measured", "target", "met"))
    for name in chosen:
        started = time.monotonic()
        for figure in importlib.import_module(f"bench_{name}").figures():
            print(table_row(figure), flush=True)
        print(f"  [{name}: {time.monotonic() - started:.0f} s]", file=sys.stderr)


if __name__ == "__main__":
    main()
