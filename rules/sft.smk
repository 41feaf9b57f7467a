# Cold start: supervised fine-tuning. Checkpoints and weights are not declared: Snakemake would delete them before a
# resume. A finished run comes back from the store.
rule sft:
    input:
        init=run_init,
        train=train_table,
        frames=scene_tables("frames"),
        maps=scene_tables("maps"),
        probe_questions=training_probes,
        probe_objects=training_probe_tables("objects"),
        probe_regions=training_probe_tables(f"regions.{PROBED}"),
    output:
        model="<results>/runs/{run}/model.json",
        metrics="<results>/runs/{run}/metrics.parquet",
    log:
        "<logs>/sft/{run}.log",
    benchmark:
        "<benchmarks>/sft/{run}.tsv"
    wildcard_constraints:
        run=runs_of("sft"),
    conda:
        "../envs/train.yaml"
    threads: gpu_threads("sft")
    resources:
        **gpu_job("sft"),
    params:
        row=run_row,
        recipe=run_recipe,
        out=subpath(output.model, parent=True),
    shell:
        'exec python "$ROLLOUT3D_CODE/launch.py" --log {log:q} --nodes {resources.nodes} --gpus {resources.gpu} --'
        " -m rollout3d.stages.train_sft --config {params.recipe:q} --row {params.row:q} --init {input.init:q}"
        " --train {input.train:q} --frames {input.frames:q} --maps {input.maps:q}"
        " --probe-questions {input.probe_questions:q} --probe-objects {input.probe_objects:q}"
        " --probe-regions {input.probe_regions:q} --out-dir {params.out:q}"
