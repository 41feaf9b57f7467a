# Presets only: synthetic scans in the datasets' genuine formats.
if study.synthetic:

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
