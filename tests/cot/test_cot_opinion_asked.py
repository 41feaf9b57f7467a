"""The second opinion at work in `annotate`, against local servers."""

from __future__ import annotations

import pytest

from rollout3d.teacher.estimate import replies
from teacher import batch_drive, batch_server
from teacher.server import Chat, Fails, serve, texts
from teacher.stage_world import GOOD, World

MODEL = "gpt-4o-mini"
DOUBTFUL = "<think>In this drawing of mine, the lamp is north of the tv.</think>\n<answer>A</answer>"
TEACHER, OPINION = 1000 * 2.5e-6 + 100 * 10e-6, 1000 * 0.15e-6 + 100 * 0.6e-6
"""Dollars of a reply at the list prices."""


@pytest.fixture
def world(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "ROLLOUT3D_SITE"):
        monkeypatch.setenv(name, "")  # put back after the test
    return World(tmp_path, 1, 1)


def plan(opinion, after=GOOD):
    """A teacher that is doubtful first and then writes `after`; the other model answers `opinion`."""
    said = []

    def answer(body, n):
        if body["model"] != "gpt-4o":
            return opinion
        said.append(n)
        return DOUBTFUL if len(said) == 1 else after

    return answer


def models(server):
    return [body["model"] for body in server.requests]


def again(world, server, **settings):
    world.path("out/annotate").unlink()
    world.run(server.base_url, **settings)


def test_nobody_is_asked_unless_the_configuration_names_a_model(world):
    with serve(plan("YES: it reads a plan.")) as server:
        world.run(server.base_url)
    assert models(server) == ["gpt-4o"] and [row["verdict"] for row in world.result()] == ["accepted"]


def test_a_leak_is_refused_the_next_attempt_is_made_and_a_rerun_asks_nothing(world):
    with serve(plan("YES: it reads a plan.")) as server:
        world.run(server.base_url, second_opinion=MODEL)
        first = world.result()
        again(world, server, second_opinion=MODEL)
    assert models(server) == ["gpt-4o", MODEL, "gpt-4o"], "clean reasoning is not asked about"
    assert [row["verdict"] for row in first] == ["rejected", "accepted"] and first == world.result()
    assert first[0]["reason"] == "second opinion: it reads a plan."
    assert [row["usd"] for row in first] == pytest.approx([TEACHER + OPINION, TEACHER])
    assert first[0]["tokens_in"] == 2000 and first[0]["tokens_out"] == 200
    body = server.requests[1]
    assert body["temperature"] == 0 and body["max_tokens"] == 128 and "drawing" in texts(body)
    assert replies(world.folder / "out" / "replies")["replies"] == 2, "the estimate's mean is of the teacher's replies"


@pytest.mark.parametrize(
    ("opinion", "verdicts", "reason"),
    [
        ("NO: only furniture.", ["accepted"], None),
        ("Perhaps.", ["rejected", "accepted"], "second opinion unreadable: 'Perhaps.'"),
        (Chat("NO", finish="content_filter"), ["rejected", "accepted"], "second opinion unreadable: "),
    ],
)
def test_only_a_clear_no_keeps_it(world, opinion, verdicts, reason):
    with serve(plan(opinion)) as server:
        world.run(server.base_url, second_opinion=MODEL)
    rows = world.result()
    assert [row["verdict"] for row in rows] == verdicts
    assert rows[0]["reason"] is None if reason is None else rows[0]["reason"].startswith(reason)


def test_a_request_that_fails_for_good_fails_the_question_and_a_rerun_goes_on_there(world):
    settings = {"second_opinion": MODEL, "max_share_failed": 1.0}
    with serve(plan(Fails(400, "bad parameter"))) as server:
        world.run(server.base_url, **settings)
    (row,) = world.result()
    assert row["verdict"] == "failed" and "second opinion: " in row["reason"] and "bad parameter" in row["reason"]
    with serve(plan("NO: fine.")) as server:
        again(world, server, **settings)
    assert models(server) == [MODEL] and [row["verdict"] for row in world.result()] == ["accepted"]


def test_both_models_are_paid_from_one_budget_in_this_run_and_the_next(world):
    """Teacher 0.0035 and opinion 0.0065 dollars leave too little of 0.012; the teacher's alone would leave enough."""
    settings = {"second_opinion": "gpt-4o-2024-05-13", "max_tokens": 200, "max_usd": 0.012}
    with serve(plan("YES: it reads a plan.")) as server:
        for _ in range(2):
            log = world.run(server.base_url, fails=True, **settings)
            assert "spending limit: 0.01 of cot.max_usd" in log and "2 paid replies stay" in log
            assert models(server) == ["gpt-4o", "gpt-4o-2024-05-13"]


def test_in_batches_the_opinion_is_asked_directly_and_decides_who_is_in_the_next_round(world, monkeypatch):
    batch_drive.hurry(monkeypatch.setattr)
    answer = plan("YES: it reads a plan.")
    with batch_server.serve(lambda body, n: (200, answer(body, n))) as server:
        world.run(server.base_url, second_opinion=MODEL, batch=True)
        first = world.result()
        again(world, server, second_opinion=MODEL, batch=True)
    assert [body["model"] for body in server.bodies] == ["gpt-4o", MODEL, "gpt-4o"] and first == world.result()
    assert server.count("POST /v1/batches") == 2 and server.count("POST /v1/chat/completions") == 1
    assert [row["verdict"] for row in first] == ["rejected", "accepted"]
    assert [row["usd"] for row in first] == pytest.approx([TEACHER / 2 + OPINION, TEACHER / 2]), "no batch discount"


def test_an_unknown_model_is_one_error_that_names_its_key(world):
    with serve(plan(Fails(404, "no such model", "model_not_found"))) as server:
        log = world.run(server.base_url, fails=True, second_opinion=MODEL)
    assert f"{MODEL} at http://" in log and "mend cot.second_opinion or site.openai_base_url" in log
