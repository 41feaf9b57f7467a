"""Tables answered by the real engine as one queue: the same answers, bounded, stopped and gone on with."""

import pytest
from test_vllm_generate import served  # noqa: F401 (fixture)

from rollout3d import tables
from rollout3d.model import generate_vllm
from rollout3d.model.answer import Setting, answer
from rollout3d.model.encode import Text, Video
from rollout3d.model.parts import Parts
from rollout3d.model.sampling import Batch, Sampling

N = 12


@pytest.fixture
def queue(served, frames, monkeypatch):  # noqa: F811
    """Batches of one prompt, and what the engine is asked meanwhile: sizes of its queue, number of its steps."""
    policy, engine = served
    seen = {"size": [], "encoded": 0, "ahead": [], "steps": 0}

    def encode(i):
        seen["encoded"] += 1
        return [policy.encoder.prompt([Video(frames(4, seed=i // 4)), Text(f"How many chairs? {i}")])]

    batches = [Batch((f"q{i}",), lambda i=i: encode(i)) for i in range(N)]
    add, step = generate_vllm._Queue.add, engine.llm.llm_engine.step

    def counted_add(self, *given):
        add(self, *given)
        seen["size"].append(len(self))
        seen["ahead"].append(seen["encoded"] - len(seen["size"]))

    def counted_step():
        seen["steps"] += 1
        return step()

    monkeypatch.setattr(generate_vllm._Queue, "add", counted_add)
    monkeypatch.setattr(engine.llm.llm_engine, "step", counted_step)
    return policy, engine, batches, seen


def tokens(groups):
    return [[completion.token_ids for completion in group] for group in groups]


@pytest.mark.parametrize("sampling", [Sampling(max_new_tokens=16), Sampling(3, 1.0, 0.9, 16)], ids=["greedy", "drawn"])
@pytest.mark.parametrize("room", [2, 256])
def test_a_queue_gives_the_answers_of_a_list(queue, sampling, room, monkeypatch):
    policy, engine, batches, seen = queue
    prompts = [batch.encode()[0] for batch in batches]
    listed = engine.generate(policy, prompts, sampling, 5, [batch.keys[0] for batch in batches])
    seen |= {"encoded": 0, "steps": 0}
    monkeypatch.setattr(generate_vllm, "IN_FLIGHT", room)
    found = dict(engine.run(policy, batches, sampling, 5))
    assert tokens(found[batch][0] for batch in batches) == tokens(listed)
    assert max(seen["size"]) == min(room, N) or (room == 256 and max(seen["size"]) > 4)
    assert max(seen["ahead"]) <= generate_vllm.AHEAD
    if room == 256:
        # One after the other they would take 16 steps each; together, as many as the longest and the encoding.
        assert seen["steps"] < 16 * N / 2


def test_batches_of_several_prompts_come_back_whole(queue):
    policy, engine, batches, _ = queue
    together = [
        Batch(tuple(b.keys[0] for b in batches[i : i + 5]), lambda i=i: [b.encode()[0] for b in batches[i : i + 5]])
        for i in range(0, N, 5)
    ]
    sampling = Sampling(max_new_tokens=8)
    single = dict(engine.run(policy, batches, sampling))
    found = dict(engine.run(policy, together, sampling))
    assert tokens(group for batch in together for group in found[batch]) == tokens(single[b][0] for b in batches)


@pytest.mark.parametrize("n", [1, 3])
def test_a_stopped_queue_leaves_the_engine_empty(queue, n):
    policy, engine, batches, _ = queue
    sampling = Sampling(n, 1.0, 1.0, 16)
    running = engine.run(policy, batches, sampling)
    first, answers = next(running)
    running.close()
    assert not engine.llm.llm_engine.has_unfinished_requests()
    again = engine.generate(policy, first.encode(), sampling, 0, first.keys)
    assert tokens(again) == tokens(answers)


def test_a_prompt_that_cannot_be_encoded_stops_the_queue(queue):
    policy, engine, batches, _ = queue

    def broken():
        raise ValueError("no frames")

    with pytest.raises(ValueError, match="no frames"):
        list(engine.run(policy, [*batches[:6], Batch(("x",), broken), *batches[6:]], Sampling(max_new_tokens=8)))
    assert not engine.llm.llm_engine.has_unfinished_requests()


def test_a_stopped_table_goes_on_where_it_was(served, tmp_path):  # noqa: F811
    policy, engine = served
    question = {"scene_id": None, "question_type": "object_counting", "answer_type": "number", "options": None}
    rows = [question | {"question_id": f"q{i}", "question": f"How many? {i}", "ground_truth": "3"} for i in range(N)]
    picture = {"bytes": (tmp_path / "x.png"), "path": "x.png"}
    import numpy as np
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (56, 56, 3), np.uint8)).save(picture["bytes"])
    media = [{"bytes": picture["bytes"].read_bytes(), "path": "x.png"}]
    rows = [row | {"media": media} for row in rows]
    asked = []

    class Counted:
        name, shares_forward = engine.name, engine.shares_forward

        def run(self, policy, batches, sampling, seed=0):
            for batch, written in engine.run(policy, batches, sampling, seed):
                asked.extend(batch.keys)
                yield batch, written

    def ask(parts=None):
        options = {"sampling": Sampling(max_new_tokens=8), "batch_size": 4, "scorer": "vsibench"}
        return answer(rows, policy, None, [Setting("own")], **options, back_end=Counted(), parts=parts)

    whole = list(ask())
    asked.clear()
    out = tmp_path / "out.parquet"
    for stop in (1, 3):
        running = ask(Parts(out, tables.Lineage("test")))
        for _ in range(stop):
            next(running)
        running.close()
    assert list(ask(Parts(out, tables.Lineage("test")))) == whole
    assert sorted(asked) == sorted(row["question_id"] for row in rows), "each question was answered once"
