"""What recipes change in the job graph: frame sets, commands, environments, and what is said before a run."""

import re

import pytest

from dag.clones import copy_repository, snakemake

pytestmark = pytest.mark.timeout(300)
SHOW = """
print("environments", environment_of(workflow.get_rule("grpo")), environment_of(workflow.get_rule("evaluate")))
"""


@pytest.fixture
def clone(tmp_path):
    return copy_repository(tmp_path / "clone")


def commands(clone, target, *arguments):
    done = snakemake(clone, "-n", "-p", *arguments, "--", target)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sets(said, stage):
    found = {tuple(each.split()) for each in re.findall(rf"stages\.{stage} .*?--sets ([\w. ]+?) --", said)}
    assert len(found) == 1, found
    return set(found.pop())


def test_scans_and_videos_hold_the_frames_of_the_runs_that_show_them(clone):
    said = commands(
        clone, "results/runs/ocr_video_r1/model.json", "--config", 'site={"external": {"video_r1_cot": "x"}}'
    )
    assert sets(said, "ingest") == {"uniform16", "uniform32"}, "the cold start of Video-R1 shows no scans"
    assert sets(said, "import_cot") == {"fps2max16"} and sets(said, "regions") == {"uniform16"}


def test_only_the_run_of_a_recipe_is_given_it(clone):
    said = commands(clone, "results/report/table4.parquet", "--config", 'site={"external": {"video_r1_cot": "x"}}')
    given = dict(re.findall(r"stages\.train_grpo --config '?(\{.*?\})'? --row '?\{\"run\":\"(\w+)\"", said))
    by_run = {run: recipe for recipe, run in given.items()}
    assert "both_on_clean" in by_run["noisy"]
    evaluated = re.findall(r"stages\.evaluate --config '?(\{.*?\})'? --run (\w+) ", said)
    assert {run for recipe, run in evaluated if "both_on_clean" in recipe} == {"noisy"}
    assert ("{}", "ocr") in evaluated


def test_a_back_end_that_a_recipe_asks_for_is_in_the_environment_of_its_rules(clone):
    snakefile, table = clone / "Snakefile", clone / "config" / "runs.tsv"
    snakefile.write_text(snakefile.read_text() + SHOW)
    table.write_text(
        re.sub(r"\t(?!recipe$)\w+$", "\t-", table.read_text(), flags=re.M).replace("table5\t-", "table5\tmine", 1)
    )
    tiny = ("--configfile", "config/presets/tiny.yaml", "--config", 'runs={"recipes": true}')
    (clone / "config" / "recipes" / "mine.yaml").write_text("grpo: {lr: 1.0e-3}\n")
    assert "environments train train" in commands(clone, "all", *tiny)
    (clone / "config" / "recipes" / "mine.yaml").write_text("generation: {backend: vllm}\n")
    assert "environments vllm vllm" in commands(clone, "all", *tiny)


def test_a_faulty_recipe_stops_the_dry_run_with_one_sentence(clone):
    recipe = clone / "config" / "recipes" / "noisyrollout.yaml"
    recipe.write_text(recipe.read_text().replace("grad_rollouts", "grad_rolouts"))
    done = snakemake(clone, "-n", "--quiet", "all")
    assert done.returncode != 0
    assert "recipe noisyrollout (run noisy): grpo.ablation.grad_rolouts" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def maps_in(said):
    """Runs that are given cognitive maps, and the number of jobs that make them."""
    given = re.findall(r"--row '?\{\"run\":\"(\w+)\".*?--cognitive-maps (results/maps\S+)?", said)
    return {run for run, paths in given if paths}, len(re.findall(r"stages\.cognitive_maps ", said))


def test_maps_are_made_for_the_runs_whose_reward_needs_them_and_for_no_other(clone):
    external = ("--config", 'site={"external": {"video_r1_cot": "x"}}')
    assert maps_in(commands(clone, "results/report/table4.parquet", *external)) == (set(), 0)
    rewards, table = clone / "workflow" / "rollout3d" / "training" / "rewards", clone / "config" / "runs.tsv"
    (rewards / "mapped.py").write_text((rewards / "ocr.py").read_text() + "\nNEEDS_MAPS = True\n")
    lines = [line for line in table.read_text().splitlines() if not line.startswith("#")]
    place = lines[0].split("\t").index("reward")
    cells = next(line for line in lines if line.startswith("noisy\t")).split("\t")
    changed = "\t".join([*cells[:place], "mapped", *cells[place + 1 :]])
    recipe = clone / "config" / "recipes" / "noisyrollout.yaml"
    recipe.write_text(recipe.read_text() + "\nprompts: {think: map}\n")
    table.write_text(table.read_text().replace("\t".join(cells), changed))
    assert maps_in(commands(clone, "results/report/table4.parquet", *external)) == ({"noisy"}, 48)


def test_a_prompt_that_lists_the_maps_categories_needs_maps_in_grpo_alone(clone):
    leaks = '{"think": "map", "leak_keys": true}'
    said = commands(clone, "results/runs/ocr/model.json", "--config", f"prompts={leaks}")
    runs, n = maps_in(said)
    assert runs == {"filter", "ocr"} and n == 48
    assert maps_in(commands(clone, "results/runs/ocr/model.json", "--config", 'prompts={"think": "map"}')) == (set(), 0)


def test_maps_of_all_scans_are_a_target(clone):
    said = commands(clone, "maps", "--configfile", "config/presets/tiny.yaml")
    assert maps_in(said)[1] > 0 and "stages.questions" not in said
