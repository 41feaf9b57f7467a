"""Check everything that a run needs without starting a job, with Snakemake's options and targets.

Takes the arguments of Snakemake, such as `rollout3d preflight --profile slurm all`. Snakemake works out the jobs,
and their data, models, environments, API key, GPUs or partitions and disk space are checked, as at the start of every
real run. Prints all problems with their remedies. Exit status: 0 = the jobs can run, 1 = problems.

With `--sdm conda`, environments that are missing are made first, because their packages are checked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rollout3d.preflight import VARIABLE

PLACES = ("--cores", "-c", "--jobs", "-j", "--profile", "--workflow-profile", "--executor", "-e")
"""Options that decide where jobs run; without one they run on this machine."""


def main(argv: list[str] | None = None) -> None:
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return
    arguments = [word for word in given if word not in ("-n", "--dry-run", "--dryrun")]
    if not any(word.split("=")[0] in PLACES for word in arguments):
        arguments = ["--cores", "all", *arguments]
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        # A run that computes right now keeps its lock: nothing is written here.
        run = subprocess.run(
            [sys.executable, "-m", "snakemake", "--nolock", *arguments],
            env={**os.environ, VARIABLE: str(result)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if result.exists():
            found = json.loads(result.read_text())
            print(found["text"])
            raise SystemExit(1 if found["stops"] else 0)
    if run.returncode:
        print(run.stdout, file=sys.stderr)
        raise SystemExit(1)
    print("Preflight: nothing to be done.")


if __name__ == "__main__":
    main()
