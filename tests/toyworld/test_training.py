"""The training of the small model: its loss, its second run, and the model that it saves."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from rollout3d import tables
from rollout3d.cot import geometric
from rollout3d.model.encode import Text, Video
from rollout3d.training.packing import LogProbs, PackedRow, pack
from toyworld.model import checkpoint, lessons, training
from toyworld.model.training import QUESTION_WEIGHT, Trainer, asked_at, lesson_row, orthogonalised, share_of_peak

from .test_lessons import STUDY, with_model

REASON = partial(geometric.reasoning, seed=STUDY.seed, most=6)
SMALL = {
    "hidden": 64,
    "layers": 2,
    "vision_depth": 2,
    "vision_hidden": 32,
    "vocabulary": 1200,
    "processes": 1,
    "second": 0,
    "third": 0,
}


@pytest.fixture(autouse=True)
def few_texts(monkeypatch):
    """Let the tokeniser learn from few rooms, which is quick."""
    monkeypatch.setattr(training, "CORPUS_ROOMS", 4)


def small(**changes):
    return with_model(**SMALL | {"steps": 4, "batch_size": 2, "clips": 2} | changes)


def test_answers_carry_the_weight_of_their_lesson_and_questions_little():
    room = lessons.make_room(3, STUDY, REASON)
    policy = Trainer(small(), "x", REASON).policy
    item = lesson_row(policy, room)
    tokens = [token for branch in item.row.completions for token in branch]
    assert len(tokens) == len(item.row.weight) and item.total == pytest.approx(float(item.row.weight.sum()), rel=1e-5)
    places = iter(zip(tokens, item.row.weight.tolist()))
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


def test_gradients_of_a_room_are_those_of_separate_forwards(monkeypatch):
    """One forward per lesson with the whole prompt in it, and the weighted mean of their losses."""
    monkeypatch.setattr(training, "PIECE", 150)
    trainer = Trainer(small(batch_size=1), "x", REASON)
    policy = trainer.policy
    room = lessons.make_room(3, STUDY, REASON)
    monkeypatch.setattr(training, "DENSE_WEIGHT", 0.0)
    trainer.policy.model.train()
    loss = trainer.backward(room)
    found = [p.grad.clone() for p in policy.model.parameters()]
    policy.model.zero_grad(set_to_none=True)
    scorer, total, parts = LogProbs(policy), 0.0, []
    for lesson in room.lessons:
        prompt = policy.encoder.prompt([Video(room.frames), Text(lesson.question)])
        answer = policy.encoder.completion(lesson.answer).tolist()
        cut = int((prompt.input_ids == policy.encoder.vision_ids[1]).nonzero()[-1]) + 1
        asked = list(range(cut, len(prompt)))
        logp = scorer(pack([PackedRow(prompt, [answer], prompt_targets=asked)]))
        weights = torch.tensor([QUESTION_WEIGHT] * len(asked) + [lesson.weight / len(answer) ** 0.5] * len(answer))
        parts.append(-(logp * weights).sum())
        total += float(weights.sum())
    expected = torch.stack(parts).sum() / total
    expected.backward()
    assert float(loss) == pytest.approx(float(expected.detach()), rel=1e-4)
    for ours, parameter in zip(found, policy.model.parameters(), strict=True):
        assert torch.allclose(ours, parameter.grad, rtol=1e-3, atol=1e-6)


def test_first_come_clips_then_rooms_then_choices_then_as_much_reasoning_and_in_the_end_maps():
    study = small(steps=10, clips=3, second=2, third=2)
    trainer = Trainer(study, "x", REASON)
    kinds = []
    for step in range(14):
        for room in trainer.rooms(step):
            mapped = any("<map>" in lesson.answer for lesson in room.lessons)
            reasoned = sum(lesson.answer.startswith("<think>") for lesson in room.lessons)
            described = any(lesson.question == lessons.DESCRIBE for lesson in room.lessons)
            if len(room.lessons) == 1:
                kinds.append("clip")
            elif mapped:
                kinds.append("map")
            else:
                kinds.append("early" if described else "late" if not reasoned else "some" if reasoned < 3 else "both")
    assert kinds[:6] == ["clip"] * 6 and kinds[6:12] == ["early"] * 6 and kinds[12:14] == ["late"] * 2
    assert {"some"} <= set(kinds[14:20]) <= {"late", "some"}
    assert "both" in kinds[20:24] and "map" in kinds[24:] and "map" not in kinds[:24]
    with pytest.raises(ValueError, match=r"step 14 .* \(10, 2, 2\)"):
        asked_at(14, study.toyworld.model)


def test_places_are_a_target_after_the_first_course(monkeypatch):
    trainer = Trainer(small(steps=1, clips=0, second=1, third=1), "x", REASON)
    asked = []
    monkeypatch.setattr(trainer, "backward", lambda room, places: asked.append(places) or torch.zeros(()))
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda *_: 0.0)
    for step in range(3):
        trainer.step(step)
    assert asked == [False, False, True, True, True, True]


def test_processes_share_the_rooms_of_a_step_and_none_comes_twice(monkeypatch):
    made = []
    monkeypatch.setattr(lessons, "make_room", lambda index, *_, **__: made.append(index) or index)
    study = small(steps=10, clips=0, batch_size=4)
    for rank in (0, 1):
        trainer = Trainer.__new__(Trainer)
        trainer.config, trainer.reason, trainer.rank, trainer.world = study, REASON, rank, 2
        trainer.settings = study.toyworld.model
        for step in range(3):
            list(trainer.rooms(step))
    assert sorted(made) == list(range(12))


def test_the_learning_rate_rises_and_falls_evenly():
    settings = small(steps=1000, second=400, third=200).toyworld.model
    expected = {0: 0.01, 49: 0.5, 100: 0.9, 500: 0.5, 999: 0.001}
    expected |= {1000: 0.6 * 0.01, 1200: 0.6 * 0.5, 1400: 0.5 * 0.01, 1500: 0.5 * 0.5}
    assert {step: share_of_peak(step, settings) for step in expected} == pytest.approx(expected)


def test_a_training_that_was_stopped_ends_with_the_same_bytes(tmp_path, monkeypatch):
    study, about = small(steps=4), {"identity": "x"}
    whole = Trainer(study, "x", REASON)
    metrics = whole.run(tmp_path / "a.safetensors", about)

    monkeypatch.setattr(training, "SAVE_EVERY_S", -1.0)
    stopped = Trainer(study, "x", REASON)
    real = stopped.step

    def step(number):
        if number == 2:
            raise KeyboardInterrupt
        return real(number)

    monkeypatch.setattr(stopped, "step", step)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(tmp_path / "b.safetensors", about)
    resumed = Trainer(study, "x", REASON)
    after = resumed.run(tmp_path / "b.safetensors", about)
    assert [row["loss"] for row in after] == [row["loss"] for row in metrics] and len(after) == 4
    for a, b in zip(whole.parameters, resumed.parameters, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_checkpoint_that_cannot_be_used_is_passed_over_with_a_warning(tmp_path, caplog, damage):
    path, module = tmp_path / "x.safetensors", torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(module.parameters())
    checkpoint.save(path, {"identity": "a"}, {"m": module}, [optimizer], [{"step": 0}])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-3])
    before = module.weight.clone()
    about = {"identity": "a" if damage == "cut" else "b"}
    assert checkpoint.resume(path, about, {"m": module}, [optimizer]) == []
    assert "training begins anew" in caplog.text and torch.equal(module.weight, before)


def test_the_saved_model_is_an_ordinary_hugging_face_directory(tmp_path):
    from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

    study = small(processes=2, steps=6)
    training.train(study, "small", tmp_path, tables.Lineage("test"), REASON)
    about = json.loads((tmp_path / "model.json").read_text())
    model = Qwen2_5_VLForConditionalGeneration.from_pretrained(tmp_path / about["path"])
    assert sum(p.numel() for p in model.parameters()) < 5e6
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert AutoTokenizer.from_pretrained(tmp_path / about["path"]).eos_token == "<|im_end|>"
    losses = [row["loss"] for row in tables.read(tables.METRICS, tmp_path / "metrics.parquet")]
    assert len(losses) == study.toyworld.model.steps and losses[-1] < losses[0]
    assert not list(Path(tmp_path).glob("unfinished*"))


def test_muons_update_equals_torchs_but_for_its_rounding():
    """Ours is float32, since bfloat16 is slow on CPUs without instructions for it."""
    from torch.optim import _muon

    real = _muon._zeropower_via_newtonschulz
    for shape in ((24, 40), (40, 24)):
        update = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        ours = orthogonalised(update, (3.4445, -4.775, 2.0315), 5, 1e-7)
        assert ours.shape == update.shape and 0.5 < torch.linalg.svdvals(ours).min() < 1.3
        if real is not orthogonalised:
            theirs = real(update, (3.4445, -4.775, 2.0315), 5, 1e-7).float()
            assert (ours - theirs).abs().max() < 0.05


def test_a_checkpoint_belongs_to_an_identity_and_a_number_of_processes(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(checkpoint, "resume", lambda path, about, *_: seen.append((path.name, about)) or [])
    lineage = tables.Lineage("test", {"a": 1})
    meeting = f"file://{tmp_path / 'meeting'}"
    training._work(0, 1, meeting, small(steps=1), "x", tmp_path / "out", lineage, REASON)
    assert seen == [("unfinished.safetensors", {"identity": lineage.identity, "processes": 1})]
