"""The table of a study: arms beside the baseline, by hand; arms that cannot be compared; equal cost of all arms."""

import numpy as np
import pytest

from evaluation.eval_rows import prediction, question
from rollout3d import config, tables
from rollout3d.config import ConfigError
from rollout3d.config.arms import BASELINE, PILOT, arms_of
from rollout3d.config.recipes import of_run
from rollout3d.errors import InvalidInput
from rollout3d.evaluation import benchmarks
from rollout3d.evaluation.arms import cost, design_rows, measures, study_rows
from rollout3d.resources import shipped
from rollout3d.stages import study_table
from rollout3d.training.rollouts import Context, gradient_counts, in_loss, make_views, planned_views

RIGHT, WRONG = "<think>x</think><answer>4</answer>", "<think>x</think><answer>9</answer>"
ASKED = [question(f"c{i}", "object_counting", "4") | {"space_id": room} for i, room in enumerate("aabb")]
AVERAGE = benchmarks.get("synthetic").average


def answers(run, marks, setting="uniform32"):
    return [
        prediction(q, 0.0, setting=setting, text=RIGHT if mark else WRONG) | {"model": run}
        for q, mark in zip(ASKED, marks, strict=True)
    ]


def claim(number, queried, context, absent, **other):
    counts = {"queried": queried, "context": context, "absent": absent}
    return {"question_id": f"c{number}", "view": "video", "reason": None} | counts | other


def measured(video, black=(0, 0, 0, 0), claims=()):
    rows = answers("r", video) + answers("r", black, "black32")
    return measures(rows, ASKED, claims, AVERAGE, "tagged")


def test_measures_of_a_run_by_hand():
    told = [
        claim(0, 2, 1, 0),
        claim(2, 0, 0, 1),
        claim(3, 9, 9, 9, view="black"),
        claim(1, 9, 9, 9, reason="no thought"),
    ]
    found = measured((1, 1, 1, 0), (1, 0, 0, 0), told)
    assert list(found) == ["score", "seen", "queried", "context", "absent"]
    means = {name: np.mean([*rooms.values()]) for name, rooms in found.items()}
    assert means == pytest.approx({"score": 0.75, "seen": 0.5, "queried": 0.5, "context": 0.25, "absent": 0.25})
    assert found["score"] == pytest.approx({"a": 1.0, "b": 0.5})


def test_arms_stand_beside_the_baseline_with_the_difference_of_each_seed():
    base = [measured((1, 0, 1, 0)), measured((1, 0, 0, 0))]
    better = [measured((1, 1, 1, 0)), measured((1, 1, 0, 0))]
    design = design_rows([measured((1, 0, 0, 0)), measured((1, 1, 0, 0))], seeds=2)
    rows = {(row["arm"], row["measure"]): row for row in study_rows({BASELINE: base, "ocr": better}, design)}
    own = rows["ocr", "score"]
    assert own["value"] == pytest.approx(62.5) and rows[BASELINE, "score"]["difference"] is None
    # Room a gains 50 points with both seeds, room b nothing: MS_room = 2 (25^2 + 25^2) over 4 cells, one degree.
    assert own["difference"] == pytest.approx(25) and own["by_seed"] == pytest.approx([25, 25])
    assert own["error"] == pytest.approx(25) and own["high"] == pytest.approx(25 + 12.706205 * 25, abs=1e-3)
    assert own["detectable"] == design[0]["detectable"] and own["detectable"] > 0
    assert (own["seeds"], own["rooms"]) == (2, 2)


def test_tokens_of_a_training_count_where_the_rollout_enters_the_loss():
    def drawn(view, sample, n_tokens):
        return {"view": view, "sample": sample, "n_tokens": n_tokens}

    rows = [drawn("clean", 0, 10), drawn("clean", 1, 20), drawn("clean", 2, 400), drawn("noisy", 0, 3)]
    flags = {"clean": [True, True, False], "noisy": [False]}
    assert cost(rows, flags) == (433, 30)
    with pytest.raises(InvalidInput, match="rollout 3 of the view clean"):
        cost([drawn("clean", 3, 1)], flags)
    base = [measured((1, 0, 1, 0)), measured((1, 0, 0, 0))]
    rows = study_rows({BASELINE: base, "ocr": base}, [], costs={BASELINE: [(433, 30), (435, 31)]})
    assert {(row["arm"], row["generated_tokens"], row["gradient_tokens"]) for row in rows} == {
        (BASELINE, 434, 30.5),
        ("ocr", None, None),
    }


def test_views_of_one_name_count_together():
    ablation = {"fresh_noise": True, "grad_rollouts": "both_on_clean"}
    grpo = config.Grpo.model_validate({"n_clean": 4, "n_perturbed": 2, "ablation": ablation})
    named = {"run": "r", "method": "grpo", "init": "sft", "train_table": "ocr_rl", "rollout": "noisy", "reward": "ocr"}
    run = config.Run.model_validate(named | {"steps": 10, "seed": 0})
    flags = in_loss(planned_views(grpo, run, 2), most=4)
    assert flags == {"clean": [True, True, False, False], "noisy": [True, True]}


def test_planned_views_are_those_before_anything_is_made_one_clean_view():
    grpo = config.Grpo.model_validate({"n_clean": 3, "n_perturbed": 3, "ablation": {"reallocate_when_zero": True}})
    named = {"run": "r", "method": "grpo", "init": "sft", "train_table": "ocr_rl", "rollout": "object_centric"}
    named |= {"reward": "ocr", "schedule": "linear", "regions": "aabb_none", "steps": 10, "seed": 0}
    found = planned_views(grpo, config.Run.model_validate(named), 2)
    assert [(view.name, view.n) for view in found] == [("clean", 3), ("perturbed", 3)]


def test_runs_that_were_not_asked_alike_are_refused():
    base = [measured((1, 0, 1, 0)), measured((1, 0, 0, 0))]
    fewer = [{"score": run["score"]} for run in base]
    with pytest.raises(InvalidInput, match="different measures"):
        study_rows({BASELINE: [base[0], fewer[1]]}, [])
    with pytest.raises(InvalidInput, match="not of the same seeds and rooms"):
        study_rows({BASELINE: fewer, "ocr": base}, [])
    with pytest.raises(InvalidInput, match="answers are to other questions, such as c3"):
        measures(answers("r", (1, 1, 1, 1)), ASKED[:3], (), AVERAGE, "tagged")


# --- the run table of the study --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def study():
    own = config.load(shipped("config/config.yaml"), shipped("config/presets/study.yaml"))
    return own, config.read_runs(own.runs.table, own)


def test_the_study_has_eight_arms_of_five_seeds_from_one_start(study):
    _, runs = study
    arms = arms_of(runs)
    named = ["vanilla", "tgrpo", "noisy", "downsample", "ocr", "ocr_fix", "ocr_only", "ocr_excluded"]
    assert list(arms) == [PILOT, *named]
    assert all([runs[name].seed for name in arms[arm]] == [0, 1, 2, 3, 4] for arm in named)
    assert {runs[name].init for names in arms.values() for name in names} == {"sft"}
    assert len({runs[name].steps for names in arms.values() for name in names}) == 1


class Regions:
    """Regions of a room with six objects, of which 1 and 2 are queried."""

    def objects(self, scene):
        return [1, 2, 3, 4, 5, 6]

    def union(self, scene, objects, shape):
        return np.isin(np.arange(np.prod(shape)).reshape(shape) % 7, list(objects))


def test_all_arms_generate_and_train_on_as_many_rollouts_at_every_step(study):
    """Counted from what the rollout methods make of the configuration of each run, over the whole schedule."""
    own, runs = study
    row = {"question_id": "q", "scene_id": "s", "objects": [{"category": "bed", "object_ids": [1, 2]}]}
    frames = np.zeros((own.video.train_frames, 4, 4, 3), np.uint8)
    counts = {}
    for arm, (name, *_) in arms_of(runs).items():
        run, grpo = runs[name], of_run(own, runs[name]).grpo
        assert grpo.ablation.kl_of_skipped  # else the rewards would decide which groups are computed
        for step in (0, run.steps // 2, run.steps - 1):
            views = make_views(row, frames, Context(grpo, run, 0, step, run.steps, Regions()))
            generated, giving = sum(view.n for view in views), sum(gradient_counts(views, grpo.ablation.grad_limit))
            cost = (generated, giving, grpo.prompts_per_step, run.steps, grpo.max_new_tokens, grpo.updates_per_rollout)
            counts.setdefault(cost, []).append(arm)
    assert len(counts) == 1, counts
    ((generated, giving, *_),) = counts
    assert (generated, giving) == (12, 6)


def test_variants_of_ocr_perturb_the_objects_that_they_are_named_after(study):
    own, runs = study
    row = {"question_id": "q", "scene_id": "s", "objects": [{"category": "bed", "object_ids": [1, 2]}]}
    frames = np.zeros((own.video.train_frames, 4, 4, 3), np.uint8)
    perturbed = {}
    for arm in ("ocr", "ocr_only", "ocr_excluded"):
        run = runs[f"{arm}_0"]
        made = [Context(of_run(own, run).grpo, run, 0, step, run.steps, Regions()) for step in range(run.steps)]
        views = [view for context in made for view in make_views(row, frames, context)]
        perturbed[arm] = {each for view in views for each in view.perturbed_objects}
    assert perturbed == {"ocr": {1, 2, 3, 4, 5, 6}, "ocr_only": {1, 2}, "ocr_excluded": {3, 4, 5, 6}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vanilla_1": {"steps": 7}}, "arm vanilla differ by more than their seed"),
        ({"pilot_5": {"steps": 7}, "pilot_6": {"steps": 7}, "pilot_7": {"steps": 7}}, "pilot differs from vanilla"),
        ({"ocr_4": None}, r"arm ocr has the seeds \[0, 1, 2, 3\]"),
        ({f"pilot_{i}": None for i in (5, 6, 7)}, "no arm pilot"),
    ],
)
def test_a_run_table_whose_arms_cannot_be_compared_is_refused(study, change, says):
    runs = {name: run for name, run in study[1].items() if change.get(name, {}) is not None}
    for name, update in change.items():
        if update:
            runs[name] = runs[name].model_copy(update=update)
    with pytest.raises(ConfigError, match=says):
        arms_of(runs)


def test_a_run_table_without_arms_has_no_study(study):
    assert arms_of({name: run for name, run in study[1].items() if "_" not in name}) == {}


# --- the stage -------------------------------------------------------------------------------------------------------

HEADER = "run\tmethod\tinit\ttrain_table\trollout\tschedule\tregions\treward\tsteps\tseed"


def test_the_stage_states_the_design_then_compares_and_gives_the_same_bytes_again(tmp_path, capsys):
    lines = [HEADER]
    for run in ("pilot_5", "pilot_6", "vanilla_0", "vanilla_1", "noisy_0", "noisy_1"):
        arm, _, seed = run.partition("_")
        lines.append(f"{run}\tgrpo\tbase\tocr_rl\t{'noisy' if arm == 'noisy' else 'vanilla'}\t-\t-\tocr\t2\t{seed}")
        marks = [(i + int(seed) + len(arm)) % 3 > 0 for i in range(4)]
        rows = answers(run, marks) + answers(run, (0, 0, 1, 0), "black32")
        tables.write(tables.PREDICTIONS, tmp_path / f"{run}.parquet", rows, tables.Lineage("test"))
    (tmp_path / "runs.tsv").write_text("\n".join(lines) + "\n")
    tables.write(tables.QUESTIONS, tmp_path / "questions.parquet", ASKED, tables.Lineage("test"))
    settings = (
        f'{{"runs": {{"table": "{tmp_path}/runs.tsv", "select": ["vanilla_0"]}}, "difficulty": {{"run": "vanilla_0"}}, '
    )
    settings += '"evaluation": {"benchmarks": ["synthetic"]}}'
    given = ["--config", settings, "--questions", str(tmp_path / "questions.parquet")]

    def made(out, pattern, *more):
        files = sorted(map(str, tmp_path.glob(pattern)))
        study_table.main([*given, "--predictions", *files, *more, "--out", str(tmp_path / out)])
        return (tmp_path / out).read_bytes()

    made("design.parquet", "pilot_*.parquet")
    design = ["--design", str(tmp_path / "design.parquet")]
    assert made("one.parquet", "[nv]*_[01].parquet", *design) == made("two.parquet", "[nv]*_[01].parquet", *design)
    rows = tables.read(tables.STUDY, tmp_path / "one.parquet")
    assert {row["arm"] for row in rows} == {"vanilla", "noisy"} and {row["measure"] for row in rows} == {
        "score",
        "seen",
    }
    assert all(row["detectable"] is not None for row in rows)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        made("three.parquet", "vanilla_*.parquet", *design)
    assert "noisy_0, noisy_1" in capsys.readouterr().err
