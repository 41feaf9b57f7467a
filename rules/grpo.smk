# Reinforcement learning with GRPO and its rollouts. Checkpoints and weights are not declared: Snakemake would delete them
# before a resume. A finished run comes back from the store.
rule grpo:
    input:
        init=run_init,
        train=train_table,
        frames=scene_tables("frames"),
        maps=scene_tables("maps"),
        objects=object_tables,
        regions=region_tables,
        cognitive_maps=run_maps,
        probe_questions=training_probes,
        probe_objects=training_probe_tables("objects"),
        probe_regions=training_probe_tables(f"regions.{PROBED}"),
    output:
        model="<results>/runs/{run}/model.json",
        metrics="<results>/runs/{run}/metrics.parquet",
        rollouts="<results>/runs/{run}/rollouts.parquet",
    log:
        "<logs>/grpo/{run}.log",
    benchmark:
        "<benchmarks>/grpo/{run}.tsv"
    wildcard_constraints:
        run=runs_of("grpo"),
    conda:
        model_env()
    threads: gpu_threads("grpo")
    resources:
        **gpu_job("grpo"),
    params:
        row=run_row,
        recipe=run_recipe,
        out=subpath(output.model, parent=True),
        keep_steps=kept_steps,
    shell:
        'exec python "$ROLLOUT3D_CODE/launch.py" --log {log:q} --nodes {resources.nodes} --gpus {resources.gpu} --'
        " -m rollout3d.stages.train_grpo --config {params.recipe:q} --row {params.row:q} --init {input.init:q}"
        " --train {input.train:q} --frames {input.frames:q} --maps {input.maps:q}"
        " --objects {input.objects:q} --regions {input.regions:q} --cognitive-maps {input.cognitive_maps:q}"
        " --probe-questions {input.probe_questions:q} --probe-objects {input.probe_objects:q}"
        " --probe-regions {input.probe_regions:q} --keep-steps {params.keep_steps:q} --out-dir {params.out:q}"


# A run after some of its steps, for rows of the run table with `at`: the trainer keeps the weights beside the run's own.
rule checkpoint:
    input:
        model=run_init,
    output:
        model="<results>/runs/{run}/model.json",
    log:
        "<logs>/checkpoint/{run}.log",
    benchmark:
        "<benchmarks>/checkpoint/{run}.tsv"
    wildcard_constraints:
        run=checkpoints(),
    conda:
        "../envs/train.yaml"
    params:
        row=run_row,
    shell:
        "python -m rollout3d.stages.checkpoint --row {params.row:q} --model {input.model:q} --out {output.model:q}"
        " > {log:q} 2>&1"
