"""Maps in evaluation: those that prompts give (SpaceR, Table 5), and the accuracy of the maps of answers."""

from __future__ import annotations

import json
import math
from typing import cast

import pytest

from evaluation.eval_rows import prediction, question
from evaluation.small_world import CONFIG, Recorder, question_rows, tiny_policy, write_tables
from evaluation.test_evaluation_scores import TRAINING
from rollout3d import preflight, tables
from rollout3d.cluster import Cluster
from rollout3d.config import Config, Evaluation, map_grid_of
from rollout3d.errors import InvalidInput
from rollout3d.evaluation.maps import given_maps, map_scores, random_map, true_maps
from rollout3d.evaluation.run import evaluate
from rollout3d.evaluation.scores import score_rows
from rollout3d.evaluation.settings import configured
from rollout3d.model.generate_hf import Batches
from rollout3d.model.load import save_policy
from rollout3d.model.media import FrameStore
from rollout3d.model.prompts import GivenMap, given_words, question_text
from rollout3d.model.wordings import listed_categories, wording_digest
from rollout3d.preflight import data
from rollout3d.report.grounding import map_line
from rollout3d.report.tables import build, read_references
from rollout3d.stages import cognitive_maps as maps_stage
from rollout3d.stages import evaluate as evaluate_stage
from rollout3d.stages import score as score_stage

TRUTH = {"chair": [[0, 0], [9, 9]], "sofa": [[5, 7]]}
ASKED_ABOUT = [question("q1", "object_counting", "2"), question("q2", "object_counting", "3", scene_id="scene0001_00")]
OPTIONS = {"grid": 10, "seed": 3, "max_without": 0.5}


def maps_row(scene, grid=10, cells=TRUTH, split="val"):
    entries = [{"category": name, "cells": found} for name, found in cells.items()]
    about = {"scene_id": scene, "space_id": scene, "dataset": "scannet", "split": split}
    return about | {"grid": grid, "border": [0.0, 0.0, 4.0, 4.0], "cells": entries}


def test_true_maps_are_those_of_every_split_at_one_grid_size(tmp_path):
    rows = [maps_row("a"), maps_row("a", 5, {"sofa": [[2, 3]]}), maps_row("b", split="train")]
    tables.write(tables.COGNITIVE_MAPS, tmp_path / "m.parquet", rows, tables.Lineage("test"))
    assert true_maps([tmp_path / "m.parquet"], 10) == {"a": TRUTH, "b": TRUTH}
    assert true_maps([tmp_path / "m.parquet"], 5) == {"a": {"sofa": [[2, 3]]}}


def test_a_random_map_has_the_categories_and_counts_of_the_true_one_and_the_same_cells_for_every_run():
    found = random_map(TRUTH, 10, 3, "scene")
    assert {name: len(cells) for name, cells in found.items()} == {"chair": 2, "sofa": 1}
    assert found == random_map(TRUTH, 10, 3, "scene") != random_map(TRUTH, 10, 4, "scene")
    assert found != random_map(TRUTH, 10, 3, "other")
    many = random_map({"chair": [[0, 0]] * 4000}, 5, 3, "scene")["chair"]
    counts = {(x, y): many.count([x, y]) for x in range(5) for y in range(5)}
    assert sum(counts.values()) == 4000 and all(100 < n < 220 for n in counts.values()), "160 each on average"


def test_prompts_are_given_true_or_random_maps_of_their_scene(caplog):
    true = given_maps("ground_truth", ASKED_ABOUT, truth={"scene0000_00": TRUTH}, **OPTIONS)
    assert {name: json.loads(text) for name, text in true.items()} == {"q1": TRUTH}
    assert "1 of 2 questions are given no map: their 1 scenes have none, such as scene0001_00" in caplog.text
    drawn = given_maps("random", ASKED_ABOUT, truth={"scene0000_00": TRUTH}, **OPTIONS)
    assert json.loads(drawn["q1"]) == random_map(TRUTH, 10, 3, "scene0000_00")
    with pytest.raises(
        InvalidInput, match=r"1 of 2 questions are about 1 scenes without .* scene0001_00: .*site\.boxes"
    ):
        given_maps("ground_truth", ASKED_ABOUT, truth={"scene0000_00": TRUTH}, **OPTIONS | {"max_without": 0.4})
    pictures = [question("p", "numerical", "1", scene_id=None)]
    assert given_maps("ground_truth", pictures, truth={}, **OPTIONS) == {}, "a question that is not about a scene"


def test_the_share_without_maps_is_that_of_the_whole_benchmark_and_not_of_a_shard():
    shard = ASKED_ABOUT[1:]
    with pytest.raises(InvalidInput, match="1 of 1 questions"):
        given_maps("ground_truth", shard, truth={"scene0000_00": TRUTH}, **OPTIONS)
    found = given_maps("ground_truth", shard, truth={"scene0000_00": TRUTH}, everything=ASKED_ABOUT, **OPTIONS)
    assert found == {}


def test_own_maps_are_those_of_the_answers_word_by_word(caplog):
    answers = [
        prediction(ASKED_ABOUT[0], 1.0, text="<think><map>{'chair': [(1, 2)]} </map></think><answer>2</answer>"),
        prediction(ASKED_ABOUT[0], 1.0, "black32", text="<think><map>{}</map></think><answer>2</answer>"),
        prediction(ASKED_ABOUT[1], 1.0, text="<think>none</think><answer>3</answer>"),
    ]
    found = given_maps("own", ASKED_ABOUT, truth={}, answers=answers, **OPTIONS)
    assert found == {"q1": "{'chair': [(1, 2)]}"}
    assert "1 of 2 answers have no map" in caplog.text
    none = [row | {"text": "<think>none</think><answer>2</answer>"} for row in answers]
    with pytest.raises(InvalidInput, match="none of 2 answers has a map"):
        given_maps("own", ASKED_ABOUT, truth={}, answers=none, **OPTIONS)
    with pytest.raises(InvalidInput, match="1 of 2 questions, such as q2, are not in the answers"):
        given_maps("own", ASKED_ABOUT, truth={}, answers=answers[:2], **OPTIONS)


def test_a_map_stands_before_the_question_and_its_braces_are_text():
    row = question("q", "object_counting", "2") | {"question": "How many {map}?"}
    text = question_text(row, (), "think", "plain", None, GivenMap('{"sofa": [[1, 2]]} {grid}', 15))
    before, after = text.split("</map>")
    assert before.endswith('<map>{"sofa": [[1, 2]]} {grid}') and "15x15" in before and "0 to 14" in before
    assert "How many {map}?" in after and text.endswith(question_text(row, (), "think", "plain"))
    assert all(field in given_words() for field in ("{grid}", "{last}", "{map}"))


def test_answers_with_reasoning_say_which_map_was_given_and_direct_ones_are_given_none():
    config = Config.model_validate({"evaluation": {"given_map": "random"}, "prompts": {"map_grid": 15}})
    wanted = configured(config, "think")
    assert wanted["prompt"] == "think_video_r1+random_map"
    digests = {wanted["prompt_digest"], wording_digest("think_video_r1")}
    assert len(digests) == 2 and wording_digest("think_video_r1+ground_truth_map") in digests
    assert configured(config, "direct")["prompt"] == "direct"
    assert map_grid_of(config) == 15 and map_grid_of(Config()) is None
    assert map_grid_of(Config.model_validate({"prompts": {"think": "map", "map_grid": 5}})) == 5


def test_the_map_of_an_answer_is_the_given_one_else_the_one_that_it_draws():
    truth = {"chair": [[0, 0]]}
    drawn = prediction("q", 1.0, text='<think><map>{"chair": [[3, 4]]}</map></think><answer>A</answer>')
    found = map_scores(drawn, truth, 10)  # 5 cells away: 1 - 5 / (10 sqrt 2)
    assert found is not None and found.paper == found.code == pytest.approx(1 - 5 / (10 * math.sqrt(2)))
    two = prediction("q", 1.0, text='<map>{"chair": [[0, 0], [9, 9]]}</map>')
    found = map_scores(two, truth, 10)
    assert found is not None and (found.paper, found.code) == (1.0, 0.5), "the release counts the second chair"
    given = drawn | {"given_map": '{"chair": [[0, 0]]}'}
    found = map_scores(given, truth, 10)
    assert found is not None and found.paper == 1.0
    assert map_scores(prediction("q", 1.0), truth, 10) is None


def test_a_drawn_map_is_compared_with_the_categories_that_its_prompt_listed():
    """The list has chairs and no lamp. A true or random map that a prompt gave has all of its scene."""
    room = {"chair": [[0, 0]], "lamp": [[9, 9]]}
    text = '<think><map>{"chair": [[0, 0]]}</map></think><answer>A</answer>'

    def accuracy(prompt, truth=room, **more):
        found = map_scores(prediction("q", 1.0, text=text) | {"prompt": prompt} | more, truth, 10)
        return found and (found.paper, found.code)

    assert accuracy("think_map10") == accuracy("think_map15") == (1.0, 1.0)
    assert accuracy("think_plain_map10") == (0.5, 0.5), "it asks for all things"
    assert accuracy("think_map10+own_map", given_map='{"chair": [[0, 0]]}') == (1.0, 1.0)
    assert accuracy("think_map10+random_map", given_map='{"chair": [[0, 0]]}') == (0.5, 0.5)
    assert accuracy("think_video_r1") == accuracy(None) == (0.5, 0.5), "nothing is known of a list"
    assert accuracy("think_map10", {"lamp": [[9, 9]]}) is None, "the room has nothing that the prompt asks for"


def test_the_categories_of_a_map_prompt_are_those_of_its_file():
    listed = listed_categories("think_map10")
    assert len(listed) == len(set(listed)) == 23 and {"chair", "trash can", "trash bin"} < set(listed)
    assert listed_categories("think_map20+own_map") == listed
    assert not any(listed_categories(name) for name in ("think_plain_map10", "think_video_r1", "direct"))


def mapped_scores():
    """Answers to four questions: a map 5 cells off, an exact one, none, and one about a scene without a true map."""
    asked = [question(f"c{i}", "object_counting", "3") for i in range(3)]
    asked.append(question("c3", "object_counting", "3", scene_id="scene0009_00"))
    maps = ['<map>{"chair": [[3, 4]]}</map>', '<map>{"chair": [[0, 0]]}</map>', "", '<map>{"chair": [[0, 0]]}</map>']
    answered = [prediction(q, 1.0, text=f"<think>{m}</think><answer>3</answer>") for q, m in zip(asked, maps)]
    return score_rows("spacer", "vsibench", answered, asked, TRAINING, maps={"scene0000_00": {"chair": [[0, 0]]}})


def test_scores_hold_the_share_of_answers_with_a_map_and_the_mean_accuracy_of_those():
    overall = {row["view"]: row for row in mapped_scores() if row["task"] == "overall"}
    accuracy = (2 - 5 / (10 * math.sqrt(2))) / 2
    assert overall["video"]["mapped"] == 0.5
    assert overall["video"]["map_accuracy"] == overall["video"]["map_accuracy_code"] == pytest.approx(accuracy)
    assert overall["random"]["mapped"] is None and overall["random"]["map_accuracy"] is None
    said = map_line(overall.values())
    assert "spacer 82.3%, by SpaceR's release 82.3% (50% of 4 answers have a map)" in said
    assert map_line([row | {"mapped": None} for row in overall.values()]) == ""


def test_tables_5_and_6_show_the_accuracy_of_the_maps():
    scores = mapped_scores()
    for table, row in (("spacer_table5", "Model-generated"), ("spacer_table6", "10 x 10")):
        cells = build(table, read_references(), scores=scores)
        (cell,) = (c for c in cells if (c["row"], c["column"]) == (row, "Map accuracy"))
        assert (cell["paper"], cell["n"]) == (42.1, 2) and cell["ours"] == pytest.approx(82.322330)
    given = [row | {"run": "spacer_true_map"} for row in scores]
    cells = build("spacer_table5", read_references(), scores=given)
    (cell,) = (c for c in cells if (c["row"], c["column"]) == ("Ground truth", "Avg."))
    assert (cell["paper"], cell["ours"]) == (47.7, 100.0)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    found = write_tables(root)
    found["cognitive"] = str(root / "cognitive.parquet")
    cells = [maps_row(scene, cells={"sofa": [[i, 2]]}) for i, scene in enumerate("abc")]
    tables.write(tables.COGNITIVE_MAPS, found["cognitive"], cells, tables.Lineage("test"))
    return found


def test_each_prediction_holds_the_map_that_its_prompt_gave(files):
    rows, recorder = question_rows(), Recorder("<think>a</think><answer>A</answer>")
    texts = {rows[0]["question_id"]: GivenMap('{"sofa": [[0, 2]]}', 10)}
    config = Evaluation(given_map="ground_truth")
    how = {"style": "think", "think": "plain", "most_tokens": 4, "batch_size": 8, "seed": 0, "given_maps": texts}
    video, policy = Config.model_validate(CONFIG).video, tiny_policy()
    made = list(
        evaluate("r", rows, policy, FrameStore([files["frames"]]), config, video, back_end=Batches(recorder), **how)
    )
    assert [row["given_map"] for row in made] == ['{"sofa": [[0, 2]]}', *[None] * 5]
    assert {row["prompt"] for row in made} == {"think_plain+ground_truth_map"}
    lengths = [len(prompt.input_ids) for prompt in recorder.prompts]
    longest = recorder.keys.index(rows[0]["question_id"])
    assert lengths[longest] == max(lengths) > sorted(lengths)[-2] + 50


def test_the_stage_gives_true_maps_and_scoring_compares_them(files, tmp_path, capsys):
    save_policy(tiny_policy(), tmp_path / "model", kind="tiny")
    config = CONFIG | {
        "generation": {"backend": "hf", "max_new_tokens": 3},
        "evaluation": {"given_map": "ground_truth"},
    }
    run = "--run r --benchmark synthetic --method grpo"
    shown = f"--model {tmp_path}/model/model.json --questions {files['questions']} --frames {files['frames']}"
    words = f"{run} {shown} --out {tmp_path}/p.parquet".split()

    def call(stage, config, *words):
        stage.main(["--config", json.dumps(config), *words])

    with pytest.raises(SystemExit):
        call(evaluate_stage, config, *words)
    assert "evaluation.given_map: ground_truth needs --maps" in capsys.readouterr().err
    call(evaluate_stage, config, *words, "--maps", files["cognitive"])
    made = tables.read(tables.PREDICTIONS, tmp_path / "p.parquet")
    assert {row["given_map"] for row in made} == {f'{{"sofa": [[{i}, 2]]}}' for i in range(3)}
    lineage = tables.lineage(tmp_path / "p.parquet")
    assert "maps" in lineage["parents"] and lineage["values"]["evaluation.given_map"] == "ground_truth"
    assert "prompts/given_map.txt" in lineage["values"] and lineage["values"]["prompts.map_grid"] == 10
    given = f"{run} --predictions {tmp_path}/p.parquet --questions {files['questions']} --train {files['ocr_rl']}"
    call(score_stage, config, *given.split(), "--maps", files["cognitive"], "--out", str(tmp_path / "s.parquet"))
    scores = tables.read(tables.SCORES, tmp_path / "s.parquet")
    (overall,) = (row for row in scores if row["task"] == "overall" and row["view"] == "video")
    assert (overall["mapped"], overall["map_accuracy"], overall["map_accuracy_code"]) == (1.0, 1.0, 1.0)
    assert "think_plain+ground_truth_map" in overall["settings"]
    with pytest.raises(SystemExit):
        call(score_stage, CONFIG, *given.split(), "--maps", files["cognitive"], "--out", str(tmp_path / "no.parquet"))
    assert "--maps: prompts of this configuration offer no map" in capsys.readouterr().err


def test_maps_of_published_boxes_have_the_rectangle_around_all_boxes_as_border(tmp_path, caplog):
    from questions.question_rooms import object_rows, scene_row

    things = [("chair", (1.0, 1.0, 0.4), (1.0, 1.0, 0.9)), ("bed", (4.0, 2.5, 0.3), (2.0, 1.0, 0.5))]
    tables.write(tables.SCENES, tmp_path / "s.parquet", [scene_row(things, split="val")], tables.Lineage("test"))
    tables.write(tables.OBJECTS, tmp_path / "o.parquet", object_rows(things), tables.Lineage("test"))
    given = f"--scenes {tmp_path}/s.parquet --objects {tmp_path}/o.parquet --out {tmp_path}/m.parquet"
    maps_stage.main(given.split())
    assert "the border of a map is the rectangle around its boxes" in caplog.text
    (row,) = (row for row in tables.read(tables.COGNITIVE_MAPS, tmp_path / "m.parquet") if row["grid"] == 10)
    assert row["border"] == [0.5, 0.5, 5.0, 3.0]  # chair 0.5 to 1.5 both ways; bed 3 to 5 and 2 to 3
    # 4.5 x 2.5 m: chair (1 - 0.5) / 4.5 and / 2.5 of ten cells; bed 3.5 / 4.5 and 2.0 / 2.5
    assert {entry["category"]: entry["cells"] for entry in row["cells"]} == {"bed": [[7, 8]], "chair": [[1, 2]]}


@pytest.mark.parametrize(
    ("boxes", "says"), [(None, "site.boxes is missing"), ("/nowhere/boxes", "there is no /nowhere/boxes")]
)
def test_the_preflight_asks_for_published_boxes_where_maps_are_made_of_them(boxes, says):
    config = Config.model_validate({"site": {"boxes": boxes}})
    study = preflight.Study(config, {}, cast(Cluster, None))
    job = preflight.Job("ingest_meta", {}, [], ["scenes.parquet"])
    (found,) = [finding for finding in data.check(study, [job]) if "boxes" in finding.text]
    assert says in found.text and found.stops
    assert not [finding for finding in data.check(study, []) if "boxes" in finding.text]
