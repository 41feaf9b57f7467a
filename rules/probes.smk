# Inputs of probes: videos that cannot answer a question, in evaluation and while a run trains.
PROBED = "aabb_none"
"""Regions that probes drown or leave out: the whole of an object, its hidden parts too."""


def probes_objects(benchmark):
    """Return whether a probe of the study needs regions of objects, which the study's own scans have."""
    return asks_own_scans(benchmark) and bool(set(PROBES_OF_OBJECTS) & set(study.evaluation.probes))


def probe_scene_tables(kind):
    """Input function: tables of the scans whose objects are drowned or left out."""
    return lambda wildcards: scene_tables(kind) if probes_objects(wildcards.benchmark) else []


TESTED = [name for name, each in study.datasets.items() if each.splits.test]
"""Datasets with test splits, which the questions of `questions/test.parquet` are about."""


def training_probes(wildcards):
    """Questions that a run is probed with: the study's own test questions; without them those of its training table.

    An input of every training, probed or not: with another set of inputs Snakemake would start finished ones again.
    """
    return "<results>/questions/test.parquet" if TESTED else []


def makes_probed_regions():
    """Return whether a selected run or an evaluation reads the regions that probes drown: training makes none for its
    probes alone."""
    perturbed = any(RUNS[run].regions == PROBED for run in trained(study.runs.select))
    return perturbed or any(map(probes_objects, study.evaluation.benchmarks))


def training_probe_tables(kind):
    """Input function: tables of the scans whose objects the probes of a run drown."""

    def paths(wildcards):
        return scene_tables(kind, TESTED or None) if makes_probed_regions() else []

    return paths


def probe_table(wildcards):
    """Black frames need no table, unless only a share of the questions is asked with them."""
    asked = set(study.evaluation.probes) - ({"black"} if study.evaluation.probe_share == 1 else set())
    return f"<results>/benchmarks/{wildcards.benchmark}/probes.parquet" if asked else []
