"""Cognitive maps in training: whose they are, when they are needed, the categories that prompts list."""

from __future__ import annotations

import logging

import pytest
import training_world as tw

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.errors import InvalidInput
from rollout3d.model.media import FrameStore
from rollout3d.training import grpo
from rollout3d.training import run as trainer
from rollout3d.training.data import NotTrainable, Questions
from rollout3d.training.rewards import Written
from rollout3d.training.run import Inputs, run_grpo

CELLS = {"scene_a": {"bed": [[1, 2]], "lamp": [[3, 4], [9, 9]]}, "scene_b": {"sofa": [[0, 0]]}}


def table(folder, splits=None, grids=(10,)):
    """Maps of two of the three training scenes."""
    rows = [
        {
            "scene_id": scene,
            "space_id": scene,
            "dataset": "scannet",
            "split": (splits or {}).get(scene, "train"),
            "grid": grid,
            "border": [0.0, 0.0, 4.0, 4.0],
            "cells": [{"category": category, "cells": found} for category, found in cells.items()],
        }
        for scene, cells in CELLS.items()
        for grid in grids
    ]
    tables.write(tables.COGNITIVE_MAPS, folder / "maps.parquet", rows, tw.NOWHERE)
    return folder / "maps.parquet"


def with_prompts(**prompts) -> Config:
    return Config.model_validate(tw.config().model_dump() | {"prompts": prompts})


LEAKS = {"think": "map", "leak_keys": True}


def questions_of(files, config):
    rows = tables.read(tables.OCR_RL, files["ocr_rl"])
    return Questions(rows, FrameStore([files["frames"]]), config.video, config.prompts.wording, 0)


def inputs(files, *maps):
    return Inputs(files["init"], files["ocr_rl"], [files["frames"]], cognitive_maps=maps)


@pytest.fixture
def rewarded():
    """A run whose reward compares answers with maps."""
    return tw.run("vanilla").model_copy(update={"reward": "spacer"})


def test_a_reward_is_given_the_maps_of_training_scenes(files, tmp_path, rewarded, caplog):
    config = tw.config()
    questions = questions_of(files, config)
    with caplog.at_level(logging.WARNING):
        assert trainer._maps(config, rewarded, inputs(files, table(tmp_path)), questions) == CELLS
    assert "1 of 3 training scenes have no cognitive map, such as scene_c" in caplog.text


def test_no_map_is_read_where_nothing_needs_one(files, tmp_path):
    for config in (tw.config(), with_prompts(think="map")):
        given = inputs(files, tmp_path / "missing.parquet")
        assert trainer._maps(config, tw.run("vanilla"), given, questions_of(files, config)) is None


def test_maps_that_are_needed_and_missing_stop_the_run_with_the_remedy(files, tmp_path, rewarded):
    config = tw.config()
    questions = questions_of(files, config)
    with pytest.raises(NotTrainable, match="reward: spacer needs the cognitive maps of the training scenes"):
        trainer._maps(config, rewarded, inputs(files), questions)
    tables.write(tables.COGNITIVE_MAPS, tmp_path / "none.parquet", [], tw.NOWHERE)
    with pytest.raises(NotTrainable, match="none of the 3 training scenes is in the tables of maps:"):
        trainer._maps(config, rewarded, inputs(files, tmp_path / "none.parquet"), questions)


def test_a_run_that_lists_categories_stops_without_maps_before_it_trains(files, tmp_path):
    with pytest.raises(NotTrainable, match=r"prompts\.leak_keys needs the cognitive maps"):
        run_grpo(with_prompts(**LEAKS), tw.run("vanilla"), inputs(files), tmp_path, lambda parents: tw.NOWHERE)


def test_a_benchmark_scene_among_the_questions_stops_the_run(files, tmp_path, rewarded):
    config = tw.config()
    given = inputs(files, table(tmp_path, {"scene_b": "val"}))
    with pytest.raises(InvalidInput, match="such as scene_b, are of split val"):
        trainer._maps(config, rewarded, given, questions_of(files, config))


def test_maps_have_the_grid_size_of_the_prompts(files, tmp_path, rewarded):
    config = with_prompts(think="plain", map_grid=15)
    with pytest.raises(InvalidInput, match="no map of 15 x 15 cells; the tables hold grids of 10"):
        trainer._maps(config, rewarded, inputs(files, table(tmp_path)), questions_of(files, config))


def listed(files, questions):
    """Scene -> the categories that its prompts list."""
    policy = tw.tiny_policy()
    found = {}
    for row in tables.read(tables.OCR_RL, files["ocr_rl"]):
        text = policy.tokenizer.decode(questions.prompt(row, questions.media(row), policy.encoder).input_ids)
        found[row["scene_id"]] = text.split("no others: ")[1].split(".\n")[0]
    return found


def test_prompts_list_the_maps_own_categories_where_they_leak_and_the_fixed_ones_elsewhere(files, tmp_path):
    config = with_prompts(**LEAKS)
    questions = questions_of(files, config)
    fixed = listed(files, questions)
    assert len(set(fixed.values())) == 1 and len(fixed["scene_a"].split(", ")) == 23
    trainer._maps(config, tw.run("vanilla"), inputs(files, table(tmp_path)), questions)
    assert listed(files, questions) == {"scene_a": "bed, lamp", "scene_b": "sofa", "scene_c": fixed["scene_c"]}


def test_a_reward_compares_with_the_categories_that_the_prompt_lists(files, tmp_path, rewarded):
    """The fixed list has a bed and a sofa, and no lamp; a scene's own list has all that its map has."""
    fixed = with_prompts(think="map")
    found = trainer._maps(fixed, rewarded, inputs(files, table(tmp_path)), questions_of(files, fixed))
    assert found == {"scene_a": {"bed": [[1, 2]]}, "scene_b": {"sofa": [[0, 0]]}}
    own = with_prompts(**LEAKS)
    assert trainer._maps(own, rewarded, inputs(files, table(tmp_path)), questions_of(files, own)) == CELLS


def test_a_room_without_a_listed_thing_has_no_map_and_a_run_of_such_rooms_stops(files, tmp_path, rewarded, monkeypatch):
    """With an empty map the release's rule would take a right answer's points for any map that is drawn."""
    fixed = with_prompts(think="map")
    monkeypatch.setitem(CELLS, "scene_a", {"lamp": [[3, 4]]})
    found = trainer._maps(fixed, rewarded, inputs(files, table(tmp_path)), questions_of(files, fixed))
    assert found == {"scene_b": {"sofa": [[0, 0]]}}
    monkeypatch.setitem(CELLS, "scene_b", {"lamp": [[0, 0]]})
    with pytest.raises(NotTrainable, match="in the tables of maps with an object of a category that the prompt lists"):
        trainer._maps(fixed, rewarded, inputs(files, table(tmp_path)), questions_of(files, fixed))


def test_a_reward_that_needs_maps_leaves_the_list_of_prompts_fixed(files, tmp_path, rewarded):
    config = with_prompts(think="map")
    questions = questions_of(files, config)
    trainer._maps(config, rewarded, inputs(files, table(tmp_path)), questions)
    assert len(listed(files, questions)["scene_a"].split(", ")) == 23


def test_a_runs_rollouts_earn_the_map_of_their_own_scene(files, tmp_path, rewarded, monkeypatch):
    """Every answer draws scene_b's map and is right: full marks there, none for scene_a, whose categories it lacks."""
    config = tw.config()
    truths = {row["question_id"]: row for row in tables.read(tables.OCR_RL, files["ocr_rl"])}
    judge = grpo.judge

    def drawn(name, question, texts, *given):
        answer = truths[question["question_id"]]["ground_truth"]
        text = f'<think><map>{{"sofa": [[0, 0]]}}</map></think> <answer>{answer}</answer>'
        return judge(name, question, [Written(text, written.n_tokens) for written in texts], *given)

    monkeypatch.setattr(grpo, "judge", drawn)
    run_grpo(config, rewarded, inputs(files, table(tmp_path)), tmp_path / "out", lambda parents: tw.NOWHERE)
    scores = {}
    for row in tables.read(tables.ROLLOUTS, tmp_path / "out" / "rollouts.parquet"):
        parts = {part["name"]: part["value"] for part in row["rewards"]}
        scores.setdefault(truths[row["question_id"]]["scene_id"], set()).add(parts["map"])
    assert scores and scores.items() <= {"scene_a": {0.0}, "scene_b": {1.0}, "scene_c": {0.0}}.items()
    assert len(scores) > 1
