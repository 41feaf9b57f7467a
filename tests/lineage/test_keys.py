"""Keys of the configuration, and configurations that hold only some of them."""

from fnmatch import fnmatchcase

import pytest

from rollout3d.config import Config, Run
from rollout3d.config.former import CONSTANTS, ONE_OF, identity_name
from rollout3d.config.keys import LATER, NO_EFFECT, has_effect, leaves, narrow, values
from rollout3d.config.question_types import PER_SCENE
from rollout3d.config.sections import UndeclaredKey
from rollout3d.evaluation.benchmarks import mind_cube
from rollout3d.stages import registry

CONFIG = Config()


def test_every_leaf_has_a_dotted_name_and_a_json_value():
    found = dict(leaves(CONFIG))
    assert found["video.train_frames"] == 16 and found["datasets.scannet.splits.train"] == ["train"]
    assert found["questions.per_scene"] == {} and found["toyworld"] is None
    assert found["models.base.name"] == "Qwen/Qwen2.5-VL-3B-Instruct"
    assert not any(isinstance(value, dict) and "shards" in value for value in found.values())


def test_a_narrowed_configuration_holds_the_declared_keys_only():
    held = narrow(CONFIG, values(CONFIG, ["grpo.lr", "datasets.scannet.*", "questions.per_scene"]))
    assert held.grpo.lr == CONFIG.grpo.lr and held.datasets["scannet"].splits.train == ["train"]
    assert list(held.datasets) == ["scannet"] and held.questions.per_scene == CONFIG.questions.per_scene
    for read in (lambda: held.grpo.beta, lambda: held.sft, lambda: held.questions.mix):
        with pytest.raises(UndeclaredKey):
            read()
    with pytest.raises(AttributeError):
        _ = held.grpo.no_such_key


def test_an_identity_holds_all_caps_of_questions_and_not_the_changed_ones_alone():
    def held(**per_scene):
        config = Config.model_validate({"questions": {"per_scene": per_scene}})
        (found,) = values(config, ["questions.per_scene"]).values()
        assert found == config.questions.caps
        return found

    assert held() == PER_SCENE and held(route_planning=4) == PER_SCENE | {"route_planning": 4}
    uncapped = held(route_planning=None)
    assert uncapped == {name: cap for name, cap in PER_SCENE.items() if name != "route_planning"}


def test_a_pattern_that_names_no_key_is_an_error():
    with pytest.raises(KeyError, match=r"grpo\.lrr"):
        values(CONFIG, ["grpo.lrr"])


def test_a_key_that_came_later_makes_no_result_stale_until_it_changes_something(monkeypatch):
    job = registry.Scope(run_name="r", run=Run(run="r", method="none", init="base"))
    before = registry.split(registry.job_values("evaluate", CONFIG, job))[0]
    monkeypatch.setitem(LATER, "evaluation.temperature", 0.0)
    own, beside = registry.split(registry.job_values("evaluate", CONFIG, job))
    assert before.keys() - own.keys() == {"evaluation.temperature"} and beside["evaluation.temperature"] == 0.0
    warm = CONFIG.model_copy(update={"evaluation": CONFIG.evaluation.model_copy(update={"temperature": 1.0})})
    assert registry.split(registry.job_values("evaluate", warm, job))[0]["evaluation.temperature"] == 1.0


def test_the_released_length_of_an_answer_counts_in_place_of_the_configurations():
    """Both ways: an edited file asks anew, and a key that the benchmark does not use asks nothing again."""
    direct, think = (Run(run=style, method="none", init="base", style=style) for style in ("direct", "think"))

    def tokens(stage, benchmark, run):
        job = registry.Scope(benchmark=benchmark, run=run, run_name=run.run)
        return registry.job_values(stage, CONFIG, job).get("evaluation.max_new_tokens_direct")

    for stage in ("evaluate", "score"):
        assert tokens(stage, "mind_cube", direct) == mind_cube.TOKENS == 1536
        assert tokens(stage, "vsibench", direct) == CONFIG.generation.max_new_tokens_direct == 16
        assert tokens(stage, "mind_cube", think) is None


def test_every_pattern_without_effect_names_a_key():
    keys = [*(identity_name(key) for key, _ in leaves(CONFIG)), *CONSTANTS, *ONE_OF]
    for pattern in (*NO_EFFECT, *LATER):
        assert any(fnmatchcase(key, pattern) for key in keys), pattern
    assert has_effect("sft.batch_size") and not has_effect("evaluation.batch_size")


def test_a_second_opinion_makes_annotations_stale_once_it_is_asked_for_and_its_prompt_counts_then():
    job = registry.Scope()
    own, beside = registry.split(registry.job_values("annotate", CONFIG, job))
    assert "cot.second_opinion" not in own and beside["cot.second_opinion"] is None
    assert "prompts/leak_check.txt" not in own
    asked = CONFIG.model_copy(update={"cot": CONFIG.cot.model_copy(update={"second_opinion": "gpt-4o-mini"})})
    own = registry.split(registry.job_values("annotate", asked, job))[0]
    assert own["cot.second_opinion"] == "gpt-4o-mini" and "prompts/leak_check.txt" in own


def with_questions(**changes):
    return CONFIG.model_copy(update={"questions": CONFIG.questions.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"strict": "remove"}, ["questions", "assemble"]),  # which prunes guesses from the text where strict removes
        ({"budget_answers": True}, ["questions"]),
    ],
)
def test_how_questions_are_judged_makes_the_questions_stale_and_nothing_above_or_beside_them(changes, expected):
    run = Run(run="r", method="grpo", init="base", train_table="ocr_rl", rollout="vanilla", reward="ocr", steps=1)
    changed = []
    for stage in registry.STAGES:
        if "*" in registry.STAGES[stage].keys(CONFIG, registry.Scope(key="base", dataset="scannet")):
            continue  # commands for people, which read everything
        scope = registry.Scope(dataset="scannet", key="base", setting="frames16", benchmark="vsibench", table="table1")
        scope = registry.Scope(**{**vars(scope), "run": run, "run_name": "r"})
        found = [registry.split(registry.job_values(stage, c, scope))[0] for c in (CONFIG, with_questions(**changes))]
        changed += [stage] * (found[0] != found[1])
    assert changed == expected


def test_judged_questions_depend_on_the_frames_that_are_shown_and_others_do_not():
    job = registry.Scope(dataset="scannet")
    assert registry.sets_read("questions", CONFIG, job) == {"visibility": ("full", "uniform16", "uniform32")}
    assert "video.train_frames" in registry.job_values("questions", CONFIG, job)
    for off in (with_questions(strict="off"), with_questions(compat="vsibench")):
        assert registry.sets_read("questions", off, job) == {}
        assert not any(key.startswith("video") for key in registry.job_values("questions", off, job))


def test_a_map_that_prompts_give_in_evaluation_makes_no_training_stale():
    run = Run(run="x", method="sft", init="base", train_table="ocr_sft")
    given = Config.model_validate({"evaluation": {"given_map": "random"}})
    scope = registry.Scope(run_name="x", run=run, key=None, benchmark=None)
    plain, changed = (registry.job_values("train_sft", each, scope) for each in (CONFIG, given))
    assert plain == changed
    asked = registry.Scope(run_name="x", run=run, benchmark="vsibench")
    assert registry.job_values("evaluate", CONFIG, asked) != registry.job_values("evaluate", given, asked)
