# Reasoning for the hard questions, and the cold-start table (OCR-SFT).
# The API costs money: inputs are ancient. To annotate again: -R annotate.
rule annotate:
    input:
        hard=ancient("<results>/difficulty/hard.parquet"),
        questions=ancient("<results>/train/ocr_rl.parquet"),
        frames=ancient(scene_tables("frames")),
        maps=ancient(scene_tables("maps")),
    output:
        annotations="<results>/cot/annotations.parquet",
    log:
        "<logs>/annotate.log",
    benchmark:
        "<benchmarks>/annotate.tsv"
    conda:
        "../envs/api.yaml"
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        config=stage_config("annotate"),
    shell:
        "python -m rollout3d.stages.annotate --config {params.config:q} --hard {input.hard}"
        " --questions {input.questions} --frames {input.frames} --maps {input.maps}"
        " --out {output.annotations} > {log} 2>&1"


rule sft_table:
    input:
        annotations="<results>/cot/annotations.parquet",
        questions="<results>/train/ocr_rl.parquet",
        code=stage_code("sft_table"),
    output:
        sft="<results>/train/ocr_sft.parquet",
    log:
        "<logs>/sft_table.log",
    benchmark:
        "<benchmarks>/sft_table.tsv"
    conda:
        "../envs/scenes.yaml"
    params:
        config=stage_config("sft_table"),
    shell:
        "python -m rollout3d.stages.sft_table --config {params.config:q} --annotations {input.annotations}"
        " --questions {input.questions} --out {output.sft} > {log} 2>&1"
