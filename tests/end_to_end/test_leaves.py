"""Every leaf of the configuration: what it marks is what can change, by the keys that jobs were seen to read."""

from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

import pytest

from rollout3d import config as configuration
from rollout3d.config.base import plain
from rollout3d.config.keys import has_effect, leaves
from rollout3d.config.read import read_study
from rollout3d.config.sections import Section
from rollout3d.stages import registry
from rollout3d.study import Study, dump
from toyworld import stages as _registered  # noqa: F401  the toy world's stages are jobs of the study
from toyworld.settings import StudyConfig

pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(1200)]

SHAPE = ("results", "keep", "rebuild", "site.", "runs.", "evaluation.benchmarks", "generation.shards")
SHAPE += ("difficulty.run", "difficulty.model", "models.", "datasets.")
"""Leaves that decide which jobs there are or what is done with results; tests of their own look at them."""

UNREAD = {
    "grpo.ablation.kl": "no group of tiny's few rollouts need teach",
    "grpo.ablation.loss": "no group of tiny's few rollouts need teach",
    "video.image_max_pixels": "read where pictures are shown: the BEV setting, general data",
    "video.min_pixels": "read where pictures are shown, too",
    "grpo.ablation.grad_rollouts": "read where altered rollouts may teach, and in an update",
}
"""Leaves that a job declares and that tiny may not read, with the reason."""


@pytest.fixture(scope="module")
def graph(finished):
    import os
    from pathlib import Path

    before = Path.cwd()
    os.chdir(finished.folder)
    try:
        return dump.load(["--configfile", "config/presets/tiny.yaml"])
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def tiny_config(finished):
    import os
    from pathlib import Path

    before = Path.cwd()
    os.chdir(finished.folder)
    try:
        study = read_study([], [Path("config/presets/tiny.yaml")], model=StudyConfig)
        return study, configuration.read_runs(study.runs.table, study)
    finally:
        os.chdir(before)


GIVEN = ("job.kept", "job.sets", "job.recipes")
"""Values of a job that its rule works out from the run table."""


def place(job) -> tuple:
    """What tells a job from the others of its stage."""
    return job.stage, *sorted((k, str(v)) for k, v in job.values.items() if k.startswith("job."))


def scope_of(job, runs) -> registry.Scope:
    given = {k.removeprefix("job."): v for k, v in job.values.items() if k.startswith("job.") and k not in GIVEN}
    shard, n_shards = given.pop("shard", (None, None))
    run = given.pop("run", None)
    return registry.Scope(**given, shard=shard, n_shards=n_shards, run_name=run, run=runs.get(run))


def names_of(given: Any) -> list[str]:
    """The names that a type made by `config.names.name_in` allows, wherever it stands in an annotation."""
    extra = getattr(given, "json_schema_extra", None)
    if isinstance(extra, dict) and "enum" in extra:
        return list(extra["enum"])
    parts = (*getattr(given, "__metadata__", ()), *getattr(given, "metadata", ()), *get_args(given))
    return next((found for part in parts if (found := names_of(part))), [])


def another(section: Section, name: str) -> Any:
    """Another value of a leaf, of its type."""
    field = type(section).model_fields[name]
    value, annotation = vars(section)[name], plain(field.annotation)
    if other := [each for each in names_of(field) or names_of(field.annotation) if each != value]:
        if isinstance(value, dict):
            return {**value, other[-1]: 1}
        return [*value, next(each for each in other if each not in value)] if isinstance(value, list) else other[0]
    if get_origin(annotation) is Literal:
        return next(each for each in get_args(annotation) if each != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, dict):
        return {**value, "another": 1}
    return [*value, "another"] if isinstance(value, list | tuple) else "another"


def changed(config: Section, key: str) -> Section:
    """A copy of the configuration with another value at one leaf, whether or not it is a sensible one."""
    head, _, rest = key.partition(".")
    copy = config.model_copy()
    value = vars(config)[head]
    if not rest:
        vars(copy)[head] = another(config, head)
    elif isinstance(value, dict):
        name, _, below = rest.partition(".")
        vars(copy)[head] = {**value, name: changed(value[name], below)}
    else:
        vars(copy)[head] = changed(value, rest)
    return copy


def values_of(job, config, runs) -> dict[str, Any]:
    own = registry.split(registry.job_values(job.stage, config, scope_of(job, runs)))[0]
    return own | {key: job.values[key] for key in GIVEN[1:] if key in job.values}


def marked(graph, before, config, runs) -> set[str]:
    """Jobs whose wanted identity differs under `config` from that in the study `before`."""
    jobs = {job.name: replace(job, values=values_of(job, config, runs)) for job in graph.jobs}
    by_path = {path: jobs[job.name] for job in graph.jobs for path in job.outputs}
    new = Study(by_path.get)
    return {name for name in jobs if new.wanted(name) != before.wanted(name)}


@pytest.fixture(scope="module")
def before(graph) -> Study:
    """The study as it is, whose identities those of a changed one are compared with."""
    jobs = {
        job.name: replace(job, values={k: v for k, v in job.values.items() if k != "job.kept"}) for job in graph.jobs
    }
    return Study({path: jobs[job.name] for job in graph.jobs for path in job.outputs}.get)


def below(graph, names: set[str]) -> set[str]:
    """Those jobs and all that rest on them."""
    found = set(names)
    for job in graph.jobs:  # parents first
        parents = {graph.study.job(p).name for paths in job.parents.values() for p in paths if graph.study.job(p)}
        if parents & found:
            found.add(job.name)
    return found


def test_every_leaf_marks_the_jobs_that_read_it_and_all_below_them(graph, before, tiny_config, reads):
    config, runs = tiny_config
    read_by: dict[str, set[tuple]] = {}
    for read in reads:
        read_by.setdefault(read["key"], set()).add(
            (read["stage"], *sorted((k, str(v)) for k, v in read["job"].items()))
        )
    tested, wrong = 0, []
    for key, _ in leaves(config):
        if key.startswith(SHAPE):
            continue
        readers = read_by.get(key, set())
        own = {job.name for job in graph.jobs if place(job) in readers} if has_effect(key) else set()
        expected, found = below(graph, own), marked(graph, before, changed(config, key), runs)
        if key == "prompts.think":  # the digest beside the name stands for the text
            expected |= found
        if expected - found:
            wrong.append(f"{key}: read by {sorted(expected - found)[:3]}, which it does not mark")
        if found - expected and key not in UNREAD:
            wrong.append(f"{key}: marks {sorted(found - expected)[:3]}, which never read it")
        tested += 1
    assert not wrong and tested > 100, "\n".join(wrong)


def test_jobs_are_told_apart_and_every_recorded_one_is_in_the_graph(graph, reads):
    places = [place(job) for job in graph.jobs]
    assert len(set(places)) == len(places)
    seen = {(read["stage"], *sorted((k, str(v)) for k, v in read["job"].items())) for read in reads}
    assert seen - set(places) == set()


def test_the_lineage_of_every_file_names_all_inputs_of_its_job(graph, finished):
    from rollout3d import tables

    for job in graph.jobs:
        for path in job.outputs:
            about = tables.lineage(finished.folder / path)
            assert set(job.parents) <= set(about["parents"]), path
            assert about["stage"] == job.stage and about["values"] == job.values, path


def test_shards_and_models_decide_results_too(graph, before, tiny_config):
    config, runs = tiny_config
    for key in ("datasets.scannet.shards", "datasets.scannet.splits.train", "models.base.name"):
        assert marked(graph, before, changed(config, key), runs), key
    assert not marked(graph, before, changed(config, "rebuild"), runs)
