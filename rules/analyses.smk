# Inputs of what is worked out from answers: the names in thoughts, and the comparison of arms.
def claimed_scenes(wildcards):
    """What is in a benchmark's scenes: the study's own scans, published boxes (VSI-Bench), or raw scans that are ingested
    for their test splits; none where there are neither."""
    benchmark = wildcards.benchmark
    if asks_own_scans(benchmark):
        return scene_tables("scenes")
    if benchmark == "vsibench" and study.site.boxes:
        return ["<results>/benchmarks/vsibench/boxes/scenes.parquet"]
    tested = [name for name, each in study.datasets.items() if each.splits.test]
    return scene_tables("scenes", tested) if tested else []


def answer_claims(kind):
    """Tables of the selected runs' answers to benchmarks: claims or claim_shares."""
    return [
        f"<results>/eval/{run}/{b}/{kind}.parquet" for run in study.runs.select for b in study.evaluation.benchmarks
    ]


def rollout_claims(kind):
    """Tables of the rollouts of the selected runs, and of those they build on."""
    trained_by_rollouts = [run for run in trained(study.runs.select) if RUNS[run].method == "grpo"]
    return [f"<results>/runs/{run}/{kind}.parquet" for run in trained_by_rollouts]


ARMS = configuration.arms_of(RUNS)


def of_arms(pilot, kind):
    """Input function: tables (predictions or claims) of the pilot's runs, or of all other arms, on the first benchmark."""

    def found(wildcards):
        if not ARMS:
            raise refused(f"runs.table: {study.runs.table} has no arms of a study: take config/runs_study.tsv")
        names = [name for arm, runs in ARMS.items() if (arm == configuration.PILOT) == pilot for name in runs]
        return [f"<results>/eval/{name}/{study.evaluation.benchmarks[0]}/{kind}.parquet" for name in names]

    return found


def rollouts_of_arms(wildcards):
    """Tables of the rollouts of all arms but the pilot."""
    return [
        f"<results>/runs/{n}/rollouts.parquet" for a, names in ARMS.items() if a != configuration.PILOT for n in names
    ]


def study_questions(wildcards):
    return [f"<results>/benchmarks/{benchmark}/questions.parquet" for benchmark in study.evaluation.benchmarks[:1]]
