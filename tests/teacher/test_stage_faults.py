"""`annotate` and `judge` through their command line, against a server that fails by plan."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter

import pytest

from rollout3d.teacher.asking import PREPARING
from teacher.server import Chat, Fails, Hangs, Resets, serve
from teacher.stage_world import GOOD, KEY, WRONG, World, asked

N, SCENES = 120, 30
USD = 1000 * 2.5e-6 + 100 * 10e-6
"""Of a reply of the server."""
RIGHT = {"annotate": GOOD, "judge": "KEEP: clear."}


@pytest.fixture
def world(tmp_path, monkeypatch):
    for name in ("OPENAI_API_KEY", "ROLLOUT3D_SITE"):
        monkeypatch.setenv(name, "")  # put back after the test
    return World(tmp_path, N, SCENES)


def paid(*servers):
    """How often each question was paid for."""
    return Counter(asked(body) for server in servers for body in server.paid)


FAULTS = {
    "resets": (Resets(), "requests in a row had no reply"),
    "500": (Fails(500, "oh"), "requests in a row had no reply.*500 - oh"),
    "hangs": (Hangs(2.5), "requests in a row had no reply.*timed out"),
    "truncated": (Chat(damage=lambda data: data[:70]), "requests in a row had no reply.*no JSON"),
    "400": (Fails(400, "bad parameter"), "16 requests in a row were refused.*bad parameter"),
    "quota": (Fails(429, "exceeded", "insufficient_quota"), "no money is left.*add credit"),
    "key": (Fails(401, f"wrong key {KEY}"), r"wrong key \[key\].*OPENAI_API_KEY"),
    "model": (Fails(404, "no such model", "model_not_found"), r"no such model.*\.model"),
}


@pytest.mark.parametrize(
    ("stage", "before", "name"),
    [*(("annotate", 40, name) for name in FAULTS), ("annotate", 0, "400"), ("judge", 40, "500"), ("judge", 0, "quota")],
)
def test_a_hopeless_server_stops_the_stage_soon_and_what_was_paid_is_kept(world, stage, before, name):
    fault, said = FAULTS[name]
    good = RIGHT[stage]
    with serve(lambda body, n: good if n < before else fault) as server:
        # A good reply may take a while on a busy machine: only a server that hangs is waited for briefly.
        waits = 2.0 if name == "hangs" else 60.0
        log = world.run(server.base_url, stage, fails=True, timeout_s=waits, max_share_failed=0.5)
    (error,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert error == log.splitlines()[-1] and "Traceback" not in log
    assert f"gpt-4o at {server.base_url}" in error and KEY not in log
    assert re.search(said, error), error
    assert f"{before} paid replies stay in" in error
    assert len(server.requests) - before <= 34, "of at least 80 questions that were left"
    assert not world.made(stage) and len(world.replies) == before
    with serve(lambda body, n: good) as mended:
        world.run(mended.base_url, stage)
    assert len(world.result(stage)) == N and len(mended.requests) == N - before
    assert set(paid(mended).values()) == {1} and len(world.replies) == N


def test_a_killed_stage_loses_and_pays_twice_only_what_was_in_flight(world):
    process = None

    def plan(body, n):
        if n == 50:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        return Chat(GOOD, delay_s=0.02)

    with serve(plan) as server:
        process = world.start(server.base_url, concurrency=4)
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL and not world.made()
        first, kept = paid(server), len(world.replies)
        world.run(server.base_url, concurrency=4)
    assert kept >= 44 and kept <= len(first) <= 54
    twice = [name for name, times in paid(server).items() if times > 1]
    assert len(twice) <= 4 + PREPARING and set(paid(server)) == set(world.names)
    assert [row["verdict"] for row in world.result()] == ["accepted"] * N


def test_failures_within_the_limit_are_rows_and_only_they_are_asked_again(world, caplog):
    bad = {"q003", "q050", "q051"}
    with serve(lambda body, n: Fails(400, "too large") if asked(body) in bad else GOOD) as server:
        world.run(server.base_url)
    assert "3 questions are left out because their requests failed" in caplog.text
    assert f"`rollout3d forget {world.path('out/annotate')}`" in caplog.text
    rows = {row["question_id"]: row for row in world.result()}
    assert {name for name, row in rows.items() if row["verdict"] == "failed"} == bad and len(rows) == N
    assert "400 - too large" in rows["q050"]["reason"] and rows["q050"]["usd"] == 0
    world.path("out/annotate").unlink()
    with serve(lambda body, n: GOOD) as mended:
        world.run(mended.base_url)
    assert {asked(body) for body in mended.requests} == bad and len(mended.requests) == 3
    assert [row["verdict"] for row in world.result()] == ["accepted"] * N


def test_failures_beyond_the_limit_are_an_error_that_names_server_and_key(world):
    with serve(lambda body, n: Fails(400, "too large") if n % 3 == 0 else GOOD) as server:
        log = world.run(server.base_url, fails=True)
    assert f"error: gpt-4o at {server.base_url}: the requests of 7 of 120 questions failed" in log
    assert "MAX_SHARE_FAILED = 0.05" in log and "400 - too large" in log and not world.made()
    assert len(world.replies) == len(server.paid)


def test_what_is_no_answer_is_rejected_with_its_reason_and_paid_once(world):
    odd = {
        "q001": Chat("<think>and so", finish="length"),
        "q002": Chat("", finish="content_filter"),
        "q003": Chat(None, refusal="I will not."),
        "q004": Chat(WRONG),
        "q005": Chat(GOOD, usage=False),
    }
    seen: Counter[str] = Counter()

    def plan(body, n):
        seen[asked(body)] += 1
        return odd[asked(body)] if asked(body) in odd and seen[asked(body)] == 1 else GOOD

    with serve(plan) as server:
        log = world.run(server.base_url)
    rows = [row for row in world.result() if row["question_id"] in odd]
    assert [(row["question_id"], row["attempt"], row["verdict"]) for row in rows] == [
        *((name, k, ("rejected", "accepted")[k]) for name in ("q001", "q002", "q003", "q004") for k in (0, 1)),
        ("q005", 0, "accepted"),
    ]
    first = {row["question_id"]: row for row in rows if row["attempt"] == 0}
    assert first["q001"]["reason"] == "cut at max_tokens, after 100 tokens"
    assert first["q002"]["reason"] == "stopped by the server's content filter"
    assert first["q003"]["reason"] == "refused by the model: I will not."
    assert first["q004"]["reason"].startswith("wrong answer")
    assert [first[name]["usd"] for name in ("q001", "q002", "q003")] == pytest.approx([USD] * 3)
    assert first["q005"]["tokens_out"] == 1024, "the most that it may cost, where the server does not say"
    assert len(server.requests) == N + 4 == len(world.replies)
    assert "124 questions" not in log and f"questions {N}/{N}, {N} accepted, 0.4" in log


def test_the_real_command_says_what_it_did_in_few_lines_and_exits_with_1_on_an_error(world):
    with serve(lambda body, n: GOOD if n % 10 else Fails(500, headers={"Retry-After-Ms": "1"})) as server:
        process = world.start(server.base_url, request_attempts=9)
        log = process.communicate(timeout=120)[0]
        assert process.returncode == 0 and f"questions {N}/{N}, {N} accepted, 0.42 dollars" in log
        assert "HTTP" not in log and "Retrying" not in log and len(log.splitlines()) <= 4, log
        world.path("out/annotate").unlink()
        server.plan = lambda body, n: Fails(401, KEY)
        process = world.start(server.base_url, frames=2)
        log = process.communicate(timeout=120)[0]
        assert process.returncode == 1 and KEY not in log
        assert log.splitlines()[-1].startswith(f"error: gpt-4o at {server.base_url}: Error code: 401 - [key]")


def test_the_limit_stops_the_stage_and_a_rerun_pays_the_rest(world):
    with serve(lambda body, n: GOOD) as server:
        log = world.run(server.base_url, fails=True, max_usd=0.2)
        assert "raise cot.max_usd" in log.splitlines()[-1] and not world.made()
        spent = sum(reply["usd"] for reply in world.replies)
        assert 0.1 < spent <= 0.2 and len(world.replies) == len(server.paid)
        world.run(server.base_url)
    assert set(paid(server).values()) == {1} and len(server.paid) == N


def test_a_damaged_reply_in_the_cache_is_one_error_that_names_the_file(world):
    with serve(lambda body, n: GOOD) as server:
        world.run(server.base_url)
        path = min((world.folder / "out" / "replies").glob("*.json"))
        path.write_bytes(b"")
        world.path("out/annotate").unlink()
        log = world.run(server.base_url, fails=True)
        assert len(log.splitlines()) == 1
        assert f"{path}: a paid reply that is empty" in log
        path.unlink()
        world.run(server.base_url)
    assert len(server.requests) == N + 1
