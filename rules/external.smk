# Training files that others released. The files are no inputs, as the scans are not: a dry run has none. To import one
# again: -R import_cot.
rule import_cot:
    input:
        code=stage_code("import_cot"),
    output:
        samples="<results>/train/video_r1_cot.parquet",
        dropped="<results>/train/video_r1_cot_dropped.parquet",
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
        config=stage_config("import_cot"),
    shell:
        "python -m rollout3d.stages.import_cot --config {params.config:q} --threads {threads}"
        " --out {output.samples} --dropped {output.dropped} > {log} 2>&1"
