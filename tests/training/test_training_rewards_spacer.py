"""Rewards of SpaceR and Spatial-R1 by hand, each difference of paper and release in both variants."""

from math import sqrt

import pytest
import training_world as tw
from hypothesis import given
from hypothesis import strategies as st
from training_step import engine, questions

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.model.regions import Regions
from rollout3d.model.sampling import Completion
from rollout3d.stages import registry
from rollout3d.training import grpo as grpo_module
from rollout3d.training import run as run_module
from rollout3d.training.data import NotTrainable
from rollout3d.training.grpo import reward, roll_out, show
from rollout3d.training.maps import check_maps
from rollout3d.training.rewards import Written, judge
from rollout3d.training.rollouts import Context

CHOICE = {"answer_type": "choice", "ground_truth": "B"}
NUMBER = {"answer_type": "number", "ground_truth": "100"}
TRUTH = {"table": [[0, 3], [5, 7]], "chair": [[9, 3]]}
EXACT = "<map>{'table': [[0, 3], [5, 7]], 'chair': [[9, 3]]}</map>"
NEAR = '<map>{"table": [[0, 3], [5, 4]], "chair": [[6, 7]]}</map>'
NEAR_SCORE = 1 - (0 + 3 + 5) / 3 / (10 * sqrt(2))  # .811438
WORTHLESS = "<map>{'lamp': [[1, 1]]}</map>"
SPACER = ("spacer", "spacer_no_length", "spacer_no_map")
PAPER, CODE = (Config().grpo.model_copy(update={"variant": variant}) for variant in ("paper", "code"))
BOTH = pytest.mark.parametrize("grpo", [PAPER, CODE], ids=["paper", "code"])


def text(answer, drawn=""):
    return f"<think>because {drawn}</think>\n<answer>{answer}</answer>"


def judged(name, row, grpo, *written, truth=TRUTH, grid=10):
    """Judgements of texts with their numbers of tokens."""
    return judge(name, row, [Written(words, n) for words, n in written], grpo, truth, grid)


def totals(name, row, grpo, *written, **more):
    return [each.total for each in judged(name, row, grpo, *written, **more)]


# --- equation 5 ------------------------------------------------------------------------------------------------------


def test_spacer_adds_format_task_length_and_the_map_of_a_right_answer():
    group = [(text("B", NEAR), 400), (text("A", NEAR), 400), (text("B"), 100), (f"<answer>B</answer>{NEAR}", 100)]
    found = judged("spacer", CHOICE, PAPER, *group)
    assert [each.total for each in found] == pytest.approx([1 + 1 + NEAR_SCORE + 0.2, 1, 2, 1 + NEAR_SCORE])
    assert found[0].parts == pytest.approx({"correctness": 1, "format": 1, "map": NEAR_SCORE, "length": 0.2})
    assert found[1].parts == {"correctness": 0, "format": 1, "map": 0, "length": 0}


@BOTH
def test_the_release_gives_the_same_where_nothing_differs(grpo):
    group = [(text("B", NEAR), 400), (text("B", EXACT), 513), (text("A", NEAR), 400)]
    assert totals("spacer", CHOICE, grpo, *group) == pytest.approx([2.2 + NEAR_SCORE, 3, 1])


@BOTH
def test_table_2s_variants_leave_one_part_out(grpo):
    group = [(text("B", NEAR), 400), (text("B"), 400)]
    assert totals("spacer", CHOICE, grpo, *group) == pytest.approx([2.2 + NEAR_SCORE, 2.2])
    assert totals("spacer_no_length", CHOICE, grpo, *group) == pytest.approx([2 + NEAR_SCORE, 2])
    assert totals("spacer_no_map", CHOICE, grpo, *group) == pytest.approx([2.2, 2.2])
    parts = {name: set(judged(name, CHOICE, grpo, *group)[0].parts) - {"map_penalty"} for name in SPACER}
    assert parts["spacer_no_length"] == {"correctness", "format", "map"}
    assert parts["spacer_no_map"] == {"correctness", "format", "length"}


@BOTH
def test_without_a_true_map_the_part_is_0(grpo):
    for drawn in (EXACT, WORTHLESS):
        (found,) = judged("spacer", CHOICE, grpo, (text("B", drawn), 100), truth=None)
        assert found.total == 2.0 and found.parts["map"] == 0.0


@BOTH
def test_the_grid_is_that_of_the_true_map(grpo):
    (found,) = judged("spacer", CHOICE, grpo, (text("B", NEAR), 100), grid=20)
    assert found.parts["map"] == pytest.approx(1 - (3 + 5) / 3 / (20 * sqrt(2)))


@BOTH
def test_the_temporal_bonus_of_t_grpo_is_added(grpo):
    group = [Written(text("B"), 5), Written(text("A"), 5), Written(text("A"), 5, shuffled=True)]
    assert [each.total for each in judge("spacer", CHOICE, group, grpo, TRUTH)] == pytest.approx([2.3, 1.0, 1.0])


# --- paper and release -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("grpo", "score"), [(PAPER, 1.0), (CODE, 1 / 3)], ids=["paper", "code"])
def test_too_many_instances_cost_in_the_release(grpo, score):
    drawn = "<map>{'chair': [[9, 3], [0, 0], [1, 1]]}</map>"
    (found,) = judged("spacer", CHOICE, grpo, (text("B", drawn), 100), truth={"chair": [[9, 3]]})
    assert found.parts["map"] == pytest.approx(score)


@pytest.mark.parametrize(("grpo", "score"), [(PAPER, 1 - 0.2 / sqrt(2)), (CODE, 1 - 0.3 / sqrt(2))])
def test_the_release_matches_the_closest_pair_first(grpo, score):
    drawn = "<map>{'chair': [[2, 0], [5, 0]]}</map>"
    (found,) = judged("spacer", CHOICE, grpo, (text("B", drawn), 100), truth={"chair": [[0, 0], [3, 0]]})
    assert found.parts["map"] == pytest.approx(score)


@pytest.mark.parametrize("worthless", [WORTHLESS, "<map></map>", "</map> <map>"])
def test_a_worthless_map_takes_a_right_answer_away_in_the_release(worthless):
    group = [(text("B", worthless), 400), (text("B"), 400)]
    assert totals("spacer", CHOICE, PAPER, *group) == pytest.approx([2.2, 2.2])
    found = judged("spacer", CHOICE, CODE, *group)
    # Nor does it count as right for the length reward, which then has one right answer only.
    assert [each.total for each in found] == [1.0, 2.0]
    assert found[0].parts == {"correctness": 1, "format": 1, "map": 0, "map_penalty": 1, "length": 0}
    assert totals("spacer", CHOICE, CODE, (text("B", "<map>"), 400), (text("A", WORTHLESS), 400)) == [2.0, 1.0]


def test_the_temporal_bonus_of_the_release_sees_what_a_worthless_map_took():
    group = [Written(text("B", WORTHLESS), 5), Written(text("B", EXACT), 5), Written(text("B"), 5, shuffled=True)]
    assert [each.parts["temporal"] for each in judge("spacer", CHOICE, group, PAPER, TRUTH)] == [0.3, 0.3, 0]
    # (0 + 2) / 2 >= .8 * 1, and the first is not right any more.
    assert [each.parts["temporal"] for each in judge("spacer", CHOICE, group, CODE, TRUTH)] == [0, 0.3, 0]


@pytest.mark.parametrize(("answer", "mra", "drawn"), [("100", 1.0, True), ("117", 0.7, True), ("127", 0.5, False)])
def test_the_map_of_a_number_counts_above_one_half_in_the_release_and_at_1_in_the_paper(answer, mra, drawn):
    group = (text(answer, NEAR), 100)
    assert totals("spacer", NUMBER, PAPER, group) == pytest.approx([1 + mra + (NEAR_SCORE if mra == 1 else 0)])
    assert totals("spacer", NUMBER, CODE, group) == pytest.approx([1 + mra + (NEAR_SCORE if drawn else 0)])
    lost = [1.0 if drawn else 1.0 + mra]
    assert totals("spacer", NUMBER, CODE, (text(answer, WORTHLESS), 100)) == pytest.approx(lost)


@pytest.mark.parametrize(("n", "paper", "code"), [(319, 0, 0), (320, 0, 0.2), (359, 0, 0.2), (360, 0.2, 0.2)])
def test_the_length_reward_begins_at_360_tokens_in_the_paper_and_320_in_the_release(n, paper, code):
    group = [(text("B"), n), (text("B"), 600)]
    for grpo, bonus in ((PAPER, paper), (CODE, code)):
        assert [each.parts["length"] for each in judged("spacer", CHOICE, grpo, *group)] == [bonus, 0]


@pytest.mark.parametrize(("n", "bonus"), [(512, 0.2), (513, 0.0)])
@BOTH
def test_the_length_reward_ends_at_512_tokens(grpo, n, bonus):
    group = [(text("B"), n), (text("B"), 600)]
    assert judged("spacer", CHOICE, grpo, *group)[0].parts["length"] == bonus


def test_the_release_rewards_a_length_if_two_rollouts_are_right_and_the_paper_any():
    group = [(text("B"), 400), (text("A"), 400)]
    assert totals("spacer", CHOICE, PAPER, *group) == pytest.approx([2.2, 1.0])
    assert totals("spacer", CHOICE, CODE, *group) == [2.0, 1.0]


@BOTH
def test_a_number_that_is_nearly_right_earns_the_length_reward(grpo):
    group = [(text("117"), 400), (text("117"), 400), (text("145"), 400)]
    # 45 % off meets one threshold of ten, and right is above .1.
    assert totals("spacer", NUMBER, grpo, *group) == pytest.approx([1.9, 1.9, 1.1])


@pytest.mark.parametrize(
    ("answer", "truth", "paper", "code"),
    [
        ("a distance of 3.5", "3.5", 1, 0),
        ("about a 3.5 m", "3.5", 1, 0),
        ("-2", "2", 0, 1),
        ("1,200", "1200", 1, 0),
        ("twenty-one", "21", 1, 0),
        ("1/2", "0.5", 1, 0),
        ("3.5 m", "3.5", 1, 1),
        ("no idea", "3.5", 0, 0),
    ],
)
def test_the_release_reads_numbers_with_its_faults(answer, truth, paper, code):
    row = {"answer_type": "number", "ground_truth": truth}
    for name in (*SPACER, "spatial_r1"):
        for grpo, expected in ((PAPER, paper), (CODE, code)):
            (found,) = judged(name, row, grpo, (text(answer), 100))
            assert (found.parts["correctness"], found.total) == (expected, 1 + expected)


@BOTH
def test_a_choice_must_equal_the_letter(grpo):
    written = [(text(answer), 100) for answer in ("B", " B\n", "b", "B.", "B. left", "(B)", "")]
    assert totals("spacer", CHOICE, grpo, *written) == [2, 2, 1, 1, 1, 1, 1]


def test_general_data_is_rewarded_as_video_r1_does():
    # Free form: ROUGE-1 has 2 of 3 words, ROUGE-2 1 of 2 pairs, and the longest common part 2 of 3 words.
    rows = {
        "ocr": ("one two three", "one two four", 2 / 3),
        "regression": ("12", "10", 0.8),
        "text": ("a red chair", "the red chair", (2 / 3 + 1 / 2 + 2 / 3) / 3),
    }
    for kind, (answer, truth, expected) in rows.items():
        for grpo in (PAPER, CODE):
            row = {"answer_type": kind, "ground_truth": truth}
            assert totals("spacer", row, grpo, (text(answer), 5), truth=None) == pytest.approx([1 + expected])
    row = {"answer_type": "regression", "ground_truth": "10"}
    assert totals("spacer", row, PAPER, (text("about 12 cm"), 5), truth=None) == pytest.approx([1.8])
    assert totals("spacer", row, CODE, (text("about 12 cm"), 5), truth=None) == [1.0]


# --- Spatial-R1 ------------------------------------------------------------------------------------------------------


def test_spatial_r1_has_eleven_thresholds_in_the_paper_and_ten_in_the_release():
    # 17 % off: within .5, .455, .41, .365, .32, .275, .23, .185 of eleven, and .5 to .2 of ten.
    assert totals("spatial_r1", NUMBER, PAPER, (text("117"), 100)) == pytest.approx([1 + 8 / 11])
    assert totals("spatial_r1", NUMBER, CODE, (text("117"), 100)) == pytest.approx([1.7])
    assert totals("spatial_r1", CHOICE, PAPER, (text("B"), 100), ("B", 100)) == [2.0, 0.0]


def test_the_release_of_spatial_r1_rewards_length_and_neither_has_maps():
    group = [(text("B", EXACT), 320), (text("B", WORTHLESS), 600)]
    assert totals("spatial_r1", CHOICE, PAPER, *group) == [2.0, 2.0]
    assert totals("spatial_r1", CHOICE, CODE, *group) == pytest.approx([2.2, 2.0])


def test_other_readings_of_a_number_hold_for_these_rewards_too():
    for numeric, expected in (("regression", 0.83), ("exact", 0.0)):
        grpo = PAPER.model_copy(update={"ablation": PAPER.ablation.model_copy(update={"numeric": numeric})})
        for name in ("spacer", "spatial_r1"):
            assert totals(name, NUMBER, grpo, (text("about 117"), 100)) == pytest.approx([1 + expected])
        assert totals("spacer", NUMBER, grpo, (text("100", NEAR), 100)) == pytest.approx([2 + NEAR_SCORE])
    grpo = PAPER.model_copy(update={"ablation": PAPER.ablation.model_copy(update={"mra_thresholds": 11})})
    assert totals("spacer", NUMBER, grpo, (text("117"), 100)) == pytest.approx([1 + 8 / 11])


# --- any text, any rollout, any run ----------------------------------------------------------------------------------

PIECES = st.sampled_from(
    ["<map>", "</map>", "<think>", "</think>", "<answer>", "</answer>", "{'table':", "[[0, 3]]", "}", "B", "100", " a "]
)


GENERAL = [{"answer_type": kind, "ground_truth": truth} for kind, truth in
           (("ocr", "two words"), ("text", "a red chair"), ("regression", "3.5"))]  # fmt: skip


@BOTH
@pytest.mark.parametrize("row", [CHOICE, NUMBER, *GENERAL], ids=lambda row: row["answer_type"])
@given(texts=st.lists(st.lists(PIECES | st.text(max_size=8), max_size=14).map("".join), min_size=2, max_size=3))
def test_any_text_stays_within_the_range_of_its_parts(grpo, row, texts):
    written = [Written(words, 400, shuffled=place == 1) for place, words in enumerate(texts)]
    for name in (*SPACER, "spatial_r1"):
        for truth in (TRUTH, {}, None):
            for each in judge(name, row, written, grpo, truth, 10):
                assert all(0 <= value <= 1 for value in each.parts.values())
                assert 0 <= each.total <= 3.5, "format, task, map, length .2, order .3"


def test_noisy_rollouts_earn_the_map_of_the_true_scene_under_the_object_centric_method(files):
    grpo = tw.config().grpo
    motor = engine(files, grpo)
    loaded = questions(files)
    regions = Regions([files["objects"]], [files["regions"]], loaded.frame_rows)
    context = Context(grpo, tw.run("object_centric", reward="spacer"), 0, 0, 4, regions)
    made = show(loaded.batch(0, 1)[0], loaded, context, motor)
    roll_out([made], motor, grpo, 0)
    right = made.question["ground_truth"]
    for rollout, drawn in zip(made.rollouts, (EXACT, NEAR, EXACT, ""), strict=True):
        rollout.completion = Completion([1], text(right, drawn), True)
    reward(made, "spacer", grpo, TRUTH)
    assert [rollout.view.name for rollout in made.rollouts] == ["clean", "clean", "perturbed", "perturbed"]
    assert made.rewards == pytest.approx([3, 2 + NEAR_SCORE, 3, 2])
    assert [rollout.judged.parts["map"] for rollout in made.rollouts] == pytest.approx([1, NEAR_SCORE, 1, 0])


def test_a_reward_that_needs_maps_is_refused_without_them():
    for name in ("spacer", "spacer_no_length"):
        with pytest.raises(NotTrainable, match=f"reward: {name} needs the cognitive maps.*spacer_no_map"):
            check_maps(name, None, {"scene_a"})
        with pytest.raises(NotTrainable, match="none of the 1 training scenes is in the tables"):
            check_maps(name, {"scene_b": TRUTH}, {"scene_a"})
        check_maps(name, {"scene_a": TRUTH}, {"scene_a", "scene_b"})
        check_maps(name, {}, set())  # general data alone
    for name in ("spacer_no_map", "spatial_r1", "ocr"):
        check_maps(name, None, {"scene_a"})


def test_a_run_whose_reward_needs_maps_and_has_none_ends_before_it_trains(files, tmp_path):
    run = tw.run("object_centric", reward="spacer", steps=2)
    with pytest.raises(NotTrainable, match="needs the cognitive maps"):
        run_module.run_grpo(tw.config(), run, tw.inputs(files), tmp_path, tw.lineage)


def test_the_maps_of_a_run_reach_its_reward_and_the_part_its_tables(files, tmp_path, monkeypatch):
    given, maps = [], {scene: {"chair": [[place, 0]]} for place, scene in enumerate(tw.SCENES)}

    def judging(name, question, written, grpo, truth, grid):
        given.append((question["scene_id"], truth, grid))
        return judge(name, question, written, grpo, truth, grid)

    monkeypatch.setattr(grpo_module, "judge", judging)
    monkeypatch.setattr(run_module, "_maps", lambda *_: maps)
    run = tw.run("object_centric", reward="spacer", steps=2)
    config = Config.model_validate(tw.config().model_dump() | {"prompts": {"think": "plain", "map_grid": 5}})
    run_module.run_grpo(config, run, tw.inputs(files), tmp_path, tw.lineage)
    assert len(given) == 4 and all((truth, grid) == (maps[scene], 5) for scene, truth, grid in given)
    for table in (tables.ROLLOUTS, tables.METRICS):
        for row in tables.read(table, tmp_path / f"{table.name}.parquet"):
            assert {part["name"] for part in row["rewards"]} >= {"map", "length", "correctness", "format", "total"}


def test_only_runs_with_these_rewards_depend_on_the_variant():
    for name in (*SPACER, "spatial_r1", "ocr", "video_r1_length"):
        run = tw.run("vanilla", reward=name)
        held = registry.job_values("train_grpo", tw.config(), registry.Scope(run=run, run_name=run.run))
        assert ("grpo.variant" in held) == (name.startswith("spa")), name
