"""Arms of a study: runs of GRPO that differ by seed alone, named ARM_SEED in the run table, such as vanilla_0."""

from __future__ import annotations

from collections.abc import Mapping

from rollout3d.config.problems import ConfigError
from rollout3d.config.runs import Run

BASELINE = "vanilla"
"""Arm with which the others are compared."""
PILOT = "pilot"
"""Arm of the baseline with other seeds, which tells what the study can detect before the others are trained."""


def arms_of(runs: Mapping[str, Run]) -> dict[str, list[str]]:
    """Return arm -> names of its runs by seed, in the order of the run table; empty if no run has the name of an arm.

    Raises ConfigError where runs of an arm differ by more than their seed; where the pilot is not the baseline, or
    shares a seed with it; where another arm has other seeds than the baseline; and where either of the two is missing.
    """
    found: dict[str, dict[int, str]] = {}
    for name, run in runs.items():
        arm, _, seed = name.rpartition("_")
        if run.method == "grpo" and arm and seed == str(run.seed):
            found.setdefault(arm, {})[run.seed] = name
    found = {arm: dict(sorted(of.items())) for arm, of in found.items() if len(of) > 1}
    if not {BASELINE, PILOT} & set(found):
        return {}
    problems = [f"the run table has no arm {arm}: add runs {arm}_SEED" for arm in (BASELINE, PILOT) if arm not in found]
    if problems:
        raise ConfigError(problems)
    for arm, of in found.items():
        if any(_settings(runs[name]) != _settings(runs[next(iter(of.values()))]) for name in of.values()):
            problems.append(f"runs {', '.join(of.values())} of arm {arm} differ by more than their seed")
        elif arm != PILOT and list(of) != list(found[BASELINE]):
            problems.append(
                f"arm {arm} has the seeds {list(of)}, {BASELINE} {list(found[BASELINE])}: pairs need the same"
            )
    pilot, baseline = found[PILOT], found[BASELINE]
    if _settings(runs[next(iter(pilot.values()))]) != _settings(runs[next(iter(baseline.values()))]):
        problems.append(f"arm {PILOT} differs from {BASELINE} by more than its seeds")
    if set(pilot) & set(baseline):
        problems.append(f"arm {PILOT} shares the seeds {sorted(set(pilot) & set(baseline))} with {BASELINE}")
    if problems:
        raise ConfigError(problems)
    return {arm: list(of.values()) for arm, of in found.items()}


def _settings(run: Run) -> dict:
    return run.model_dump(exclude={"run", "seed", "tables"})
