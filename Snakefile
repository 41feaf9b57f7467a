# rollout3d: from raw 3D scans to a video model that reasons about space.
# The study at a glance. Rules say how stages connect (rules/), stages do the work (workflow/rollout3d/stages/).
from snakemake.utils import min_version

min_version("9.19")


configfile: workflow.source_path("config/config.yaml")


include: "rules/common.smk"
include: "rules/resources.smk"
include: "rules/environment.smk"
include: "rules/preflight.smk"
include: "rules/inputs.smk"
include: "rules/probes.smk"
include: "rules/analyses.smk"


pathvars:
    results=study.results,
    logs=f"{study.results}/logs",
    benchmarks=f"{study.results}/benchmarks",


wildcard_constraints:
    dataset="|".join(study.datasets),
    shard=r"\d+",
    setting="|".join((*SETTINGS, SAMPLED)),
    mode="aabb_none|aabb_depth|instance_none|instance_depth",
    benchmark="|".join(doors.BENCHMARKS.names),


report: "workflow/report/workflow.rst"


rule all:
    input:
        "<results>/report/index.html",
    localrule: True


# The stages, in the order of the data.
include: "rules/toyworld.smk"
include: "rules/ingest.smk"
include: "rules/questions.smk"
include: "rules/external.smk"
include: "rules/models.smk"
include: "rules/difficulty.smk"
include: "rules/cot.smk"
include: "rules/sft.smk"
include: "rules/grpo.smk"
include: "rules/evaluate.smk"
include: "rules/claims.smk"
include: "rules/report.smk"
include: "rules/study.smk"
# What of all this is current: identities, the store, what the user keeps.
include: "rules/lineage.smk"


fit_to_site(own_rules())
choose_interpreters(own_rules())
run_at_start(before_first_job)
