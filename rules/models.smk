# Models that training starts from. The presets' small one is trained by rules/toyworld.smk.
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
