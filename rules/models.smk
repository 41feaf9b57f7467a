# Models that training starts from: named ones are described, the presets' small one is trained from scratch.
rule describe_model:
    output:
        model="<results>/models/{key}/model.json",
    log:
        "<logs>/describe_model/{key}.log",
    benchmark:
        "<benchmarks>/describe_model/{key}.tsv"
    wildcard_constraints:
        key=models_where(tiny=False),
    conda:
        "../envs/train.yaml"
    params:
        config=stage_config("describe_model"),
    shell:
        "python -m rollout3d.stages.describe_model --config {params.config:q} --key {wildcards.key}"
        " --out {output.model} > {log} 2>&1"


rule train_base_model:
    input:
        code=stage_code("train_base_model"),
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
        config=stage_config("train_base_model"),
        name=lookup("{key}", within={k: m.name for k, m in study.models.items()}),
        out=subpath(output.model, parent=True),
    shell:
        "python -m rollout3d.stages.train_base_model --config {params.config:q} --name {params.name:q}"
        " --out-dir {params.out} > {log} 2>&1"
