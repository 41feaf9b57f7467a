"""Which frames of a benchmark's video models are shown, by policy and run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.eval_rows import question
from rollout3d.config import Config, Evaluation, Run, Video, read_runs
from rollout3d.evaluation.frames import FrameChoice, choice, choices
from rollout3d.evaluation.run import settings
from rollout3d.evaluation.settings import configured, line
from rollout3d.model.answer import build_prompt
from rollout3d.model.encode import Video as Clip
from rollout3d.stages.registry import Scope, job_values, split

VIDEO = Video(eval_frames=32)


def evaluation(**values):
    return Evaluation.model_validate(values)


def test_uniform_rounds_and_official_truncates():
    # Positions 0, 3.33, 6.67 and 10.
    assert FrameChoice("uniform", 4).indices(11, 24) == [0, 3, 7, 10]
    assert FrameChoice("official", 4).indices(11, 24) == [0, 3, 6, 10]
    assert FrameChoice("uniform", 4).indices(3, 24) == FrameChoice("official", 4).indices(3, 24) == [0, 1, 2]


@given(st.integers(1, 5000), st.integers(1, 128))
def test_official_is_vsibenchs_own_expression(n_frames, n):
    theirs = np.linspace(0, n_frames - 1, n, dtype=int)
    assert FrameChoice("official", n).indices(n_frames, 30) == sorted(set(theirs.tolist()))


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
    found = choice(evaluation(frame_policy="fps1max64"), VIDEO).indices(n_frames, fps)
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
    found = FrameChoice("fps", most, fps).indices(n_frames, video_fps)
    assert len(found) == qwen(n_frames, video_fps, fps, most)


def test_a_run_may_have_a_policy_of_its_own():
    config = evaluation(frame_policy="official", frame_policy_of={"a": "fps0.5max16", "b": "uniform"})
    assert [choice(config, VIDEO, run).frame_set for run in ("a", "b", "c", None)] == [
        *("fps0.5max16", "eval32", "official32", "official32"),
    ]
    assert [each.frame_set for each in choices(config, VIDEO)] == ["fps0.5max16", "official32", "eval32"]
    assert (choice(config, VIDEO, "a").fps, choice(config, VIDEO, "a").n) == (0.5, 16)


def test_a_run_is_shown_the_frames_of_its_policy():
    config = evaluation(frame_policy_of={"a": "fps1max64", "b": "official"}, black_frames=True)
    shown = {run: settings(config, VIDEO, run) for run in ("a", "b", "c")}
    assert [[s.name for s in shown[run]] for run in "abc"] == [
        *(["fps1max64", "black64"], ["official32", "black32"], ["eval32", "black32"]),
    ]
    assert [shown[run][0].frame_policy for run in "abc"] == ["fps1max64", "official", "uniform"]
    assert [shown[run][1].frame_set for run in "abc"] == ["fps1max64", "official32", "eval32"]
    assert [s.name for s in settings(evaluation(), VIDEO)] == ["eval32"]


def test_at_a_rate_a_short_video_shows_each_frame_once():
    """The other policies repeat frames of a video that has fewer than are shown."""
    asked = []

    class Store:
        def video(self, scene, frame_set, n, max_pixels):
            asked.append((frame_set, n))
            return Clip(np.zeros((4, 28, 28, 3), np.uint8), 1.0)

    class Shown:
        encoder = SimpleNamespace(prompt=list)

    config = evaluation(frame_policy_of={"a": "fps1max64", "b": "official"})
    for run in ("a", "b"):
        build_prompt(question("q", "object_counting", "2"), Shown(), Store(), settings(config, VIDEO, run)[0])
    assert asked == [("fps1max64", None), ("official32", 32)]


def test_a_score_is_compared_with_the_frames_of_its_own_run():
    config = Config.model_validate({"evaluation": {"frame_policy_of": {"a": "fps1max64"}}})
    asked = {run: configured(config, "think", run) for run in ("a", "b", None)}
    assert [(each["frames"], each["frame_policy"]) for each in asked.values()] == [
        *((64, "fps1max64"), (32, "uniform"), (32, "uniform")),
    ]
    assert line([asked["a"]], asked["a"]).startswith("64 frames fps1max64, ")
    with pytest.raises(ValueError, match=r"frame policy is uniform in the predictions, fps1max64 in the configuration"):
        line([asked["b"]], asked["a"])
    before, after = {}, {"frame_policy_of": {"a": "official"}}
    assert values("score", before, "a") != values("score", after, "a")
    assert values("score", before, "b") == values("score", after, "b")


def test_the_policies_make_no_older_result_stale():
    for run in ("a", None):
        scope = Scope(benchmark="vsibench", run_name=run, run=Run(run="a", method="none", init="base") if run else None)
        own, beside = split(job_values("evaluate" if run else "prepare_benchmark", Config(), scope))
        assert "evaluation.frame_policy" in beside and "evaluation.frame_policy" not in own
        assert ("evaluation.frame_policy_of" in beside) == bool(run)


@pytest.mark.parametrize("policy", ["even", "fps", "fps0max64", "fps1", "fps1max0", "fpsmax64", "uniform "])
def test_an_unknown_policy_is_refused(policy):
    with pytest.raises(ValueError, match="frame_policy"):
        evaluation(frame_policy=policy)


def test_synthetic_scenes_have_uniform_frames_only():
    with pytest.raises(ValueError, match="frame_policy: official needs the videos of a benchmark"):
        evaluation(benchmarks=["synthetic"], frame_policy="official")
    with pytest.raises(ValueError, match=r"frame_policy_of\.ocr: fps1max64 needs the videos"):
        evaluation(benchmarks=["vsibench", "synthetic"], frame_policy_of={"ocr": "fps1max64"})
    evaluation(benchmarks=["synthetic"], frame_policy_of={"ocr": "uniform"})


def test_a_policy_of_a_run_that_does_not_exist_is_refused():
    config = Config.model_validate({"evaluation": {"frame_policy_of": {"ocrr": "official"}}})
    with pytest.raises(ValueError, match=r"evaluation\.frame_policy_of: ocrr is not a run.*did you mean"):
        read_runs(config.runs.table, config)


def values(stage, evaluation, run=None):
    row = Run(run=run, method="none", init="base") if run else None
    config = Config.model_validate({"evaluation": evaluation})
    return job_values(stage, config, Scope(benchmark="vsibench", run_name=run, run=row))


def test_a_policy_of_one_run_changes_the_identity_of_no_other_run():
    before, after = {}, {"frame_policy_of": {"a": "official"}}
    assert values("evaluate", before, "a") != values("evaluate", after, "a")
    assert values("evaluate", before, "b") == values("evaluate", after, "b")
    overall = {"frame_policy": "fps1max64", **after}
    assert values("evaluate", after, "a") == values("evaluate", overall, "a")
    assert values("evaluate", after, "b") != values("evaluate", overall, "b")


def test_the_benchmark_is_prepared_anew_for_a_new_policy_only():
    before = values("prepare_benchmark", {"frame_policy_of": {"a": "official"}})
    assert values("prepare_benchmark", {"frame_policy_of": {"b": "official", "c": "official"}}) == before
    assert values("prepare_benchmark", {"frame_policy_of": {"a": "fps1max64"}}) != before
