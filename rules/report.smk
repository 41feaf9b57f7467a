# The paper's tables and figures beside its numbers, and one page that shows the study.
rule paper_table:
    input:
        scores=table_scores,
        predictions=table_predictions,
        questions=table_questions,
        reference="resources/reference/ocr.csv",
        code=stage_code("paper_table"),
    output:
        table="<results>/report/{table}.parquet",
    log:
        "<logs>/paper_table/{table}.log",
    benchmark:
        "<benchmarks>/paper_table/{table}.tsv"
    wildcard_constraints:
        table="table[1-5]|figure3",
    conda:
        "../envs/report.yaml"
    params:
        config=stage_config("paper_table"),
    shell:
        "python -m rollout3d.stages.paper_table --config {params.config:q} --table {wildcards.table}"
        " --scores {input.scores} --predictions {input.predictions} --questions {input.questions}"
        " --reference {input.reference} --out {output.table} > {log} 2>&1"


rule bias:
    input:
        questions="<results>/train/ocr_rl.parquet",
        code=stage_code("bias"),
    output:
        bias="<results>/report/bias.parquet",
    log:
        "<logs>/bias.log",
    benchmark:
        "<benchmarks>/bias.tsv"
    conda:
        "../envs/scenes.yaml"
    params:
        config=stage_config("bias"),
    shell:
        "python -m rollout3d.stages.bias --config {params.config:q} --questions {input.questions} --out {output.bias} > {log} 2>&1"


rule report:
    input:
        tables=["<results>/report/table1.parquet", "<results>/report/figure3.parquet"],
        scores=score_tables(study.runs.select),
        metrics=[f"<results>/runs/{run}/metrics.parquet" for run in SHOWN],
        rollouts=[f"<results>/runs/{run}/rollouts.parquet" for run in SHOWN if RUNS[run].method == "grpo"],
        train="<results>/train/ocr_rl.parquet",
        sft="<results>/train/ocr_sft.parquet",
        hard="<results>/difficulty/hard.parquet",
        annotations="<results>/cot/annotations.parquet",
        sources="<results>/train/ocr_rl_sources.parquet",
        bias="<results>/report/bias.parquet",
        scenes=scene_tables("scenes"),
        frames=scene_tables("frames"),
        objects=scene_tables("objects"),
        maps=scene_tables("maps"),
        regions=[
            p for mode in sorted({RUNS[r].regions for r in SHOWN} - {None}) for p in scene_tables(f"regions.{mode}")
        ],
        code=stage_code("report"),
    output:
        page=report(
            "<results>/report/index.html",
            caption="../workflow/report/page.rst",
            category="Study",
        ),
    log:
        "<logs>/report.log",
    benchmark:
        "<benchmarks>/report.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=4000,
    params:
        config=stage_config("report"),
    shell:
        "python -m rollout3d.stages.report --config {params.config:q} --tables {input.tables} --scores {input.scores}"
        " --metrics {input.metrics} --rollouts {input.rollouts} --train {input.train} --sft {input.sft}"
        " --hard {input.hard} --annotations {input.annotations} --sources {input.sources} --bias {input.bias} --scenes {input.scenes} --frames {input.frames}"
        " --objects {input.objects} --maps {input.maps} --regions {input.regions} --out {output.page} > {log} 2>&1"


# Targets by the paper's names: each runs whatever its table reports.
rule table1:
    input:
        "<results>/report/table1.parquet",
    localrule: True


rule table2:
    input:
        "<results>/report/table2.parquet",
    localrule: True


rule table3:
    input:
        "<results>/report/table3.parquet",
    localrule: True


rule table4:
    input:
        "<results>/report/table4.parquet",
    localrule: True


rule table5:
    input:
        "<results>/report/table5.parquet",
    localrule: True


rule figure3:
    input:
        "<results>/report/figure3.parquet",
    localrule: True
