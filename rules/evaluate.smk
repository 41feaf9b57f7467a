# Benchmarks, predictions and scores. Predictions cost GPU time: they resume, and come back from the store.
rule prepare_benchmark:
    input:
        questions=benchmark_questions,
        frames=benchmark_frames,
    output:
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        frames="<results>/benchmarks/{benchmark}/frames.parquet",
        raw="<results>/benchmarks/{benchmark}/raw_files.parquet",
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
        sets=benchmark_sets,
    shell:
        "python -m rollout3d.stages.prepare_benchmark --benchmark {wildcards.benchmark} --sets {params.sets:q}"
        " --questions {input.questions:q} --frames {input.frames:q}"
        " --out-questions {output.questions:q} --out-frames {output.frames:q} --raw {output.raw:q} > {log:q} 2>&1"


# VSI-Bench's published boxes, whose maps stand in for those of scans that are not at hand. Its files are no inputs, as the
# scans are not. To read them again: -R ingest_meta.
rule ingest_meta:
    output:
        scenes="<results>/benchmarks/vsibench/boxes/scenes.parquet",
        objects="<results>/benchmarks/vsibench/boxes/objects.parquet",
        dropped="<results>/benchmarks/vsibench/boxes/scenes_dropped.parquet",
    log:
        "<logs>/ingest_meta.log",
    benchmark:
        "<benchmarks>/ingest_meta.tsv"
    conda:
        "../envs/scenes.yaml"
    params:
        folder=subpath(output.scenes, parent=True),
    shell:
        "python -m rollout3d.stages.ingest_meta --out {params.folder:q} > {log:q} 2>&1"


rule benchmark_maps:
    input:
        scenes="<results>/benchmarks/vsibench/boxes/scenes.parquet",
        objects="<results>/benchmarks/vsibench/boxes/objects.parquet",
    output:
        maps="<results>/benchmarks/vsibench/maps.parquet",
        dropped="<results>/benchmarks/vsibench/maps_dropped.parquet",
    log:
        "<logs>/benchmark_maps.log",
    benchmark:
        "<benchmarks>/benchmark_maps.tsv"
    conda:
        "../envs/scenes.yaml"
    shell:
        "python -m rollout3d.stages.cognitive_maps --scenes {input.scenes:q} --objects {input.objects:q}"
        " --out {output.maps:q} --dropped {output.dropped:q} > {log:q} 2>&1"


# Altered videos, for evaluation.probes.
rule probes:
    input:
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        frames="<results>/benchmarks/{benchmark}/frames.parquet",
        objects=probe_scene_tables("objects"),
        regions=probe_scene_tables(f"regions.{PROBED}"),
    output:
        probes="<results>/benchmarks/{benchmark}/probes.parquet",
    log:
        "<logs>/probes/{benchmark}.log",
    benchmark:
        "<benchmarks>/probes/{benchmark}.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        sets=benchmark_sets,
    shell:
        "python -m rollout3d.stages.probes --benchmark {wildcards.benchmark} --sets {params.sets:q}"
        " --questions {input.questions:q} --frames {input.frames:q} --objects {input.objects:q}"
        " --regions {input.regions:q} --out {output.probes:q} > {log:q} 2>&1"


rule evaluate:
    input:
        model=run_model,
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        frames="<results>/benchmarks/{benchmark}/frames.parquet",
        probes=probe_table,
        objects=probe_scene_tables("objects"),
        regions=probe_scene_tables(f"regions.{PROBED}"),
        maps=given_maps,
        answers=own_answers,
    output:
        predictions="<results>/eval/{run}/{benchmark}/predictions/{shard}.parquet",
    log:
        "<logs>/evaluate/{run}.{benchmark}.{shard}.log",
    benchmark:
        "<benchmarks>/evaluate/{run}.{benchmark}.{shard}.tsv"
    wildcard_constraints:
        run="|".join(RUNS),
    conda:
        model_env()
    threads: gpu_threads("evaluate")
    resources:
        **gpu_job("evaluate"),
    params:
        method=run_method,
        style=run_style,
        n_shards=study.generation.shards,
        recipe=run_recipe,
    shell:
        "python -m rollout3d.stages.evaluate --config {params.recipe:q} --run {wildcards.run}"
        " --method {params.method:q} --style {params.style:q} --benchmark {wildcards.benchmark} --shard {wildcards.shard}"
        " --n-shards {params.n_shards:q} --model {input.model:q}"
        " --questions {input.questions:q} --frames {input.frames:q} --probes {input.probes:q}"
        " --objects {input.objects:q} --regions {input.regions:q} --maps {input.maps:q} --answers {input.answers:q}"
        " --out {output.predictions:q} > {log:q} 2>&1"


rule merge_predictions:
    input:
        predictions=evaluation_shards,
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        probes=probe_table,
    output:
        predictions="<results>/eval/{run}/{benchmark}/predictions.parquet",
    log:
        "<logs>/merge_predictions/{run}.{benchmark}.log",
    benchmark:
        "<benchmarks>/merge_predictions/{run}.{benchmark}.tsv"
    wildcard_constraints:
        run="|".join(RUNS),
    conda:
        "../envs/scenes.yaml"
    shell:
        "python -m rollout3d.stages.merge_predictions --run {wildcards.run} --benchmark {wildcards.benchmark} --predictions {input.predictions:q}"
        " --questions {input.questions:q} --probes {input.probes:q} --out {output.predictions:q} > {log:q} 2>&1"


rule score:
    input:
        predictions="<results>/eval/{run}/{benchmark}/predictions.parquet",
        questions="<results>/benchmarks/{benchmark}/questions.parquet",
        train="<results>/train/ocr_rl.parquet",
        maps=scored_maps,
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
        method=run_method,
        style=run_style,
        kept=kept_names,
        recipe=run_recipe,
    shell:
        "python -m rollout3d.stages.score --config {params.recipe:q} --run {wildcards.run} --method {params.method:q}"
        " --style {params.style:q} --benchmark {wildcards.benchmark} --predictions {input.predictions:q} --questions {input.questions:q}"
        " --train {input.train:q} --maps {input.maps:q} --kept {params.kept:q} --out {output.scores:q} > {log:q} 2>&1"
