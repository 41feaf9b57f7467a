# Reinforcement learning with GRPO and its rollouts. Inputs are ancient; to train again: -R grpo, after removing the
# run's checkpoints. Checkpoints are not declared: Snakemake would delete them before a resume.
rule grpo:
    input:
        init=ancient(run_init),
        train=ancient(train_table),
        frames=ancient(scene_tables("frames")),
        maps=ancient(scene_tables("maps")),
        objects=ancient(object_tables),
        regions=ancient(region_tables),
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
        model_env(study.grpo.backend)
    threads: study.torch_threads
    resources:
        nodes=1,
        gpu=gpus(8),
        mem_mb=512000,
        runtime=2880,
    params:
        config=stage_config("train_grpo"),
        row=run_row,
        out=subpath(output.model, parent=True),
    shell:
        "python workflow/launch.py --nodes {resources.nodes} --gpus {resources.gpu} --"
        " -m rollout3d.stages.train_grpo --config {params.config:q} --row {params.row:q} --init {input.init}"
        " --train {input.train} --frames {input.frames} --maps {input.maps}"
        " --objects {input.objects} --regions {input.regions} --out-dir {params.out} > {log} 2>&1"
