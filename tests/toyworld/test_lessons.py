"""Training data of the small model: true statements about rooms, and a loss mainly on answers."""

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from rollout3d.config import read
from rollout3d.cot import geometric
from rollout3d.seeding import stable_hash
from toyworld.model import lessons, training
from toyworld.model.architecture import build_tiny, tiny_tokenizer
from toyworld.model.training import QUESTION_WEIGHT, _corpus, _order, lesson_row
from toyworld.rendering.quick import sample_room
from toyworld.settings import StudyConfig

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config"
STUDY = read.load(CONFIG / "config.yaml", CONFIG / "presets" / "tiny.yaml", model=StudyConfig)
REASON = partial(geometric.reasoning, seed=STUDY.seed)


def with_model(**changes):
    """Return the study with other settings of the small model."""
    toyworld = STUDY.toyworld.model_copy(update={"model": STUDY.toyworld.model.model_copy(update=changes)})
    return STUDY.model_copy(update={"toyworld": toyworld})


@pytest.fixture(scope="module")
def room():
    return lessons.make_room(3, STUDY, REASON)


def test_a_room_is_the_same_every_time_and_unlike_the_next(room):
    again, other = lessons.make_room(3, STUDY, REASON), lessons.make_room(4, STUDY, REASON)
    assert np.array_equal(room.frames, again.frames) and room.lessons == again.lessons
    assert room.lessons != other.lessons


def test_rooms_do_not_depend_on_the_number_of_workers():
    one, two = (lessons.make_rooms(STUDY, REASON, workers) for workers in (1, 2))
    assert [r.lessons for r in one] == [r.lessons for r in two]


def test_frames_have_the_training_size(room):
    height, width = lessons.frame_size(STUDY.video)
    assert room.frames.shape[1:] == (height, width, 3) and height * width <= STUDY.video.train_max_pixels


def test_every_moment_counts_what_its_pair_of_frames_shows():
    frames, world, seen = sample_room(stable_hash("moments"), 6, 84, 56)
    text = lessons.describe(lessons.what_moments_show(world, "scannet", seen)).answer
    moments = re.findall(r"(\d): ([^.]*)\.", text)
    assert [int(number) for number, _ in moments] == [1, 2, 3] and len(frames) == 6
    for number, listed in moments:
        pair = seen[2 * int(number) - 2 : 2 * int(number)]
        shown = [lessons.asked_as(world.things[i], "scannet") for i in {i for things in pair for i in things}]
        true = {name: shown.count(name) for name in shown if name}
        assert {name: int(n) for n, name in re.findall(r"(\d+) ([a-z ]+)", listed)} == true


def test_a_clips_lesson_describes_its_own_frames(room):
    rng = np.random.default_rng(0)
    assert lessons.describe(room.moments) == room.lessons[0]
    shown = set()
    for _ in range(40):
        clip = lessons.clip(room, rng)
        n = len(clip.frames)
        at = next(at for at in range(len(room.moments)) if np.array_equal(clip.frames, room.frames[2 * at :][:n]))
        assert clip.moments == room.moments[at : at + n // 2]
        assert clip.lessons == (lessons.describe(clip.moments),)
        shown.add((at, n))
    assert {n for _, n in shown} == {2, 4} and len({at for at, _ in shown}) > 2


def test_some_rooms_are_black_and_have_no_clips():
    some, none = (with_model(blind=share, rooms=12) for share in (0.5, 0.0))
    made = lessons.make_rooms(some, REASON, 1)
    black = [not room.frames.any() for room in made]
    assert 0 < sum(black) < 12
    assert [not room.moments for room in made] == black
    for room, other in zip(made, lessons.make_rooms(none, REASON, 1)):
        assert room.lessons == other.lessons  # lessons do not depend on the frames' colour


def test_inventory_counts_the_world():
    _, world, seen = sample_room(stable_hash("inventory"), 2, 84, 56)
    view = lessons.scene_view(world, "scannetpp", seen, "x")
    said = {name: int(n) for n, name in re.findall(r"(\d+) ([a-z ]+)", lessons.inventory(view).answer)}
    true: dict[str, int] = {}
    for thing in world.things:
        name = lessons.asked_as(thing, "scannetpp")
        if name:
            true[name] = true.get(name, 0) + 1
    assert said == true


def test_area_of_a_polygon():
    assert lessons.polygon_area(((0, 0), (4, 0), (4, 3), (2, 3), (2, 5), (0, 5))) == 16


def test_answers_carry_the_weight_of_their_lesson_and_questions_little(room):
    policy = build_tiny(
        tiny_tokenizer(_corpus([room], STUDY), 1200), 0, STUDY.video, hidden=64, layers=2, vision_hidden=32
    )
    item = lesson_row(policy, room)
    tokens = [token for branch in item.row.completions for token in branch]
    assert len(tokens) == len(item.weights)
    places = iter(zip(tokens, item.weights.tolist()))
    for lesson in room.lessons:
        answer = policy.encoder.completion(lesson.answer).tolist()
        token, weight = next(place for place in places if place[1] != pytest.approx(QUESTION_WEIGHT))
        assert token == answer[0]
        rest = [next(places) for _ in answer[1:]]
        assert [t for t, _ in rest] == answer[1:]
        assert [weight, *(w for _, w in rest)] == pytest.approx([lesson.weight / len(answer) ** 0.5] * len(answer))
    assert next(places, None) is None
    prefix = policy.tokenizer.decode(item.row.prompt.input_ids)
    assert prefix.endswith("<|vision_end|>") and room.lessons[0].question not in prefix
    assert torch.equal(item.row.prompt.position_ids[:, 0], torch.zeros(3, dtype=torch.long))


def test_reasoned_lessons_end_with_their_answer(room):
    reasoned = [lesson for lesson in room.lessons if lesson.answer.startswith("<think>")]
    assert reasoned
    for lesson in reasoned:
        assert re.fullmatch(r"<think>.+</think>\n<answer>.+</answer>", lesson.answer, re.S)


def test_a_question_without_reasoning_is_no_lesson(room):
    asked = []

    def reason(row):
        asked.append(row)
        return None if len(asked) == 1 else REASON(row)

    fewer = lessons.make_room(3, STUDY, reason)
    first = next(lesson for lesson in room.lessons if lesson.answer.startswith("<think>"))
    assert len(asked) == lessons.REASONED_A_ROOM
    assert fewer.lessons == tuple(lesson for lesson in room.lessons if lesson is not first)
    assert geometric.reasoning(asked[0] | {"evidence": "{}"}, 0) is None


def test_order_is_whole_permutations():
    order = _order(5, 12, seed=0)
    assert sorted(order[:5]) == sorted(order[5:10]) == [0, 1, 2, 3, 4] and order == _order(5, 12, seed=0)


def test_the_saved_model_is_an_ordinary_hugging_face_directory(tmp_path):
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    from rollout3d import tables
    from toyworld.model.training import train

    train(STUDY, "small", tmp_path, tables.Lineage("test"), REASON)
    about = json.loads((tmp_path / "model.json").read_text())
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path / about["path"])
    assert sum(p.numel() for p in model.parameters()) < 5e6
    assert AutoTokenizer.from_pretrained(tmp_path / about["path"]).eos_token == "<|im_end|>"
    losses = [row["loss"] for row in tables.read(tables.METRICS, tmp_path / "metrics.parquet")]
    assert len(losses) == STUDY.toyworld.model.steps and losses[-1] < losses[0]


def test_clips_add_to_the_loss_of_the_rooms(room, monkeypatch):
    """With clips, the same steps lead to other weights."""
    monkeypatch.setattr(training, "_sum_over_processes", lambda parameters, loss: None)
    moved = []
    for clips in (0, 2):
        settings = {"steps": 2, "batch_size": 1, "clips": clips}
        study = with_model(**settings)
        tokenizer = tiny_tokenizer(_corpus([room], STUDY), 1200)
        policy = build_tiny(tokenizer, 0, STUDY.video, hidden=64, layers=2, vision_hidden=32)
        metrics = training._loop(policy, [room], study, 0, 1)
        assert all(np.isfinite(row["grad_norm"]) for row in metrics)
        moved.append(policy.core.model.visual.patch_embed.proj.weight.detach().clone())
    assert not torch.equal(*moved)


def test_muons_update_equals_torchs_but_for_its_rounding():
    """Ours is float32, since bfloat16 is slow on CPUs without instructions for it."""
    import torch
    from torch.optim import _muon

    from toyworld.model.training import orthogonalised

    real = _muon._zeropower_via_newtonschulz
    for shape in ((24, 40), (40, 24)):
        update = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        ours = orthogonalised(update, (3.4445, -4.775, 2.0315), 5, 1e-7)
        assert ours.shape == update.shape and 0.5 < torch.linalg.svdvals(ours).min() < 1.3
        if real is not orthogonalised:
            theirs = real(update, (3.4445, -4.775, 2.0315), 5, 1e-7).float()
            assert (ours - theirs).abs().max() < 0.05
