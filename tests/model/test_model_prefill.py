"""Questions about one video share the forward of what they begin with, and are answered as if each were alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rollout3d.model import prefill
from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.generate_hf import generate
from rollout3d.model.sampling import Sampling

SAMPLED = Sampling(n=3, temperature=1.0, max_new_tokens=12)
NOISE = np.random.default_rng(0).integers(0, 256, (8, 56, 84, 3), dtype=np.uint8)
FRAMES = "These are frames of a video.\n"


def asked(policy, *parts):
    return policy.encoder.prompt([*parts[:-1], Text(parts[-1])])


@pytest.fixture(scope="module")
def mixed(policy):
    """Three questions about one video, one about another, and one that shows a picture before the first video."""
    return [
        asked(policy, Video(NOISE), f"{FRAMES}How many chairs are there?"),
        asked(policy, Video(NOISE), f"{FRAMES}Is the sofa to the left of the table, or to the right?"),
        asked(policy, Video(NOISE[:4]), f"{FRAMES}How many chairs are there?"),
        asked(policy, Video(NOISE), f"{FRAMES}How many chairs are near the door?"),
        asked(policy, Image(NOISE[0]), Video(NOISE), f"{FRAMES}How many chairs are there?"),
    ]


@pytest.fixture
def forwards(policy, monkeypatch):
    """(rows, tokens) of each forward of the language model."""
    seen, model = [], policy.core.model.language_model
    forward = model.forward

    def counting(*args, inputs_embeds, **kwargs):
        seen.append(tuple(inputs_embeds.shape[:2]))
        return forward(*args, inputs_embeds=inputs_embeds, **kwargs)

    monkeypatch.setattr(model, "forward", counting)
    return seen


@pytest.mark.parametrize("sampling", [SAMPLED, Sampling(max_new_tokens=12)], ids=["sampled", "greedy"])
def test_answers_are_those_of_each_question_alone(policy, mixed, sampling):
    keys = [f"q{i}" for i in range(len(mixed))]
    together = generate(policy, mixed, sampling, seed=3, keys=keys)
    for prompt, key, group in zip(mixed, keys, together, strict=True):
        (alone,) = generate(policy, [prompt], sampling, seed=3, keys=[key])
        assert [one.token_ids for one in group] == [one.token_ids for one in alone]
        for one, other in zip(group, alone, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_questions_of_one_length_need_no_mask_behind_their_video(policy):
    asked_so = [asked(policy, Video(NOISE), words) for words in ("Is it A?", "Is it B?")]
    assert len({len(prompt) for prompt in asked_so}) == 1 and len(prefill.beginnings(policy, asked_so)) == 1
    assert prefill.prefill(policy, asked_so)[2] is None
    together = generate(policy, asked_so, SAMPLED, keys=["a", "b"])
    for prompt, key, group in zip(asked_so, "ab", together, strict=True):
        (alone,) = generate(policy, [prompt], SAMPLED, keys=[key])
        assert [one.token_ids for one in group] == [one.token_ids for one in alone]


def test_each_beginning_goes_through_once_and_the_questions_behind_it(policy, mixed, forwards):
    generate(policy, mixed, Sampling(max_new_tokens=1))
    groups = prefill.beginnings(policy, mixed)
    assert [own for _, own in groups] == [[0, 1, 3], [2], [4]]
    longest = max(length for length, _ in groups)
    cut = {row: length for length, own in groups for row in own}
    assert forwards == [(3, longest), (5, max(len(prompt) - cut[row] for row, prompt in enumerate(mixed)))]


def test_a_beginning_reaches_to_the_first_word_that_differs(policy, mixed):
    (length, _), (own, _), _ = prefill.beginnings(policy, mixed)
    ids = [mixed[i].input_ids.tolist() for i in (0, 1, 3)]
    assert all(each[:length] == ids[0][:length] for each in ids) and len({each[length] for each in ids}) > 1
    told = policy.encoder.completion(FRAMES).tolist()[:-1]
    assert ids[0][length - len(told) : length] == told, "words before the question are shared, too"
    # A video without a partner ends with its own last token.
    assert mixed[2].input_ids[own - 1] == policy.encoder.vision_ids[1]
    assert mixed[2].input_ids[own - 2] == policy.encoder.video_pad


def test_a_question_that_begins_another_keeps_a_token_of_its_own(policy):
    prompts = [asked(policy, Video(NOISE), words) for words in ("Where is it?", "Where is it? Where is it?")]
    same = [prompts[0], replace(prompts[0], input_ids=torch.cat([prompts[0].input_ids, prompts[0].input_ids[-1:]]))]
    ((length, _),) = prefill.beginnings(policy, same)
    assert length == len(prompts[0]) - 1
    assert len(prefill.beginnings(policy, prompts)) == 1


@pytest.mark.parametrize("changed", ["positions", "pixels"])
def test_equal_tokens_of_another_video_or_time_are_not_shared(policy, changed):
    one = asked(policy, Video(NOISE), "How many?")
    if changed == "positions":
        other = replace(one, position_ids=one.position_ids * 2)
    else:
        other = asked(policy, Video(255 - NOISE), "How many?")
        assert torch.equal(one.input_ids, other.input_ids)
    assert [own for _, own in prefill.beginnings(policy, [one, other])] == [[0], [1]]


def test_without_anything_to_share_there_is_one_forward(policy, mixed, forwards):
    generate(policy, [mixed[1], mixed[2]], Sampling(max_new_tokens=1))
    generate(policy, [mixed[0], mixed[1], policy.encoder.prompt([Text("Answer")])], Sampling(max_new_tokens=1))
    assert forwards == [(2, len(mixed[1])), (3, len(mixed[1]))]
