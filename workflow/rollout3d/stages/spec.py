"""Declaration of what decides a stage's result, and the scope that names one of its jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rollout3d.config import Config, Run, question_types


@dataclass(frozen=True)
class Scope:
    """One job of a stage, by the wildcards of its rule. None where the stage has no such wildcard."""

    dataset: str | None = None
    mode: str | None = None
    source: str | None = None
    key: str | None = None
    setting: str | None = None
    benchmark: str | None = None
    table: str | None = None
    shard: int | None = None
    n_shards: int | None = None
    """Default: the configuration's."""
    run_name: str | None = None
    run: Run | None = None
    """Row of the run; None where the stage needs its name only."""


WILDCARDS = ("dataset", "mode", "source", "key", "setting", "benchmark", "table")
"""Fields of `Scope` that are wildcards of rules as they are."""


Keys = Callable[[Config, Scope], tuple[str, ...]]


def types_named(config: Config) -> tuple[str, ...]:
    """Return the question types that have questions by default, and those that a configuration names."""
    return question_types.asked([*config.questions.caps, *config.external.spatial_types])


def no_types(config: Config) -> tuple[str, ...]:
    """Return no question type: for a stage that imports code of theirs, and runs none of it."""
    return ()


@dataclass(frozen=True)
class Spec:
    """`keys`: the configuration keys that a job reads, as patterns of `config.keys.values`. `row`: fields of the run's
    row that decide the result. `prompts`: files of resources/prompts whose text enters a model's prompt. `costly`: the
    result costs GPU hours or dollars, so it is kept in the store and a change of code alone does not recompute it."""

    keys: Keys = lambda config, scope: ()
    row: Callable[[Run], tuple[str, ...]] = lambda run: ()
    prompts: Callable[[Config, Scope], tuple[str, ...]] = lambda config, scope: ()
    shards: Callable[[Config, Scope], int] | None = None
    """Number of shards, for a stage whose jobs work on one each; the shard decides the result too."""
    stores: Callable[[Config, Scope], set[str]] | None = None
    """Frame sets that it stores where `--sets` names none, for a stage that stores frames or rows about them."""
    reads: Callable[[Config, Scope], Mapping[str, str | tuple[str, ...]]] = lambda config, scope: {}
    """Input whose rows belong to frame sets -> the set or sets that it reads; of other inputs all rows count."""
    question_types: Callable[[Config], tuple[str, ...]] | None = types_named
    """Question types whose files a job may load, of the stages that load any; None: those of its input."""
    beside: tuple[str, ...] = ()
    """Inputs of its rule that decide nothing of its result, such as what training measures besides: they are no
    parents, so that other ones make no result stale."""
    costly: bool = False
    configuration: type[Config] = Config
    """Model that the stage reads the configuration with: another package's has the sections of that package."""
