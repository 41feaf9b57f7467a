"""Run a stage that answers questions, with slow batches, and kill it: `kill_stage.py STAGE LOG KILLS ARGUMENTS...`.

Children of this process run the stage, so that torch is loaded once. Each is killed with SIGKILL after it has begun
one more batch than the one before, KILLS times; a last one is left alone. Every batch that is begun is a line of LOG.
The exit status is that of the last child.
"""

import importlib
import os
import signal
import sys
import time
from pathlib import Path

from rollout3d.model import generate_hf

SLOW_S = 0.15
"""Length of a batch: the parent sees it begin, and kills while it is computed."""


def child(stage: str, log: Path, arguments: list[str]) -> None:
    plain = generate_hf.generate

    def slow(policy, prompts, sampling, seed=0, keys=None):
        with log.open("a") as file:
            file.write(" ".join(keys) + "\n")
        time.sleep(SLOW_S)
        return plain(policy, prompts, sampling, seed, keys)

    from rollout3d.model import backends

    backends.Batches = lambda: generate_hf.Batches(slow)
    importlib.import_module(f"rollout3d.stages.{stage}").main(arguments)


def lines(log: Path) -> int:
    return len(log.read_text().splitlines()) if log.exists() else 0


def main() -> int:
    stage, log, kills, arguments = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    importlib.import_module("rollout3d.model.backends")
    for kill in range(kills + 1):
        before = lines(log)
        child_id = os.fork()
        if not child_id:
            try:
                child(stage, log, arguments)
            except BaseException:
                import traceback

                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            os._exit(0)
        while kill < kills and lines(log) < before + 1 + kill:
            if os.waitpid(child_id, os.WNOHANG)[0]:
                print("the stage ended before it was killed", file=sys.stderr)
                return 2
            time.sleep(0.01)
        if kill < kills:
            os.kill(child_id, signal.SIGKILL)
        _, status = os.waitpid(child_id, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(main())
