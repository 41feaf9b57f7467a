"""Frames and prompts of the filter model in each of the four settings."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.small_world import CONFIG, Recorder, map_rows, question_rows, tiny_policy, write_tables
from rollout3d.config import SETTINGS, Config
from rollout3d.difficulty.settings import predict, recipe
from rollout3d.model.answer import of_shard
from rollout3d.model.generate_hf import Batches
from rollout3d.model.media import FrameStore, decode_image

CONFIG = Config.model_validate(CONFIG)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_tables(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def policy():
    return tiny_policy()


def ask(name, files, policy, text="A", **changes):
    recorder = Recorder(text)
    store = FrameStore([files["frames"]], [files["maps"]])
    rows = predict(
        name,
        question_rows(),
        policy,
        store,
        CONFIG.generation,
        CONFIG.video,
        think="plain",
        seed=0,
        back_end=Batches(recorder),
        **changes,
    )
    return list(rows), recorder


def test_two_frames_are_the_first_and_the_last(files, policy):
    _, two = ask("frames2", files, policy)
    _, sixteen = ask("frames16", files, policy)
    (short,), (full,) = two.prompts[0].media, sixteen.prompts[0].media
    assert short.frames.shape[0] == 2 and full.frames.shape[0] == 4
    assert np.array_equal(short.frames[0], full.frames[0]) and np.array_equal(short.frames[1], full.frames[3])


def test_the_map_comes_before_the_video(files, policy):
    _, recorder = ask("frames16_bev", files, policy)
    for prompt in recorder.prompts:
        assert [medium.modality for medium in prompt.media] == ["image", "video"]
    shown = {m.key for p in recorder.prompts for m in p.media if m.modality == "image"}
    assert len(shown) == len(map_rows())
    first = decode_image(map_rows()[0]["bev"]["bytes"], "map")
    assert np.array_equal(recorder.prompts[0].media[0].frames[0], first)


@pytest.mark.parametrize("name", SETTINGS)
def test_only_the_model_after_grpo_is_asked_to_reason(files, policy, name):
    rows, recorder = ask(name, files, policy, text="<think>a</think><answer>A</answer>")
    texts = {policy.tokenizer.decode(prompt.input_ids) for prompt in recorder.prompts}
    reasons = name == "frames16_grpo"
    assert all(("<think>" in text) is reasons for text in texts)
    assert {row["scorer"] for row in rows} == {"tagged" if reasons else "vsibench"}
    assert {s.max_new_tokens for s in recorder.samplings} == {1024 if reasons else 16}
    assert all(s.temperature == 0 and s.n == 1 for s in recorder.samplings)
    assert {row["setting"] for row in rows} == {name}
    # The tagged A is right for scenes a and c; as raw text it is no answer to any question.
    assert sum(row["score"] for row in rows) == (2 if reasons else 0)


def test_frames_have_training_size_in_every_setting():
    for name in SETTINGS:
        setting = recipe(name, CONFIG.video).setting
        assert (setting.frame_set, setting.pixels, setting.probe) == ("uniform4", (784, 1568), None)
    with pytest.raises(ValueError, match="unknown setting 'frames3'"):
        recipe("frames3", CONFIG.video)


def test_shards_divide_the_questions_and_keep_a_space_together():
    rows = question_rows() * 20
    rows = [row | {"space_id": f"space{i // 2}", "question_id": f"q{i}"} for i, row in enumerate(rows)]
    rows.append(rows[0] | {"space_id": None, "question_id": "general"})
    parts = [of_shard(rows, shard, 3) for shard in range(3)]
    assert sorted(row["question_id"] for part in parts for row in part) == sorted(row["question_id"] for row in rows)
    spaces = [{row["space_id"] for row in part} - {None} for part in parts]
    assert not (spaces[0] & spaces[1] or spaces[1] & spaces[2] or spaces[0] & spaces[2])
    assert min(len(part) for part in parts) > 0
