# Reasoning for the hard questions, and the cold-start table (OCR-SFT).
# Requests cost money: finished annotations come back from the store, and paid replies from their cache.
rule annotate:
    input:
        hard="<results>/difficulty/hard.parquet",
        questions="<results>/train/ocr_rl.parquet",
        frames=shown_to_teacher("frames"),
        maps=shown_to_teacher("maps"),
    output:
        annotations="<results>/cot/annotations.parquet",
    log:
        "<logs>/annotate.log",
    benchmark:
        "<benchmarks>/annotate.tsv"
    localrule: SITE.api_local
    conda:
        "../envs/api.yaml"
    resources:
        mem_mb=8000,
        runtime=1440,
    shell:
        "python -m rollout3d.stages.annotate --hard {input.hard:q}"
        " --questions {input.questions:q} --frames {input.frames:q} --maps {input.maps:q}"
        " --out {output.annotations:q} > {log:q} 2>&1"


rule sft_table:
    input:
        annotations="<results>/cot/annotations.parquet",
        questions="<results>/train/ocr_rl.parquet",
    output:
        sft="<results>/train/ocr_sft.parquet",
    log:
        "<logs>/sft_table.log",
    benchmark:
        "<benchmarks>/sft_table.tsv"
    conda:
        "../envs/scenes.yaml"
    shell:
        "python -m rollout3d.stages.sft_table --annotations {input.annotations:q}"
        " --questions {input.questions:q} --out {output.sft:q} > {log:q} 2>&1"
