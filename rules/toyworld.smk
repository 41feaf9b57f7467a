# Presets only: what the toy world makes, scans in the releases' own formats and a small model trained from scratch.
if study.toyworld:

    rule render_scans:
        output:
            scans="<results>/scans/{dataset}.parquet",
        log:
            "<logs>/render_scans/{dataset}.log",
        benchmark:
            "<benchmarks>/render_scans/{dataset}.tsv"
        conda:
            "../envs/scenes.yaml"
        resources:
            mem_mb=2000,
        params:
            root=f"{study.results}/scans/{{dataset}}",
        shell:
            "python -m toyworld.stages.render_scans --dataset {wildcards.dataset}"
            " --root {params.root:q} --out {output.scans:q} > {log:q} 2>&1"

    rule train_base_model:
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
        threads: study.toyworld.model.processes
        resources:
            mem_mb=4000,
        params:
            out=subpath(output.model, parent=True),
        shell:
            "python -m toyworld.stages.train_base_model --key {wildcards.key} --out-dir {params.out:q} > {log:q} 2>&1"
