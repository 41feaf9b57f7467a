"""Keys of the configuration as dotted names, and configurations that hold only some of them.

A key is a leaf: a value of a section (`video.train_frames`), or of a named section inside a dictionary
(`models.base.name`); a dictionary of plain values (`questions.per_scene`) is one leaf. A stage is given a configuration
narrowed to the keys that it declares, so that reading another one is an error and not a silent dependency.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from fnmatch import fnmatchcase, translate
from functools import cache
from itertools import chain
from typing import Any, TypeVar

from rollout3d.config.former import CONSTANTS, HELD, ONE_OF, identity_name, present_name
from rollout3d.config.question_types import caps
from rollout3d.config.sections import Section

AnySection = TypeVar("AnySection", bound=Section)

NO_EFFECT = (
    "*.deepspeed",
    "*.gradient_checkpointing",
    "*.save_every",
    "*.tracker",
    "*.probe_every",
    "*.probe_questions",
    "*.max_logprob_gap",
    "*.warn_without_update",
    "*.stop_without_update",
    "*.vllm_memory_share",
    "difficulty.batch_size",
    "evaluation.batch_size",
    "generation.batch_size",
    "cot.max_usd",
    "judge.max_usd",
    "api.prices",
    "api.batch",
    "api.concurrency",
    "api.timeout_s",
    "api.request_attempts",
    "api.max_share_failed",
    "external.max_share_dropped",
    "questions.errata",
)
"""Keys that change a result by rounding at most: where and how fast it is computed, how often it is saved, what it may
cost, when a stage gives up; paths of files whose content is a parent; and what training measures beside its result
(`training.probe_every`). They stand in the lineage, not in the identity: changing one makes nothing stale."""


def has_effect(key: str) -> bool:
    """Return whether a change of `key` may change a result by more than rounding."""
    return not any(fnmatchcase(key, pattern) for pattern in NO_EFFECT)


LATER: dict[str, Any] = {
    "evaluation.frame_policy": "uniform",
    "evaluation.probes": [],
    "evaluation.probe_share": 1.0,
    "evaluation.given_map": "none",
    "cot.second_opinion": None,
    "sft.loss": "token_mean",
    "sft.system": None,
    "grpo.kl_of_skipped": False,
    "grpo.mra_thresholds": 10,
    "grpo.ablation.grad_limit": None,
    "questions.rules": "ocr",
}
"""Key that was added later -> value under which a stage does what it did before, as `registry.job_values` has it. With
that value the key stands in the lineage, not in the identity: results that cost GPU hours or dollars stay current."""


def decides(key: str, value: Any) -> bool:
    """Return whether a key with this value belongs to a result's identity."""
    name = identity_name(key)
    return has_effect(key) and not (name in LATER and LATER[name] == value)


def leaves(section: Section, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key below `section` with its value as JSON has it, in the order of the models."""
    for name in type(section).model_fields:
        if name not in vars(section):
            continue  # narrowed away
        value, key = vars(section)[name], f"{prefix}{name}"
        if isinstance(value, Section):
            yield from leaves(value, f"{key}.")
        elif _named_sections(value):
            for item_name, item in value.items():
                yield from leaves(item, f"{key}.{item_name}.")
        else:
            yield key, section.model_dump(mode="json", include={name}, warnings=False)[name]


PER_SCENE = "questions.per_scene"
"""Key that holds only what differs from defaults in the code. Identities hold all caps, so that a changed default
changes them."""


def values(section: Section, patterns: Collection[str]) -> dict[str, Any]:
    """Return the keys that match any of `patterns` (`grpo.lr`, `datasets.*.splits.*`) with their values.

    Patterns may use the name that a moved key has in identities; a key that several former ones have become
    (`former.SHARED`) is returned by the former name that a pattern uses. Former keys that are constants now have their
    values (`former.CONSTANTS`), those that are gone have what identities hold (`former.HELD`), and
    `questions.per_scene` has all caps.

    Raises KeyError for a pattern without a wildcard that names no key.
    """
    own = [pattern for pattern in patterns if pattern in ONE_OF]
    patterns = [present_name(pattern) for pattern in patterns if pattern not in ONE_OF]
    former = ((key, constant.value) for key, constant in CONSTANTS.items())
    every, matches = dict(chain(_leaves(section), former, HELD.items())), _any_of(tuple(patterns))
    found = {key: value for key, value in every.items() if matches(key)}
    if PER_SCENE in found:
        found[PER_SCENE] = caps(found[PER_SCENE])
    for name in own:
        found.pop(ONE_OF[name], None)  # where a wildcard names it, too
    found |= {name: every[ONE_OF[name]] for name in own if ONE_OF[name] in every}
    unknown = [p for p in (*patterns, *own) if "*" not in p and p not in found]
    if unknown:
        raise KeyError(f"no such keys of the configuration: {', '.join(unknown)}")
    return found


_LISTED: list[tuple[Section, list[tuple[str, Any]]]] = []


def _leaves(section: Section) -> list[tuple[str, Any]]:
    """`leaves` of a section, which does not change: all stages read the same configuration, one after the other."""
    if not (_LISTED and _LISTED[0][0] is section):
        _LISTED[:] = [(section, list(leaves(section)))]
    return _LISTED[0][1]


@cache
def _any_of(patterns: tuple[str, ...]) -> Callable[[str], object]:
    """A function of a key that is true if any pattern matches it."""
    return re.compile("|".join(map(translate, patterns)) if patterns else r"(?!)").match


def narrow(section: AnySection, keys: Collection[str], prefix: str = "") -> AnySection:
    """Return a copy of `section` that holds only `keys`; reading another key raises UndeclaredKey.

    `keys` may have former names of keys that are one now (`former.SHARED`).
    """
    keys = {ONE_OF.get(key, key) for key in keys}
    kept: dict[str, Any] = {}
    for name, value in vars(section).items():
        key = f"{prefix}{name}"
        if key in keys:
            kept[name] = value
        elif not any(k.startswith(f"{key}.") for k in keys):
            continue
        elif isinstance(value, Section):
            kept[name] = narrow(value, keys, f"{key}.")
        elif _named_sections(value):
            kept[name] = {
                item_name: narrow(item, keys, f"{key}.{item_name}.")
                for item_name, item in value.items()
                if any(k.startswith(f"{key}.{item_name}.") for k in keys)
            }
    narrowed = type(section).model_construct(**kept)
    for name in set(vars(narrowed)) - set(kept):
        del vars(narrowed)[name]  # model_construct fills in defaults
    return narrowed


def _named_sections(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(item, Section) for item in value.values())
