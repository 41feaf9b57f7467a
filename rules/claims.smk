# Objects that thoughts name, and whether question and scene have them: of the answers to benchmarks, and of the rollouts of
# GRPO. Both are one stage.
rule claims:
    input:
        predictions="<results>/eval/{run}/{benchmark}/predictions.parquet",
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        scenes=claimed_scenes,
    output:
        claims="<results>/eval/{run}/{benchmark}/claims.parquet",
        shares="<results>/eval/{run}/{benchmark}/claim_shares.parquet",
    log:
        "<logs>/claims/{run}.{benchmark}.log",
    benchmark:
        "<benchmarks>/claims/{run}.{benchmark}.tsv"
    wildcard_constraints:
        run="|".join(RUNS),
    conda:
        "../envs/scenes.yaml"
    shell:
        "python -m rollout3d.stages.claims --run {wildcards.run} --benchmark {wildcards.benchmark}"
        " --predictions {input.predictions:q} --questions {input.questions:q} --scenes {input.scenes:q}"
        " --out {output.claims:q} --shares {output.shares:q} > {log:q} 2>&1"


rule rollout_claims:
    input:
        rollouts="<results>/runs/{run}/rollouts.parquet",
        questions=train_table,
        scenes=scene_tables("scenes"),
    output:
        claims="<results>/runs/{run}/claims.parquet",
        shares="<results>/runs/{run}/claim_shares.parquet",
    log:
        "<logs>/claims/{run}.log",
    benchmark:
        "<benchmarks>/claims/{run}.tsv"
    wildcard_constraints:
        run="|".join(name for name, each in RUNS.items() if each.method == "grpo") or "(?!)",
    conda:
        "../envs/scenes.yaml"
    shell:
        "python -m rollout3d.stages.claims --run {wildcards.run} --rollouts {input.rollouts:q}"
        " --questions {input.questions:q} --scenes {input.scenes:q}"
        " --out {output.claims:q} --shares {output.shares:q} > {log:q} 2>&1"
