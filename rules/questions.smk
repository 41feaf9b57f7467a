# Scene tables to questions, and questions to the training table (OCR-RL) and the test split.
rule questions:
    input:
        scenes="<results>/scenes/{dataset}/{shard}/scenes.parquet",
        objects="<results>/scenes/{dataset}/{shard}/objects.parquet",
        maps="<results>/scenes/{dataset}/{shard}/maps.parquet",
        code=stage_code("questions"),
    output:
        questions="<results>/questions/{dataset}/{shard}.parquet",
        dropped="<results>/questions/{dataset}/{shard}_dropped.parquet",
    log:
        "<logs>/questions/{dataset}.{shard}.log",
    benchmark:
        "<benchmarks>/questions/{dataset}.{shard}.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        config=stage_config("questions"),
    shell:
        "python -m rollout3d.stages.questions --config {params.config:q}"
        " --scenes {input.scenes} --objects {input.objects} --maps {input.maps} --out {output.questions} --dropped {output.dropped}"
        " > {log} 2>&1"


rule assemble:
    input:
        questions=question_tables() + imported(),
        left_out=imported("_dropped"),
        verdicts=judged(),
        scenes=scene_tables("scenes"),
        benchmarks=released_benchmarks(),
        code=stage_code("assemble"),
    output:
        train="<results>/train/ocr_rl.parquet",
        test="<results>/questions/test.parquet",
        dropped="<results>/train/ocr_rl_dropped.parquet",
        sources="<results>/train/ocr_rl_sources.parquet",
    log:
        "<logs>/assemble.log",
    benchmark:
        "<benchmarks>/assemble.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        config=stage_config("assemble"),
    shell:
        "python -m rollout3d.stages.assemble --config {params.config:q} --questions {input.questions}"
        " --left-out {input.left_out} --verdicts {input.verdicts}"
        " --scenes {input.scenes} --benchmarks {input.benchmarks} --out-train {output.train} --out-test {output.test}"
        " --dropped {output.dropped} --sources {output.sources} > {log} 2>&1"
