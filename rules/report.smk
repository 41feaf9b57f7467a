# The papers' tables and figures beside their numbers, and one page that shows the study.
rule paper_table:
    input:
        scores=table_scores,
        predictions=table_predictions,
        answers=table_answers,
        questions=table_questions,
        scenes=table_scenes,
        reference=table_reference,
        runs=table_runs,
    output:
        table="<results>/report/{table}.parquet",
    log:
        "<logs>/paper_table/{table}.log",
    benchmark:
        "<benchmarks>/paper_table/{table}.tsv"
    wildcard_constraints:
        table="|".join(doors.PAPER_TABLES.names),
    conda:
        "../envs/report.yaml"
    params:
        kept=kept_names,
        recipes=table_recipes,
    shell:
        "python -m rollout3d.stages.paper_table --table {wildcards.table} --recipes {params.recipes:q}"
        " --scores {input.scores:q} --predictions {input.predictions:q} --answers {input.answers:q}"
        " --questions {input.questions:q} --scenes {input.scenes:q} --reference {input.reference:q}"
        " --kept {params.kept:q} --out {output.table:q} > {log:q} 2>&1"


rule bias:
    input:
        questions="<results>/train/ocr_rl.parquet",
    output:
        bias="<results>/report/bias.parquet",
    log:
        "<logs>/bias.log",
    benchmark:
        "<benchmarks>/bias.tsv"
    conda:
        "../envs/scenes.yaml"
    shell:
        "python -m rollout3d.stages.bias --questions {input.questions:q} --out {output.bias:q} > {log:q} 2>&1"


rule report:
    input:
        tables=page_tables(),
        scores=score_tables(study.runs.select),
        claims=answer_claims("claims"),
        claim_shares=answer_claims("claim_shares") + rollout_claims("claim_shares"),
        asked=[f"<results>/benchmarks/{b}/questions.parquet" for b in study.evaluation.benchmarks],
        metrics=[f"<results>/runs/{run}/metrics.parquet" for run in SHOWN],
        rollouts=[f"<results>/runs/{run}/rollouts.parquet" for run in SHOWN if RUNS[run].method == "grpo"],
        train="<results>/train/ocr_rl.parquet",
        sft=if_hard("<results>/train/ocr_sft.parquet"),
        hard=if_hard("<results>/difficulty/hard.parquet"),
        annotations=if_hard("<results>/cot/annotations.parquet"),
        sources="<results>/train/ocr_rl_sources.parquet",
        runs=RUN_TABLE,
        bias="<results>/report/bias.parquet",
        scenes=scene_tables("scenes"),
        frames=scene_tables("frames"),
        objects=scene_tables("objects"),
        maps=scene_tables("maps"),
        regions=[
            p for mode in sorted({RUNS[r].regions for r in SHOWN} - {None}) for p in scene_tables(f"regions.{mode}")
        ],
        cognitive_maps=cognitive_maps() if any(map(reads_maps, SHOWN)) else [],
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
        recipes=recipes_of(RUNS),
    shell:
        "python -m rollout3d.stages.report --recipes {params.recipes:q} --tables {input.tables:q} --scores {input.scores:q}"
        " --metrics {input.metrics:q} --rollouts {input.rollouts:q} --train {input.train:q} --sft {input.sft:q}"
        " --hard {input.hard:q} --annotations {input.annotations:q} --sources {input.sources:q} --bias {input.bias:q} --scenes {input.scenes:q} --frames {input.frames:q}"
        " --objects {input.objects:q} --maps {input.maps:q} --regions {input.regions:q}"
        " --cognitive-maps {input.cognitive_maps:q} --claims {input.claims:q} --claim-shares {input.claim_shares:q}"
        " --asked {input.asked:q} --out {output.page:q} > {log:q} 2>&1"


# Targets by the names of the papers' tables: each runs whatever its table reports.
for name in doors.PAPER_TABLES.names:

    rule:
        name:
            name
        input:
            f"<results>/report/{name}.parquet",
        localrule: True
