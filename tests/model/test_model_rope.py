import pytest
import torch

from rollout3d.model.encode import Image, Text, Video
from rollout3d.model.rope import rope_index


def _ids(policy, grids, before=3, after=4):
    """Text, then each medium's placeholders with a token between them, then text."""
    config = policy.core.config
    pads = {"image": config.image_token_id, "video": config.video_token_id}
    ids = [0] * before
    for kind, (t, h, w) in grids:
        ids += [pads[kind]] * (t * (h // 2) * (w // 2)) + [1]
    return torch.tensor(ids[:-1] + [1] * after)


@pytest.mark.parametrize("seconds, last_frame, following", [(1.0, 17, 18), (7.5, 108, 109)])
def test_sixteen_frames_follow_the_reference_rule(policy, seconds, last_frame, following):
    """3 text tokens, grid (8, 20, 26), 2 positions a second: the values of Qwen's code and of vLLM."""
    ids = _ids(policy, [("video", (8, 20, 26))])
    positions, end = rope_index(ids, None, [(8, 20, 26)], [seconds], policy.core.config)
    text = 3 + 8 * 10 * 13
    assert positions[0, text - 1] == last_frame
    assert positions[:, text].tolist() == [following] * 3
    assert end == following + 4


def test_rows_and_columns_restart_in_every_temporal_patch(policy):
    ids = _ids(policy, [("video", (2, 4, 6))])
    positions, _ = rope_index(ids, None, [(2, 4, 6)], [1.0], policy.core.config)
    assert positions[:, 3:15].tolist() == [
        [3] * 6 + [5] * 6,
        [3, 3, 3, 4, 4, 4] * 2,
        [3, 4, 5, 3, 4, 5] * 2,
    ]


def test_a_still_image_takes_no_time_and_text_continues_after_its_longest_side(policy):
    ids = _ids(policy, [("image", (1, 4, 10)), ("video", (2, 4, 4))])
    positions, _ = rope_index(ids, [(1, 4, 10)], [(2, 4, 4)], [1.0], policy.core.config)
    assert positions[0, 3:13].tolist() == [3] * 10
    assert positions[:, 13].tolist() == [8, 8, 8]  # 3 + five columns
    assert positions[0, 14:22].tolist() == [9] * 4 + [11] * 4
    assert positions[:, 22].tolist() == [12, 12, 12]


def test_fractions_of_a_second_are_rounded_down_after_multiplication(policy):
    ids = _ids(policy, [("video", (4, 2, 2))])
    positions, _ = rope_index(ids, None, [(4, 2, 2)], [0.4], policy.core.config)
    assert positions[0, 3:7].tolist() == [3, 3, 4, 5]  # 0, 0.8, 1.6, 2.4


@pytest.mark.parametrize(
    "grids, seconds, problem",
    [
        ([(2, 4, 4)], [1.0, 1.0], "second_per_grid"),
        ([(4, 4, 4)], [1.0], "needs 16 placeholders"),
        ([(2, 4, 4), (2, 4, 4)], [1.0, 1.0], "more images or videos than placeholders"),
        ([], [], "more placeholders"),
    ],
)
def test_placeholders_that_do_not_match_are_refused(policy, grids, seconds, problem):
    ids = _ids(policy, [("video", (2, 4, 4))])
    with pytest.raises(ValueError, match=problem):
        rope_index(ids, None, grids, seconds, policy.core.config)


def test_the_installed_rule_serves_direct_callers_of_the_model(policy, frames):
    """A batch of two, padded on the left, positions left to the model: the same as ours, and not transformers' own."""
    clip, picture = frames(16, 56, 56), frames(1, 56, 84)[0]
    prompts = [
        policy.encoder.prompt([Video(clip), Text("How many?")]),
        policy.encoder.prompt([Image(picture), Video(clip[:6]), Text("Left?")]),
    ]
    longest = max(map(len, prompts))
    ids = torch.zeros(2, longest, dtype=torch.int64)
    mask = torch.zeros(2, longest, dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = prompt.input_ids
        mask[row, longest - len(prompt) :] = 1
    kinds = (ids == policy.encoder.image_pad).int() + 2 * (ids == policy.encoder.video_pad).int()
    model = policy.core.model
    given = {
        "image_grid_thw": prompts[1].image_grid_thw,
        "video_grid_thw": torch.cat([prompt.video_grid_thw for prompt in prompts]),
        "second_per_grid_ts": torch.tensor([1.0, 1.0]),
        "attention_mask": mask,
        "mm_token_type_ids": kinds,
    }
    positions, deltas = model.get_rope_index(ids, **given)
    theirs, _ = type(model).get_rope_index(model, ids, **given)
    for row, prompt in enumerate(prompts):
        assert torch.equal(positions[:, row, longest - len(prompt) :], prompt.position_ids)
        assert deltas[row].item() == prompt.next_position - len(prompt)
    assert not torch.equal(positions, theirs)
