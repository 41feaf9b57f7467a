# Resources that jobs request: functions, because they depend on the site's environment, on the attempt, and on whether
# a job computes its result or only puts a stored one in place.
from rollout3d import cluster as sites

try:
    SITE = sites.from_environment()
except ValueError as error:
    raise WorkflowError(f"site settings: {error}")


def gpu_resources(rule, name, wildcards, input, attempt):
    """Value of one resource of a GPU rule's job (rollout3d.cluster.RESOURCES); None if it is not requested."""
    small = any(model.small for model in study.models.values())
    return sites.gpu_resource(
        SITE, rule, name, small=small, attempt=attempt, restorable=restorable(rule, wildcards, input)
    )


def gpu_job(rule):
    """All resources of a GPU rule, by name: functions that Snakemake calls for each job and attempt."""

    def resource(name):
        return lambda wildcards, input, attempt: gpu_resources(rule, name, wildcards, input, attempt)

    return {name: resource(name) for name in sites.RESOURCES}


def gpu_threads(rule):
    """Threads of a GPU rule's job: those of torch, one if it only puts a stored result in place."""
    return lambda wildcards, input: 1 if restorable(rule, wildcards, input) else study.torch_threads


def fit_to_site(rules):
    """Let the memory of CPU jobs grow with each attempt, and keep memory and time within the site's limits."""
    for each in rules:
        if each.name in sites.GPU_JOBS or each.norun:
            continue
        mem_mb, runtime = each.resources.get("mem_mb"), each.resources.get("runtime")
        if not mem_mb.is_evaluable() and mem_mb.value:
            each.resources["mem_mb"] = growing(mem_mb.value)
        if not runtime.is_evaluable() and runtime.value:
            each.resources["runtime"] = sites.capped(runtime.value, SITE.cpu_max_runtime)


def growing(mem_mb):
    return lambda wildcards, attempt: sites.grown(mem_mb, attempt, SITE.cpu_max_mem_mb)
