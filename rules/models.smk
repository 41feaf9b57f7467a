# Models that training starts from: named ones are described, the presets' small one is trained from scratch.
rule describe_model:
    output:
        model="<results>/models/{key}/model.json",
        raw="<results>/models/{key}/raw_files.parquet",
    log:
        "<logs>/describe_model/{key}.log",
    benchmark:
        "<benchmarks>/describe_model/{key}.tsv"
    wildcard_constraints:
        key=models_where(tiny=False),
    conda:
        "../envs/train.yaml"
    shell:
        "python -m rollout3d.stages.describe_model --key {wildcards.key}"
        " --out {output.model:q} --raw {output.raw:q} > {log:q} 2>&1"


rule train_base_model:
    output:
        model="<results>/models/{key}/model.json",
        metrics="<results>/models/{key}/metrics.parquet",
    log:
        "<logs>/train_base_model/{key}.log",
    benchmark:
        "<benchmarks>/train_base_model/{key}.tsv"
    wildcard_constraints:
        key=models_where(tiny=True),
    conda:
        "../envs/train.yaml"
    threads: study.base_model.processes
    resources:
        mem_mb=4000,
    params:
        out=subpath(output.model, parent=True),
    shell:
        "python -m toyworld.stages.train_base_model --key {wildcards.key}" " --out-dir {params.out:q} > {log:q} 2>&1"
