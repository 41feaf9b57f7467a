"""Which frames of a video models are shown: frame sets, and the policies of evaluation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.eval_rows import question
from rollout3d.config import Config, Evaluation, Run, Video
from rollout3d.config.frames import most_frames, train_set
from rollout3d.evaluation.run import settings
from rollout3d.evaluation.settings import configured, line
from rollout3d.geometry.frames import frame_set
from rollout3d.model.answer import build_prompt
from rollout3d.model.encode import Video as Clip
from rollout3d.stages.registry import Scope, job_values, split

VIDEO = Video(eval_frames=32)


def evaluation(**values):
    return Evaluation.model_validate(values)


def test_uniform_rounds_and_official_truncates():
    # Positions 0, 3.33, 6.67 and 10.
    assert frame_set("uniform4").indices(11, 24) == [0, 3, 7, 10]
    assert frame_set("official4").indices(11, 24) == [0, 3, 6, 10]
    assert frame_set("uniform4").indices(3, 24) == frame_set("official4").indices(3, 24) == [0, 1, 2]


@given(st.integers(1, 5000), st.integers(1, 128))
def test_official_is_vsibenchs_own_expression(n_frames, n):
    theirs = np.linspace(0, n_frames - 1, n, dtype=int)
    assert frame_set(f"official{n}").indices(n_frames, 30) == sorted(set(theirs.tolist()))


@pytest.mark.parametrize(
    ("n_frames", "fps", "expected"),
    [
        (240, 24, 10),  # ten seconds
        (264, 24, 10),  # eleven: the even number below
        (3000, 30, 64),  # 100 seconds: the cap
        (24, 24, 4),  # one second: four at least
        (3, 30, 2),  # fewer frames than that
        (1, 30, 1),
    ],
)
def test_a_rate_gives_a_frame_per_second_up_to_the_cap(n_frames, fps, expected):
    found = frame_set("fps1max64").indices(n_frames, fps)
    assert len(found) == expected and found[0] == 0
    assert found[-1] == n_frames - 1 or n_frames == 1
    assert np.ptp(np.diff(found)) <= 1 if expected > 2 else True


def qwen(n_frames, video_fps, fps, most):
    """Frames by Qwen's own processing, written from its description."""
    low, high = 4, min(most, n_frames) // 2 * 2
    n = min(min(max(n_frames / video_fps * fps, low), high), n_frames)
    return int(n // 2 * 2)


@given(st.integers(4, 5000), st.sampled_from([24.0, 30.0, 29.97]), st.sampled_from([0.5, 1, 2]), st.integers(4, 128))
def test_a_rate_takes_as_many_frames_as_qwens_processing(n_frames, video_fps, fps, most):
    found = frame_set(f"fps{fps}max{most}").indices(n_frames, video_fps)
    assert len(found) == qwen(n_frames, video_fps, fps, most)


def test_a_run_is_shown_the_frames_of_the_policy():
    for policy, name, black in (
        ("fps1max64", "fps1max64", "black64"),
        ("official", "official32", "black32"),
        ("uniform", "uniform32", "black32"),
    ):
        shown = settings(evaluation(frame_policy=policy, probes=["black"]), VIDEO)
        assert [each.name for each in shown] == [name, black]
        assert [each.frame_set for each in shown] == [name, name] and shown[0].shown.policy == policy
    assert [s.name for s in settings(evaluation(), VIDEO)] == ["uniform32"]


def test_at_a_rate_a_short_video_shows_each_frame_once():
    """The other policies repeat frames of a video that has fewer than are shown."""
    asked = []

    class Store:
        def video(self, scene, frame_set, n, pixels):
            asked.append((frame_set, n))
            return Clip(np.zeros((4, 28, 28, 3), np.uint8), 1.0)

        def rows(self, scene, frame_set, n):
            return []

    class Shown:
        encoder = SimpleNamespace(prompt=lambda parts, system: parts)

    for policy in ("fps1max64", "official"):
        shown = settings(evaluation(frame_policy=policy), VIDEO)[0]
        build_prompt(question("q", "object_counting", "2"), Shown(), Store(), shown)
    assert asked == [("fps1max64", None), ("official32", 32)]


def test_a_score_is_compared_with_the_frames_of_its_own_run():
    rate, usual = (
        configured(Config.model_validate({"evaluation": {"frame_policy": policy}}), "think")
        for policy in ("fps1max64", "uniform")
    )
    assert (rate["frames"], rate["frame_policy"]) == (64, "fps1max64")
    assert line([rate], rate).startswith("64 frames fps1max64, ")
    with pytest.raises(ValueError, match=r"frame policy is uniform in the predictions, fps1max64 in the configuration"):
        line([usual], rate)


def test_the_policy_makes_no_older_result_stale():
    scope = Scope(benchmark="vsibench", run_name="a", run=Run(run="a", method="none", init="base"))
    own, beside = split(job_values("evaluate", Config(), scope))
    assert "evaluation.frame_policy" in beside and "evaluation.frame_policy" not in own


@pytest.mark.parametrize("policy", ["even", "fps", "fps0max64", "fps1", "fps1max0", "fpsmax64", "uniform "])
def test_an_unknown_policy_is_refused(policy):
    with pytest.raises(ValueError, match="frame_policy"):
        evaluation(frame_policy=policy)


@pytest.mark.parametrize(
    ("value", "name", "most"), [(16, "uniform16", 16), ("fps2max16", "fps2max16", 16), ("fps0.5max8", "fps0.5max8", 8)]
)
def test_training_frames_are_a_number_or_a_rate_with_a_cap(value, name, most):
    video = Video.model_validate({"train_frames": value})
    assert train_set(video) == name and frame_set(name).n == most == most_frames(value)


@pytest.mark.parametrize("value", [0, -4, "-16", "1e1", "2fps", "fps2", "fps2max0", 1.5, True, None])
def test_what_is_neither_is_refused_with_a_sentence_for_both(value):
    with pytest.raises(
        ValueError, match="must be a number of frames, such as 16, or a rate with a cap, such as fps2max16"
    ):
        Video.model_validate({"train_frames": value})


@pytest.mark.parametrize("name", ["uniform", "uniform0", "even4", "fps2max", "official-1", ""])
def test_a_name_that_is_no_frame_set_is_refused(name):
    with pytest.raises(ValueError, match="is no frame set"):
        frame_set(name)


def test_video_r1_shows_two_frames_a_second_four_to_sixteen_of_them():
    """n = floor_even(min(max(2 N / fps, 4), 16, N)) at round(linspace(0, N - 1, n)): its vision_process."""
    for n_frames, fps, expected in ((50, 25, 4), (100, 25, 8), (137, 25, 10), (1500, 30, 16), (3, 25, 2)):
        found = frame_set("fps2max16").indices(n_frames, fps)
        assert found == [round(i) for i in np.linspace(0, n_frames - 1, expected)], (n_frames, fps)
