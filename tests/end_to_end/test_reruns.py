"""The second run: nothing stale, nothing lost, nothing computed twice, through the real Snakemake."""

import json
import os
import re
import shutil

import pytest

from end_to_end.conftest import rules
from rollout3d import tables

pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(1800)]

SIGMA = ("--config", 'grpo={"ablation": {"sigma0": 64}}')
EVALUATION = {"evaluate", "merge_predictions", "score", "claims", "report"}
OCR = {"grpo", "rollout_claims", *EVALUATION}


def digests(study):
    return {str(p.relative_to(study.results)): tables.content_digest(p) for p in study.parquet}


def weights(study, run):
    return tables.content_digest(study.results / "runs" / run / "model.json")


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ('grpo={"ablation": {"sigma0": 64}}', OCR),
        ('sft={"lr": 0.01}', OCR | {"sft"}),
        ('runs={"max_steps": 1}', OCR | {"difficulty", "select_hard", "annotate", "sft_table", "sft", "paper_table"}),
        (
            'cot={"sentences": 1}',
            OCR | {"annotate", "sft_table", "sft", "paper_table"},
        ),
        ('cot={"per_transition": 3}', OCR | {"select_hard", "annotate", "sft_table", "sft", "paper_table"}),
        ('evaluation={"temperature": 0.5}', EVALUATION),
        (
            'generation={"max_new_tokens": 9}',
            OCR | {"difficulty", "select_hard", "annotate", "sft_table", "sft", "paper_table"},
        ),
        ('questions={"total": 30}', None),
        ('evaluation={"probes": ["black"]}', EVALUATION),
        ('training={"save_every": 2, "tracker": "tensorboard", "gradient_checkpointing": true}', set()),
        ('training={"probe_every": 1, "probe_questions": 8}', set()),
        ('generation={"batch_size": 3}', set()),
        ('cot={"max_usd": 5}', set()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_dry_run_names_what_a_value_can_change_and_no_more(tiny, change, wanted):
    found = rules(tiny.snakemake("-n", "--config", change, "--", "all"))
    if wanted is None:
        assert {"assemble", "difficulty", "sft", "grpo", "evaluate"} <= found and not found & {"ingest", "questions"}
    else:
        assert found == wanted


def sigmas(study):
    return [row["sigma"] for row in tables.read(tables.METRICS, study.results / "runs/ocr/metrics.parquet", ["sigma"])]


def test_one_run_after_a_changed_value_leaves_nothing_stale_and_back_again_costs_nothing(study):
    before, old = digests(study), sigmas(study)
    study.snakemake(*SIGMA, "--", "all")
    assert old[0] == 128 and sigmas(study)[0] == 64
    assert "results/tiny/runs/filter/model.json" not in study.restored(), (
        "a run that reads no sigma does not run at all"
    )
    assert "Nothing to be done" in study.snakemake(*SIGMA, "--", "all")
    status = study.command("status", "--configfile", "config/presets/tiny.yaml", *SIGMA)
    assert status.returncode == 0 and "nothing to do" in status.stdout, status.stdout + status.stderr

    shutil.rmtree(study.folder / ".snakemake")  # it remembers parameters, and is not needed
    study.snakemake("--", "all")
    assert "results/tiny/runs/ocr/model.json" in study.restored() and sigmas(study) == old
    now = digests(study)
    assert {k: v for k, v in now.items() if "report" not in k} == {k: v for k, v in before.items() if "report" not in k}
    assert "Nothing to be done" in study.snakemake("--", "all")


OTHER_FRAMES = "other\tgrpo\tsft\tocr_rl\tobject_centric\tlinear\taabb_none\tocr\t2\t0\ttable5\tother_frames"


def test_a_run_with_frames_of_its_own_leaves_the_others_as_they_are(study):
    """Ingest adds the frames that its recipe asks for; what was trained and answered before comes back."""
    before = digests(study)
    table = study.folder / "config" / "runs.tsv"
    table.write_text(table.read_text().rstrip("\n") + f"\n{OTHER_FRAMES}\n")
    (study.folder / "config" / "recipes" / "other_frames.yaml").write_text(
        "video: {train_frames: fps1max6}\ngrpo: {max_new_tokens: 4}\n"
    )
    change = ("--config", 'runs={"recipes": true, "select": ["sft", "ocr", "other"]}')
    preset = study.folder / "config" / "presets" / "tiny.yaml"
    # The shipped recipes are for real models.
    table.write_text(
        re.sub(r"\t(filter_7b|video_r1_sft|ocr_sft|tgrpo|noisyrollout)$", "\t-", table.read_text(), flags=re.M)
    )
    assert "recipes: false" in preset.read_text()
    wanted = rules(study.snakemake("-n", *change, "--", "all"))
    assert {"ingest", "regions", "grpo", "evaluate"} <= wanted and "render_scans" not in wanted
    study.snakemake(*change, "--", "all")
    now = digests(study)
    runs = [name for name in before if name.startswith(("runs/", "eval/", "cot/", "difficulty/", "train/"))]
    assert runs and {name: now[name] for name in runs} == {name: before[name] for name in runs}
    assert {"results/tiny/runs/ocr/model.json", "results/tiny/runs/sft/model.json"} <= study.restored()

    frames = tables.read(tables.FRAMES, study.results / "scenes/scannet/0/frames.parquet")
    sets = {name for row in frames for name in row["sets"]}
    assert sets == {"fps1max6", "uniform8"}
    values = tables.lineage(study.results / "runs/other/model.json")["values"]
    assert (values["video.train_frames"], values["grpo.max_new_tokens"]) == ("fps1max6", 4)
    assert json.loads((study.results / "runs/other/model.json").read_text())["recipe"] == "other_frames"
    tokens = tables.read(tables.ROLLOUTS, study.results / "runs/other/rollouts.parquet", ["n_tokens"])
    assert tokens and max(row["n_tokens"] for row in tokens) <= 4
    page = (study.results / "report/index.html").read_text()
    assert "recipe other_frames" in page and "fps1max6" in page
    assert "Nothing to be done" in study.snakemake(*change, "--", "all")


@pytest.mark.long
def test_other_weights_give_another_score_in_the_same_run(study):
    change = ("--config", 'sft={"lr": 0.5}', "--", "all")
    names = ("eval/sft/synthetic/predictions.parquet", "eval/ocr/synthetic/predictions.parquet", "runs/sft/model.json")
    before = {name: tables.content_digest(study.results / name) for name in names}
    study.snakemake(*change)
    assert not [name for name in names if tables.content_digest(study.results / name) == before[name]]
    assert "Nothing to be done" in study.snakemake("-n", *change)


@pytest.mark.long
def test_many_changed_values_are_all_seen_by_one_run(study):
    """Lost or touched records of Snakemake hide none of them."""
    shutil.rmtree(study.folder / ".snakemake")
    for path in study.parquet:
        os.utime(path)
    change = (
        *("--config", 'sft={"lr": 0.01}', 'grpo={"ablation": {"sigma0": 64}, "temperature": 0.9}', "seed=1"),
        *('generation={"max_new_tokens": 9, "max_new_tokens_direct": 3}', 'video={"eval_frames": 4}'),
        'evaluation={"temperature": 0.5}',
        *('cot={"per_transition": 3}', 'questions={"total": 30}', 'scenes={"agreement": "flag"}'),
        *('toyworld={"model": {"steps": 5}, "scans": {"fps": 6}}', 'prompts={"think": "video_r1"}'),
    )
    study.snakemake(*change, "--", "all")
    status = study.command("status", "--configfile", "config/presets/tiny.yaml", *change)
    assert status.returncode == 0, status.stdout + status.stderr
    assert "Nothing to be done" in study.snakemake(*change, "--", "all")
    assert not study.restored()


@pytest.mark.long
def test_the_forced_target_runs_with_what_lies_above_it(study):
    target = "results/tiny/eval/ocr/synthetic/predictions.parquet"
    said = study.snakemake("-n", "--config", 'sft={"lr": 0.01}', "--force", "--", target)
    assert rules(said) == {"sft", "grpo", "evaluate", "merge_predictions"}


@pytest.mark.long
def test_forced_rules_bring_back_what_is_current_and_forgotten_ones_are_computed(study):
    model = "results/tiny/runs/ocr/model.json"
    study.snakemake("-R", "questions", "--", "all")
    assert {
        model,
        "results/tiny/cot/annotations.parquet",
        "results/tiny/difficulty/frames2/0.parquet",
    } <= study.restored()
    said = study.command("forget", model)
    assert said.returncode == 0 and model in said.stdout, said.stderr
    assert not (study.results / "runs/ocr/weights").exists()
    study.snakemake("--", "all")
    assert model not in study.restored()
    assert "Nothing to be done" in study.snakemake("--", "all")


@pytest.mark.long
def test_results_that_were_copied_elsewhere_are_taken_as_they_are(finished, tmp_path):
    other = finished.copy(tmp_path / "a clone with spaces")
    shutil.rmtree(other.folder / ".snakemake")
    assert "Nothing to be done" in other.snakemake("--", "all")


@pytest.mark.long
def test_a_file_in_another_ones_place_is_not_taken_for_it(study):
    here = study.results / "difficulty"
    (here / "frames2/0.parquet").unlink()
    shutil.copy(here / "frames16/0.parquet", here / "frames2/0.parquet")
    assert "difficulty" in rules(study.snakemake("-n", "--", "all"))
    assert "job.setting" in study.command("status", "--configfile", "config/presets/tiny.yaml").stdout


@pytest.mark.long
def test_a_kept_run_stays_and_every_number_above_it_says_so(study):
    change = ("--config", 'grpo={"lr": 0.001}', "keep=[filter]")
    before = weights(study, "filter")
    assert "rule grpo:" in study.snakemake("-n", *change, "--", "all")
    study.snakemake(*change, "--", "all")
    assert weights(study, "filter") == before
    rows = tables.read(tables.SCORES, study.results / "eval/ocr/synthetic/scores.parquet")
    assert {tuple(row["rests_on"]) for row in rows} == {("filter",)}
    assert "rests on kept filter" in (study.results / "report/index.html").read_text()
    assert "rests on kept filter" in study.command("summary", "--results", "results/tiny").stdout
    assert "kept" in study.command("status", "--configfile", "config/presets/tiny.yaml", *change).stdout


@pytest.mark.long
def test_kept_predictions_under_other_settings_are_scored_with_a_mark(study):
    target = "results/tiny/eval/ocr/synthetic/scores.parquet"
    change = ("--config", 'evaluation={"temperature": 0.5}', "keep=[evaluate]")
    assert rules(study.snakemake("-n", *change, "--", target)) == {"score"}
    study.snakemake(*change, "--", target)
    rows = [row for row in tables.read(tables.SCORES, study.folder / target) if row["scorer"]]
    assert {tuple(row["rests_on"]) for row in rows} == {("evaluate",)}
    assert rows and all("temperature 0 [configured: 0.5]" in row["settings"] for row in rows)
    said = study.command("summary", "--results", "results/tiny").stdout
    assert "temperature 0 [configured: 0.5]" in said and "rests on kept evaluate" in said


@pytest.mark.long
def test_an_adopted_table_is_used_if_it_is_kept_and_never_overwritten(study, tmp_path):
    target = "results/tiny/train/ocr_sft.parquet"
    rows = tables.read(tables.OCR_SFT, study.folder / target)[:-1]
    mine = tmp_path / "mine.parquet"
    tables.write(tables.OCR_SFT, mine, rows, tables.Lineage("mine"))
    said = study.command("adopt", str(mine), target, "--force")
    assert said.returncode == 0 and "keep: [sft_table]" in said.stdout, said.stderr
    assert "was adopted" in study.snakemake("-n", "--", "all")
    assert "was adopted" in study.snakemake("--", "all", fails=True)
    assert tables.read(tables.OCR_SFT, study.folder / target) == rows, "nothing overwrote it"
    said = study.snakemake("-n", "--config", "keep=[sft_table]", "--", "all")
    assert {"sft", "grpo"} <= rules(said) and "sft_table" not in rules(said)
    for wrong, says in (([{"question_id": "a", "transition": "bev"}], "does not fit"), ([], "holds no rows")):
        tables.write(tables.HARD, mine, wrong, tables.Lineage("mine"))
        refused = study.command("adopt", str(mine), "results/tiny/train/ocr_rl.parquet", "--force")
        assert refused.returncode == 1 and says in refused.stderr, refused.stderr


def test_lineage_tells_the_chain_in_words(tiny):
    said = " ".join(tiny.command("lineage", "results/tiny/runs/ocr/model.json").stdout.split())
    for expected in (
        "grpo.sigma0 = 128.0",
        "results/tiny/train/ocr_rl.parquet",
        "stage ingest",
        "made 20",
        "torch ",
    ):
        assert expected in said, said[-3000:]


@pytest.mark.long
def test_a_mended_scan_is_seen_by_status_and_recomputed_on_request(study):
    scene = next((study.results / "scans/scannet/scans").glob("*/*.txt"))
    scene.write_text(scene.read_text() + "\n")
    status = study.command("status", "--raw", "--configfile", "config/presets/tiny.yaml")
    assert status.returncode == 1 and scene.name in status.stdout, status.stdout
    study.snakemake("-R", "ingest", "--", "all")
    status = study.command("status", "--raw", "--configfile", "config/presets/tiny.yaml")
    assert scene.name not in status.stdout


@pytest.mark.long
def test_changed_code_of_a_cpu_stage_recomputes_and_of_a_gpu_stage_is_shown(study):
    def edit(name, old, new):
        path = study.folder / "workflow" / "rollout3d" / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    edit("evaluation/baselines.py", '"""', '"""Another docstring. ')
    edit("training/objective.py", "import torch\n", "import torch\n# a comment\n")
    assert "Nothing to be done" in study.snakemake("-n", "--", "all")
    edit(
        "evaluation/baselines.py",
        "from __future__ import annotations\n",
        "from __future__ import annotations\n\nEXTRA = 1\n",
    )
    assert {"score", "report"} <= rules(study.snakemake("-n", "--", "all"))
    edit("training/objective.py", "import torch\n", "import torch\n\nEXTRA = 1\n")
    said = study.snakemake("-n", "--", "all")
    assert "stale (code): results/tiny/runs/ocr/model.json" in said and "grpo" not in rules(said)
    assert "objective.py" in study.command("status", "--configfile", "config/presets/tiny.yaml").stdout
    assert "grpo" in rules(study.snakemake("-n", "--config", "rebuild=[grpo]", "--", "all"))


@pytest.mark.long
def test_a_job_that_starts_after_the_clone_has_changed_refuses(study):
    code, snakefile = study.folder / "workflow/rollout3d/evaluation/baselines.py", study.folder / "Snakefile"
    edit = f"lambda log: Path('{code}').write_text(Path('{code}').read_text() + 'EXTRA = 1\\n')"
    snakefile.write_text(f"{snakefile.read_text()}\n\nrun_at_start({edit})\n")  # after what the run itself does then
    (study.results / "eval/ocr/synthetic/scores.parquet").unlink()
    said = study.snakemake("--", "results/tiny/eval/ocr/synthetic/scores.parquet", fails=True)
    assert re.search(r"the code of score has changed since the workflow was started", said), said[-3000:]
