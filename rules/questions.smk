# Scene tables to questions, and questions to the training table (OCR-RL) and the test split.
rule questions:
    input:
        scenes="<results>/scenes/{dataset}/{shard}/scenes.parquet",
        objects="<results>/scenes/{dataset}/{shard}/objects.parquet",
        maps="<results>/scenes/{dataset}/{shard}/maps.parquet",
        visibility="<results>/scenes/{dataset}/{shard}/visibility.parquet",
    output:
        questions="<results>/questions/{dataset}/{shard}.parquet",
        dropped="<results>/questions/{dataset}/{shard}_dropped.parquet",
    log:
        "<logs>/questions/{dataset}.{shard}.log",
    benchmark:
        "<benchmarks>/questions/{dataset}.{shard}.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    shell:
        "python -m rollout3d.stages.questions --dataset {wildcards.dataset}"
        " --scenes {input.scenes:q} --objects {input.objects:q} --maps {input.maps:q} --visibility {input.visibility:q}"
        " --out {output.questions:q} --dropped {output.dropped:q} > {log:q} 2>&1"


rule assemble:
    input:
        questions=question_tables() + imported(),
        left_out=imported("_dropped"),
        refused=question_tables("_dropped"),
        verdicts=judged(),
        errata=errata(),
        scenes=scene_tables("scenes"),
        benchmarks=released_benchmarks(),
    output:
        train="<results>/train/ocr_rl.parquet",
        test="<results>/questions/test.parquet",
        dropped="<results>/train/ocr_rl_dropped.parquet",
        sources="<results>/train/ocr_rl_sources.parquet",
    log:
        "<logs>/assemble.log",
    benchmark:
        "<benchmarks>/assemble.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        general=study.external.general,
    shell:
        "python -m rollout3d.stages.assemble --questions {input.questions:q} --general {params.general}"
        " --left-out {input.left_out:q} --refused {input.refused:q} --verdicts {input.verdicts:q}"
        " --errata {input.errata:q}"
        " --scenes {input.scenes:q} --benchmarks {input.benchmarks:q} --out-train {output.train:q} --out-test {output.test:q}"
        " --dropped {output.dropped:q} --sources {output.sources:q} > {log:q} 2>&1"


# SpaceR-151k is SR-91k and 60,000 general questions: runs without either train on the other part.
rule train_part:
    input:
        train="<results>/train/ocr_rl.parquet",
        dropped="<results>/train/ocr_rl_dropped.parquet",
    output:
        scans=f"<results>/train/{scans_table(study)}.parquet",
        general="<results>/train/general_60k.parquet",
        card="<results>/train/README.md",
    log:
        "<logs>/train_part.log",
    benchmark:
        "<benchmarks>/train_part.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=8000,
        runtime=60,
    params:
        synthetic="--synthetic" if study.toyworld else "",
    shell:
        "python -m rollout3d.stages.train_part --train {input.train:q} --dropped {input.dropped:q}"
        " --scans {output.scans:q} --general {output.general:q} --card {output.card:q} {params.synthetic} > {log:q} 2>&1"
