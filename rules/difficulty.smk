# Which questions are hard: four settings of the filter model (OCR, Table 1), and 8 answers each (SpaceR, section 5.2).
# GPU time is costly: answers are kept while they are made, and finished tables come back from the store.
rule difficulty:
    input:
        questions=difficulty_questions,
        frames=scene_tables("frames"),
        maps=difficulty_maps,
        model=difficulty_model,
    output:
        predictions="<results>/difficulty/{setting}/{shard}.parquet",
    log:
        "<logs>/difficulty/{setting}.{shard}.log",
    benchmark:
        "<benchmarks>/difficulty/{setting}.{shard}.tsv"
    conda:
        model_env()
    threads: gpu_threads("difficulty")
    resources:
        **gpu_job("difficulty"),
    params:
        n_shards=study.generation.shards,
        recipe=difficulty_recipe,
    shell:
        "python -m rollout3d.stages.difficulty --config {params.recipe:q} --setting {wildcards.setting}"
        " --shard {wildcards.shard} --n-shards {params.n_shards:q} --questions {input.questions:q}"
        " --frames {input.frames:q} --maps {input.maps:q} --model {input.model:q} --out {output.predictions:q} > {log:q} 2>&1"


rule select_hard:
    input:
        questions="<results>/train/ocr_rl.parquet",
        frames2=difficulty_tables("frames2"),
        frames16=difficulty_tables("frames16"),
        frames16_bev=difficulty_tables("frames16_bev"),
        frames16_grpo=difficulty_tables("frames16_grpo"),
    output:
        hard="<results>/difficulty/hard.parquet",
    log:
        "<logs>/select_hard.log",
    benchmark:
        "<benchmarks>/select_hard.tsv"
    conda:
        "../envs/scenes.yaml"
    shell:
        "python -m rollout3d.stages.select_hard --questions {input.questions:q}"
        " --frames2 {input.frames2:q} --frames16 {input.frames16:q} --frames16-bev {input.frames16_bev:q}"
        " --frames16-grpo {input.frames16_grpo:q} --out {output.hard:q} > {log:q} 2>&1"


# SpaceR's resampled set: questions that the filter model answers rightly at times.
rule resample:
    input:
        questions=f"<results>/train/{scans_table(study)}.parquet",
        predictions=difficulty_tables(SAMPLED),
    output:
        questions="<results>/train/sr_resampled.parquet",
        dropped="<results>/train/sr_resampled_dropped.parquet",
    log:
        "<logs>/resample.log",
    benchmark:
        "<benchmarks>/resample.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=8000,
    shell:
        "python -m rollout3d.stages.resample --questions {input.questions:q} --predictions {input.predictions:q}"
        " --out {output.questions:q} --dropped {output.dropped:q} > {log:q} 2>&1"
