# Raw scans to scene tables, the regions that objects cover in the training frames, and cognitive maps.
rule ingest:
    input:
        scans=scan_manifest,
    output:
        scenes="<results>/scenes/{dataset}/{shard}/scenes.parquet",
        objects="<results>/scenes/{dataset}/{shard}/objects.parquet",
        frames="<results>/scenes/{dataset}/{shard}/frames.parquet",
        maps="<results>/scenes/{dataset}/{shard}/maps.parquet",
        visibility="<results>/scenes/{dataset}/{shard}/visibility.parquet",
        dropped="<results>/scenes/{dataset}/{shard}/scenes_dropped.parquet",
        raw="<results>/scenes/{dataset}/{shard}/raw_files.parquet",
    log:
        "<logs>/ingest/{dataset}.{shard}.log",
    benchmark:
        "<benchmarks>/ingest/{dataset}.{shard}.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=4000,
        runtime=480,
    params:
        out=subpath(output.scenes, parent=True),
        sets=scan_sets,
    shell:
        "python -m rollout3d.stages.ingest --dataset {wildcards.dataset}"
        " --shard {wildcards.shard} --sets {params.sets:q} --scans {input.scans:q} --out-dir {params.out:q} > {log:q} 2>&1"


rule regions:
    input:
        scans=scan_manifest,
        scenes="<results>/scenes/{dataset}/{shard}/scenes.parquet",
        objects="<results>/scenes/{dataset}/{shard}/objects.parquet",
        frames="<results>/scenes/{dataset}/{shard}/frames.parquet",
    output:
        regions="<results>/scenes/{dataset}/{shard}/regions.{mode}.parquet",
        raw="<results>/scenes/{dataset}/{shard}/regions.{mode}_raw_files.parquet",
    log:
        "<logs>/regions/{dataset}.{shard}.{mode}.log",
    benchmark:
        "<benchmarks>/regions/{dataset}.{shard}.{mode}.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=4000,
        runtime=240,
    params:
        tables=subpath(input.scenes, parent=True),
        sets=region_sets,
    shell:
        "python -m rollout3d.stages.regions --dataset {wildcards.dataset}"
        " --mode {wildcards.mode} --sets {params.sets:q} --scans {input.scans:q} --shard-dir {params.tables:q} --out {output.regions:q} --raw {output.raw:q} > {log:q} 2>&1"


# Made where a run's reward or prompt needs maps, where maps in answers are scored, and for the target `maps`.
rule cognitive_maps:
    input:
        scenes="<results>/scenes/{dataset}/{shard}/scenes.parquet",
        objects="<results>/scenes/{dataset}/{shard}/objects.parquet",
        maps="<results>/scenes/{dataset}/{shard}/maps.parquet",
    output:
        maps="<results>/maps/{dataset}/{shard}.parquet",
        dropped="<results>/maps/{dataset}/{shard}_dropped.parquet",
    log:
        "<logs>/cognitive_maps/{dataset}.{shard}.log",
    benchmark:
        "<benchmarks>/cognitive_maps/{dataset}.{shard}.tsv"
    conda:
        "../envs/scenes.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    shell:
        "python -m rollout3d.stages.cognitive_maps --dataset {wildcards.dataset}"
        " --scenes {input.scenes:q} --objects {input.objects:q} --maps {input.maps:q}"
        " --out {output.maps:q} --dropped {output.dropped:q} > {log:q} 2>&1"


rule maps:
    input:
        cognitive_maps(),
    localrule: True
