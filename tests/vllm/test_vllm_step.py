"""A GRPO step's rollouts are one queue of the real engine: all views of all questions, drawn side by side."""

from types import SimpleNamespace

import pytest
from test_vllm_generate import served  # noqa: F401 (fixture)

from rollout3d.model.encode import Text, Video

QUESTIONS, TOKENS = 3, 16


@pytest.fixture
def stepping(served, monkeypatch):  # noqa: F811
    """What training asks for rollouts, and a count of the engine's steps."""
    policy, engine = served
    steps = []
    step = engine.llm.llm_engine.step
    monkeypatch.setattr(engine.llm.llm_engine, "step", lambda: steps.append(1) or step())
    asked = []

    def generate(prompts, sampling, seed, keys):
        asked.append(len(prompts))
        return engine.generate(policy, prompts, sampling, seed, keys)

    return policy, SimpleNamespace(generate=generate), steps, asked


def groups(policy, frames):
    """Questions with a clean and an altered view."""
    # Late: it loads numba, beside which vLLM's CPU build cannot start.
    from rollout3d.training.group import Group
    from rollout3d.training.rollouts import CLEAN, View

    made = []
    for i in range(QUESTIONS):
        clips = [frames(8, 112, 168, seed=seed) for seed in (i, 100 + i)]
        views = [View(name, clip, 4, name == CLEAN) for name, clip in zip((CLEAN, "altered"), clips, strict=True)]
        prompts = [policy.encoder.prompt([Video(clip), Text(f"How many chairs? {i}")]) for clip in clips]
        made.append(Group({"question_id": f"q{i}"}, views, prompts))
    return made


def written(step):
    return [[rollout.completion.token_ids for rollout in group.rollouts] for group in step]


def test_all_views_of_all_questions_are_drawn_side_by_side(stepping, frames):
    """As many engine steps as the longest rollout and the prompts need; question by question it would be the sum."""
    policy, engine, steps, asked = stepping
    from rollout3d.config import Grpo
    from rollout3d.training.grpo import roll_out

    grpo = Grpo(n_clean=4, n_perturbed=4, max_new_tokens=TOKENS)
    whole = groups(policy, frames)
    roll_out(whole, engine, grpo, 5)
    together, longest = len(steps), max(len(tokens) for group in written(whole) for tokens in group)
    assert asked == [2 * QUESTIONS]
    assert longest == TOKENS and together <= TOKENS + 2 * QUESTIONS

    steps.clear()
    apart = groups(policy, frames)
    for group in apart:
        for place in range(len(group.views)):
            alone = type(group)(group.question, [group.views[place]], [group.prompts[place]])
            roll_out([alone], engine, grpo, 5)
    one_by_one = len(steps)
    assert one_by_one >= 2 * QUESTIONS * (TOKENS - 2) > 2 * together
