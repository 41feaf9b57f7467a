# Which questions are hard: four settings of the filter model (OCR, Table 1).
# GPU time is precious: inputs are ancient, so a rewrite upstream never retriggers these jobs. To redo them: -R difficulty.
rule difficulty:
    input:
        questions=ancient("<results>/train/ocr_rl.parquet"),
        frames=ancient(scene_tables("frames")),
        maps=ancient(scene_tables("maps")),
        model=ancient(difficulty_model),
    output:
        predictions="<results>/difficulty/{setting}/{shard}.parquet",
    log:
        "<logs>/difficulty/{setting}.{shard}.log",
    benchmark:
        "<benchmarks>/difficulty/{setting}.{shard}.tsv"
    conda:
        model_env(study.difficulty.backend)
    threads: study.torch_threads
    resources:
        gpu=gpus(1),
        mem_mb=64000,
        runtime=720,
    params:
        config=stage_config("difficulty"),
        n_shards=study.difficulty.shards,
    shell:
        "python -m rollout3d.stages.difficulty --config {params.config:q} --setting {wildcards.setting}"
        " --shard {wildcards.shard} --n-shards {params.n_shards} --questions {input.questions}"
        " --frames {input.frames} --maps {input.maps} --model {input.model} --out {output.predictions} > {log} 2>&1"


rule select_hard:
    input:
        questions="<results>/train/ocr_rl.parquet",
        frames2=difficulty_tables("frames2"),
        frames16=difficulty_tables("frames16"),
        frames16_bev=difficulty_tables("frames16_bev"),
        frames16_grpo=difficulty_tables("frames16_grpo"),
        code=stage_code("select_hard"),
    output:
        hard="<results>/difficulty/hard.parquet",
    log:
        "<logs>/select_hard.log",
    benchmark:
        "<benchmarks>/select_hard.tsv"
    conda:
        "../envs/scenes.yaml"
    params:
        config=stage_config("select_hard"),
    shell:
        "python -m rollout3d.stages.select_hard --config {params.config:q} --questions {input.questions}"
        " --frames2 {input.frames2} --frames16 {input.frames16} --frames16-bev {input.frames16_bev}"
        " --frames16-grpo {input.frames16_grpo} --out {output.hard} > {log} 2>&1"
