# Questions and training files that others released. The files are no inputs, as the scans are not: a dry run has none. To import one
# again: -R import_cot, or -R import_questions.
rule import_cot:
    output:
        samples="<results>/train/video_r1_cot.parquet",
        dropped="<results>/train/video_r1_cot_dropped.parquet",
        raw="<results>/train/video_r1_cot_raw_files.parquet",
    log:
        "<logs>/import_cot.log",
    benchmark:
        "<benchmarks>/import_cot.tsv"
    conda:
        "../envs/scenes.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        sets=own_video_sets,
    shell:
        "python -m rollout3d.stages.import_cot --sets {params.sets:q} --threads {threads}"
        " --out {output.samples:q} --dropped {output.dropped:q} --raw {output.raw:q} > {log:q} 2>&1"


rule import_questions:
    output:
        questions="<results>/questions/external/{source}.parquet",
        dropped="<results>/questions/external/{source}_dropped.parquet",
        raw="<results>/questions/external/{source}_raw_files.parquet",
    log:
        "<logs>/import_questions/{source}.log",
    benchmark:
        "<benchmarks>/import_questions/{source}.tsv"
    wildcard_constraints:
        source="|".join(RELEASED),
    conda:
        "../envs/scenes.yaml"
    threads: 8
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        sets=own_video_sets,
    shell:
        "python -m rollout3d.stages.import_questions --source {wildcards.source} --sets {params.sets:q}"
        " --threads {threads} --out {output.questions:q} --dropped {output.dropped:q} --raw {output.raw:q} > {log:q} 2>&1"


# The API costs money: finished verdicts come back from the store, and paid replies from their cache.
rule judge:
    input:
        questions=judged_questions,
        frames=scene_tables("frames"),
    output:
        verdicts="<results>/questions/external/{source}.verdicts.parquet",
    log:
        "<logs>/judge/{source}.log",
    benchmark:
        "<benchmarks>/judge/{source}.tsv"
    wildcard_constraints:
        source="|".join((*RELEASED, "generated")),
    localrule: SITE.api_local
    conda:
        "../envs/api.yaml"
    resources:
        mem_mb=8000,
        runtime=1440,
    shell:
        "python -m rollout3d.stages.judge --source {wildcards.source} --questions {input.questions:q}"
        " --frames {input.frames:q} --out {output.verdicts:q} > {log:q} 2>&1"
