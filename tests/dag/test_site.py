"""Resources that jobs ask for under the site's settings, as dry runs of the Slurm profile print them."""

import re

import pytest

from dag.clones import ROOT, copy_repository, snakemake
from rollout3d import cluster


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_repository(tmp_path_factory.mktemp("site") / "clone")


def asked(clone, *arguments, **environment):
    """Resources of one dry run: rule -> dictionary of what its last job asks for."""
    run = snakemake(clone, "--cores", "16", *arguments, "-n", "all", **environment)
    assert run.returncode == 0, run.stdout + run.stderr
    found = {}
    for name, body in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", run.stdout + run.stderr, re.M):
        threads = re.search(r"^    threads: (\d+)", body, re.M)
        pairs = dict(p.split("=", 1) for p in re.search(r"^    resources: (.*)$", body, re.M)[1].split(", "))
        found[name] = {**pairs, "threads": threads[1] if threads else "1"}
    return found


def test_gpu_jobs_of_the_paper_on_slurm(clone):
    jobs = asked(clone, "--profile", "slurm")
    for rule in ("sft", "grpo"):
        given = jobs[rule]
        assert (given["slurm_partition"], given["nodes"], given["gpu"]) == ("gpu", "1", "8")
        assert given["cpus_per_task"] == "64", "8 CPUs per GPU"
        assert given["threads"] == "8", "the threads of torch are the configuration's"
        assert given["slurm_extra"] == "--signal=TERM@300"
        assert "mpi" not in given and "tasks" not in given
    for rule in ("difficulty", "evaluate"):
        given = jobs[rule]
        assert (given["slurm_partition"], given["gpu"], given["cpus_per_task"]) == ("gpu", "1", "8")
        assert "slurm_extra" not in given and "mpi" not in given
    for rule in ("ingest", "questions", "annotate", "report"):
        assert jobs[rule]["slurm_partition"] == "cpu" and "gpu" not in jobs[rule]


def test_every_site_setting_reaches_the_jobs_and_keeps_the_rest(clone):
    jobs = asked(
        clone,
        "--profile",
        "slurm",
        ROLLOUT3D_NODES="2",
        ROLLOUT3D_GPUS_PER_NODE="4",
        ROLLOUT3D_GRES="gpu:a100",
        ROLLOUT3D_CPUS_PER_GPU="12",
        ROLLOUT3D_CPU_PARTITION="compute",
        ROLLOUT3D_GPU_PARTITION="booster",
        ROLLOUT3D_CPU_QOS="short",
        ROLLOUT3D_GPU_QOS="long",
        ROLLOUT3D_CPU_CONSTRAINT="ssd",
        ROLLOUT3D_GPU_CONSTRAINT="a100&ib",
        ROLLOUT3D_CPU_MAX_RUNTIME="100",
        ROLLOUT3D_GPU_MAX_RUNTIME="1440",
        ROLLOUT3D_CPU_MAX_MEM_MB="3000",
        ROLLOUT3D_GPU_MAX_MEM_MB="480000",
        ROLLOUT3D_SLURM_ACCOUNT="lab",
    )
    grpo, evaluate, ingest = jobs["grpo"], jobs["evaluate"], jobs["ingest"]
    expected = {"slurm_partition": "booster", "qos": "long", "constraint": "a100&ib", "slurm_account": "lab"}
    expected |= {"nodes": "2", "gres": "gpu:a100:4", "gpu": "0", "cpus_per_task": "48", "mem_mb": "480000"}
    expected |= {"runtime": "1440", "mpi": "srun", "tasks": "2", "tasks_per_gpu": "0"}
    assert {k: grpo[k] for k in expected} == expected
    assert (evaluate["gres"], evaluate["nodes"], evaluate["cpus_per_task"]) == ("gpu:a100:1", "1", "12")
    assert (evaluate["runtime"], evaluate["mem_mb"]) == ("480", "64000")
    expected = {"slurm_partition": "compute", "qos": "short", "constraint": "ssd", "slurm_account": "lab"}
    expected |= {"mem_mb": "3000", "runtime": "100"}
    assert {k: ingest[k] for k in expected} == expected


def test_without_the_profile_jobs_ask_for_gpus_alone(clone):
    jobs = asked(clone, ROLLOUT3D_NODES="2", ROLLOUT3D_GPUS_PER_NODE="4")
    assert (jobs["grpo"]["nodes"], jobs["grpo"]["gpu"], jobs["evaluate"]["gpu"]) == ("1", "8", "1")
    for rule in ("grpo", "evaluate", "ingest"):
        assert not {"slurm_partition", "cpus_per_task", "mpi", "gres"} & set(jobs[rule])


def test_small_models_ask_for_no_gpu_unless_the_site_says_so(clone):
    options = ("--profile", "slurm", "--configfile", "config/presets/tiny.yaml")
    jobs = asked(clone, *options)
    assert (jobs["grpo"]["gpu"], jobs["grpo"]["slurm_partition"]) == ("0", "cpu")
    assert int(jobs["grpo"]["mem_mb"]) <= 8000
    assert asked(clone, *options, ROLLOUT3D_GPUS_PER_NODE="2")["grpo"]["gpu"] == "2"


def test_a_job_that_restores_asks_for_one_cpu_and_five_minutes(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    rules = clone / "rules" / "lineage.smk"
    rules.write_text(rules.read_text() + "\n\ndef restorable(name, wildcards, input):\n    return True\n")
    jobs = asked(clone, "--profile", "slurm", ROLLOUT3D_NODES="2", ROLLOUT3D_GRES="gpu")
    for rule in cluster.GPU_JOBS:
        given = jobs[rule]
        expected = {"slurm_partition": "cpu", "nodes": "1", "gpu": "0", "cpus_per_task": "1", "runtime": "5"}
        assert {k: given[k] for k in expected} == expected and given["threads"] == "1"
        assert not {"mpi", "tasks", "gres", "slurm_extra"} & set(given)


def test_a_set_resources_section_has_not_come_back(clone):
    profile = (clone / "slurm" / "profile.yaml").read_text()
    assert not re.search(r"^set-resources:", profile, re.M)


def test_memory_grows_with_the_attempt_up_to_the_sites_limit():
    site = cluster.Cluster(slurm=True, gpu_max_mem_mb=600_000)
    memory = [cluster.gpu_resource(site, "sft", "mem_mb", small=False, attempt=n) for n in (1, 2, 3, 4)]
    assert memory == [256_000, 384_000, 512_000, 600_000]
    assert [cluster.grown(4000, n, None) for n in (1, 2, 3)] == [4000, 6000, 8000]


@pytest.mark.parametrize(
    ("name", "value"), [("NODES", "two"), ("NODES", "0"), ("GPUS_PER_NODE", "-1"), ("API_LOCAL", "yes")]
)
def test_a_wrong_site_setting_is_one_sentence_that_names_it(name, value):
    with pytest.raises(ValueError, match=f"ROLLOUT3D_{name} is '{value}': give"):
        cluster.from_environment({f"ROLLOUT3D_{name}": value})


def test_snakemake_reports_a_wrong_site_setting(clone):
    run = snakemake(clone, "-n", ROLLOUT3D_NODES="two")
    said = run.stdout + run.stderr
    assert run.returncode != 0 and "ROLLOUT3D_NODES is 'two'" in said and "Traceback" not in said


def test_api_stages_may_run_beside_the_driver(tmp_path):
    clone = copy_repository(tmp_path / "clone")
    with open(clone / "Snakefile", "a") as stream:
        # A dry run does not print which rules are local.
        stream.write('\n\nprint("LOCAL", *sorted(workflow._localrules))\n')

    def local(**environment):
        said = snakemake(clone, "--profile", "slurm", "-n", "--", "results/train/ocr_sft.parquet", **environment).stdout
        return set(re.search(r"^LOCAL (.*)$", said, re.M)[1].split())

    assert local(ROLLOUT3D_API_LOCAL="1") - local() == {"annotate", "judge"}


def test_every_variable_is_documented_and_read(clone):
    text = (ROOT / "docs" / "cluster.md").read_text()
    source = (clone / "workflow" / "rollout3d" / "cluster.py").read_text()
    profile = (clone / "slurm" / "profile.yaml").read_text()
    read = set(re.findall(r'(?:text|number|flag)\("(\w+)"', source)) | set(re.findall(r'site\("(\w+)"\)', profile))
    documented = set(re.findall(r"`ROLLOUT3D_(\w+)`", text))
    assert read and read <= documented, f"docs/cluster.md lacks {sorted(read - documented)}"
    assert "--set-resources" not in text


@pytest.mark.parametrize(
    ("settings", "expected", "absent"),
    [
        (
            {},
            ["--gpus=8", "--nodes=1", "--cpus-per-task=64", "--mem 512000", "--signal=TERM@300"],
            ["--ntasks", "--gres"],
        ),
        (
            {"ROLLOUT3D_NODES": "2"},
            ["--gpus=16", "--nodes=2", "--ntasks=2", "--cpus-per-task=64"],
            ["--ntasks-per-gpu", "--gres"],
        ),
        (
            {"ROLLOUT3D_NODES": "2", "ROLLOUT3D_GRES": "gpu:a100", "ROLLOUT3D_GPU_QOS": "long"},
            ["--gres=gpu:a100:8", "--nodes=2", "--ntasks=2", "--cpus-per-task=64", "--qos=long"],
            ["--ntasks-per-gpu", "--gpus"],
        ),
    ],
    ids=["one node", "two nodes", "two nodes by gres"],
)
def test_what_sbatch_is_given_for_a_training_job(tmp_path, settings, expected, absent):
    """The plugin turns resources into options; a stand-in for sbatch notes them and refuses the job."""
    clone = copy_repository(tmp_path / "clone")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("sbatch", "squeue", "sacct", "sinfo"):
        script = f'echo "$@" >> {tmp_path}/asked; exit 1' if name == "sbatch" else ""
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    given = ["models/filter_base/model.json", "train/ocr_rl.parquet", "questions/test.parquet"]
    kinds = ("frames", "maps", "objects", "regions.aabb_none")  # the last two for probes during training
    for dataset in ("scannet", "scannetpp", "arkitscenes"):
        given += [f"scenes/{dataset}/{k}/{table}.parquet" for k in range(16) for table in kinds]
    for path in (clone / "results" / name for name in given):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    target = "results/runs/filter/model.json"
    options = ("--profile", "slurm", "--no-hooks", "--latency-wait", "1", "--retries", "0", "--allowed-rules", "grpo")
    settings = {**settings, "PATH": f"{tools}:/usr/bin:/bin", "ROLLOUT3D_SLURM_POLL_S": "1"}
    run = snakemake(clone, *options, "--", target, **settings)
    assert run.returncode != 0 and (tmp_path / "asked").exists(), run.stdout + run.stderr
    asked = (tmp_path / "asked").read_text()
    assert " -p gpu " in asked and " -t 2880 " in asked
    assert not [option for option in expected if option not in asked], asked[:600]
    assert not [option for option in absent if option in asked.split("--wrap")[0]], asked[:600]
