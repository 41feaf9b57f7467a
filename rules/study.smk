# A study of arms that differ by their rollouts: what it can detect, stated from a pilot, and its table. Only run tables with
# arms have one (rollout3d/config/arms.py).
rule study_design:
    input:
        predictions=of_arms(True, "predictions"),
        claims=of_arms(True, "claims"),
        questions=study_questions,
        runs=RUN_TABLE,
    output:
        table="<results>/report/study_design.parquet",
    log:
        "<logs>/study_design.log",
    benchmark:
        "<benchmarks>/study_design.tsv"
    conda:
        "../envs/scenes.yaml"
    params:
        kept=kept_names,
        recipes=recipes_of(RUNS),
    shell:
        "python -m rollout3d.stages.study_table --predictions {input.predictions:q} --questions {input.questions:q}"
        " --claims {input.claims:q} --kept {params.kept:q} --recipes {params.recipes:q}"
        " --out {output.table:q} > {log:q} 2>&1"


rule study_table:
    input:
        predictions=of_arms(False, "predictions"),
        claims=of_arms(False, "claims"),
        rollouts=rollouts_of_arms,
        questions=study_questions,
        design="<results>/report/study_design.parquet",
        runs=RUN_TABLE,
    output:
        table="<results>/report/study.parquet",
    log:
        "<logs>/study_table.log",
    benchmark:
        "<benchmarks>/study_table.tsv"
    conda:
        "../envs/scenes.yaml"
    params:
        kept=kept_names,
        recipes=recipes_of(RUNS),
    shell:
        "python -m rollout3d.stages.study_table --predictions {input.predictions:q} --questions {input.questions:q}"
        " --claims {input.claims:q} --rollouts {input.rollouts:q} --design {input.design:q} --kept {params.kept:q} --recipes {params.recipes:q}"
        " --out {output.table:q} > {log:q} 2>&1"


rule study:
    input:
        "<results>/report/study.parquet",
    localrule: True
