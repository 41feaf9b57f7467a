# Benchmarks and scores. Predictions cost GPU time: their inputs are ancient. To predict again: -R evaluate.
rule prepare_benchmark:
    input:
        test=benchmark_questions,
        scenes=benchmark_frames,
        code=stage_code("prepare_benchmark"),
    output:
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        frames="<results>/benchmarks/{benchmark}/frames.parquet",
    log:
        "<logs>/prepare_benchmark/{benchmark}.log",
    benchmark:
        "<benchmarks>/prepare_benchmark/{benchmark}.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        config=stage_config("prepare_benchmark"),
    shell:
        "python -m rollout3d.stages.prepare_benchmark --config {params.config:q} --benchmark {wildcards.benchmark}"
        " --questions {input.test} --frames {input.scenes}"
        " --out-questions {output.questions} --out-frames {output.frames} > {log} 2>&1"


rule evaluate:
    input:
        model=ancient(run_model),
        questions=ancient("<results>/benchmarks/{benchmark}/questions.parquet"),
        frames=ancient("<results>/benchmarks/{benchmark}/frames.parquet"),
    output:
        predictions="<results>/eval/{run}/{benchmark}/predictions.parquet",
    log:
        "<logs>/evaluate/{run}.{benchmark}.log",
    benchmark:
        "<benchmarks>/evaluate/{run}.{benchmark}.tsv"
    wildcard_constraints:
        run="|".join(RUNS),
    conda:
        model_env(study.evaluation.backend)
    threads: study.torch_threads
    resources:
        gpu=gpus(1),
        mem_mb=64000,
        runtime=480,
    params:
        config=stage_config("evaluate"),
        method=run_method,
    shell:
        "python -m rollout3d.stages.evaluate --config {params.config:q} --run {wildcards.run}"
        " --method {params.method} --benchmark {wildcards.benchmark} --model {input.model}"
        " --questions {input.questions} --frames {input.frames} --out {output.predictions} > {log} 2>&1"


rule score:
    input:
        predictions="<results>/eval/{run}/{benchmark}/predictions.parquet",
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        train="<results>/train/ocr_rl.parquet",
        code=stage_code("score"),
    output:
        scores="<results>/eval/{run}/{benchmark}/scores.parquet",
    log:
        "<logs>/score/{run}.{benchmark}.log",
    benchmark:
        "<benchmarks>/score/{run}.{benchmark}.tsv"
    wildcard_constraints:
        run="|".join(RUNS),
    conda:
        "../envs/scenes.yaml"
    params:
        config=stage_config("score"),
    shell:
        "python -m rollout3d.stages.score --config {params.config:q} --run {wildcards.run}"
        " --benchmark {wildcards.benchmark} --predictions {input.predictions} --questions {input.questions}"
        " --train {input.train} --out {output.scores} > {log} 2>&1"
