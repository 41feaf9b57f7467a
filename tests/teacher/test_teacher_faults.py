"""Each fault of a server: requests paid, kept and sent again, and the message of the error."""

from __future__ import annotations

import base64
import errno
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate

import pytest

from rollout3d.teacher import replies
from rollout3d.teacher.client import ChatClient, Image, Price
from rollout3d.teacher.errors import TeacherError, TeacherRefused
from teacher.server import Chat, Cuts, Fails, Hangs, Resets, serve, texts

KEY = "sk-very-secret-0123456789"
USD = 1000 * 2.5e-6 + 100 * 10e-6
"""Of a reply of the server."""


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def client(server, cache, max_usd=1.0, **options):
    options = {"max_tokens": 200, "temperature": 0.5, "backoff_s": 0.01, "attempts": 3, "timeout_s": 5.0} | options
    base_url = server if isinstance(server, str) else server.base_url
    return ChatClient("gpt-test", Price(2.5, 10.0, max_usd), cache, base_url=base_url, **options)


def kept(cache):
    return [json.loads(path.read_text()) for path in cache.glob("*.json")]


def picture(number):
    return Image(b"jpeg%d" % number, "image/jpeg", 64, 64)


PASSING = {
    "rate limit": Fails(429, "slow down", "rate_limit_exceeded"),
    "500": Fails(500, "oh"),
    "503 that is no JSON": Fails(503, "oh"),
    "time-out of the server": Fails(408, "late"),
    "reset": Resets(),
    "half a body": Cuts(),
    "truncated JSON": Chat(damage=lambda data: data[: len(data) // 2]),
    "a page of a proxy": Chat(damage=lambda data: b"<html>busy</html>"),
    "an error with status 200": Chat(damage=lambda data: b'{"error": {"message": "overloaded"}}'),
    "no choices": Chat(damage=lambda data: b'{"id": "x", "choices": []}'),
    "a list": Chat(damage=lambda data: b"[1, 2]"),
    "nothing": Chat(damage=lambda data: b""),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_asked_again_and_paid_once(tmp_path, fault):
    with serve(lambda body, n: "late" if n == 2 else fault) as server:
        asked = client(server, tmp_path)
        assert asked.chat(["hi"]).text == "late"
        assert asked.chat(["hi"]).text == "late"
    assert len(server.requests) == 3 and [reply["text"] for reply in kept(tmp_path)] == ["late"]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fails(500, "oh"), "500 - oh"),
        (Resets(), "Connection error"),
        (Cuts(), "Connection error"),
        (Hangs(1.0), "timed out"),
        (PASSING["truncated JSON"], 'no JSON, or not all of it: \'{"id": '),
        (PASSING["an error with status 200"], "no chat completion.*overloaded"),
    ],
)
def test_what_does_not_pass_is_named_and_three_in_a_row_stop_everything(tmp_path, fault, said):
    with serve(lambda body, n: fault) as server:
        waits = 0.15 if isinstance(fault, Hangs) else 60.0  # on a busy machine other replies take their time
        asked = client(server, tmp_path, attempts=2, concurrency=1, timeout_s=waits)
        for text in ("a", "b"):
            with pytest.raises(TeacherError, match=said + r".* \(sent 2 times\)"):
                asked.chat([text])
        with pytest.raises(TeacherRefused, match=said) as caught:
            asked.chat(["c"])
        with pytest.raises(TeacherRefused):
            asked.chat(["d"])
    assert len(server.requests) == 6, "nothing is sent once the server is given up"
    assert f"gpt-test at {server.base_url}: 3 requests in a row had no reply" in str(caught.value)
    assert "To go on: " in str(caught.value) and asked.kept.startswith(f"0 paid replies stay in {tmp_path}")
    assert not kept(tmp_path)


def test_a_server_that_is_not_there_is_named_with_the_cause(tmp_path):
    with serve(lambda body, n: "ok") as server:
        pass
    asked = client(server, tmp_path, concurrency=1)
    for text in ("a", "b"):
        with pytest.raises(TeacherError):
            asked.chat([text])
    with pytest.raises(TeacherRefused, match=r"Connection refused.*start the server, or mend site\.openai_base_url"):
        asked.chat(["c"])


def test_a_reply_in_between_starts_the_count_again(tmp_path):
    with serve(lambda body, n: "ok" if "good" in texts(body) else Fails(500)) as server:
        asked = client(server, tmp_path, attempts=1, concurrency=1)
        for n in range(4):
            for text in (f"{n}a", f"{n}b"):
                with pytest.raises(TeacherError):
                    asked.chat([text])
            assert asked.chat([f"good {n}"]).text == "ok"
    assert len(server.requests) == 12


ACCOUNT = {
    "quota": (Fails(429, "You exceeded your current quota", "insufficient_quota"), "no money is left.*add credit"),
    "hard limit": (Fails(400, "limit", "billing_hard_limit_reached"), "no money is left"),
    "payment": (Fails(402, "pay"), "no money is left"),
    "quota as 403": (Fails(403, "quota", "quota_exceeded"), "no money is left"),
    "key": (Fails(401, f"Incorrect API key: {KEY}"), r"Incorrect API key: \[key\].*OPENAI_API_KEY"),
    "forbidden": (Fails(403, "country"), "country"),
    "model": (Fails(404, "The model does not exist", "model_not_found"), r"does not exist.*api\.model"),
    "model as 400": (Fails(400, "no such model", "model_not_found"), r"api\.model"),
}


@pytest.mark.parametrize(("fault", "said"), ACCOUNT.values(), ids=ACCOUNT)
def test_what_no_request_can_get_past_is_asked_once(tmp_path, fault, said):
    with serve(lambda body, n: "ok" if n < 2 else fault) as server:
        asked = client(server, tmp_path)
        asked.chat(["a"]), asked.chat(["b"])
        for text in ("c", "d"):
            with pytest.raises(TeacherRefused, match=said) as caught:
                asked.chat([text])
        assert asked.chat(["a"]).text == "ok", "what is paid for can still be read"
    assert len(server.requests) == 3 and len(kept(tmp_path)) == 2
    assert f"gpt-test at {server.base_url}" in str(caught.value) and asked.kept.startswith("2 paid replies")
    assert KEY not in str(caught.value)


def test_a_refused_request_is_sent_once_and_concerns_no_other(tmp_path):
    with serve(lambda body, n: Fails(400, "image too large") if n == 0 else "ok") as server:
        asked = client(server, tmp_path)
        with pytest.raises(TeacherError, match="400 - image too large"):
            asked.chat(["a"])
        assert asked.chat(["b"]).text == "ok"
    assert len(server.requests) == 2


def test_a_prompt_that_the_content_filter_stops_is_one_refused_request(tmp_path):
    with serve(lambda body, n: Fails(403, "input was flagged", "moderation")) as server:
        asked = client(server, tmp_path)
        with pytest.raises(TeacherError, match="flagged"):
            asked.chat(["a"])
    assert len(server.requests) == 1


def test_sixteen_refusals_in_a_row_about_four_scans_stop_everything(tmp_path):
    with serve(lambda body, n: Fails(400, "bad parameter")) as server:
        asked = client(server, tmp_path, concurrency=1)
        for n in range(30):  # one broken scan is no broken server
            with pytest.raises(TeacherError):
                asked.chat([picture(n % 3), f"{n}"])
        with pytest.raises(TeacherRefused, match=r"31 requests in a row were refused.*bad parameter.*cot: model"):
            asked.chat([picture(3), "?"])
        with pytest.raises(TeacherRefused):
            asked.chat([picture(4), "?"])
    assert len(server.requests) == 31


def test_refused_requests_between_paid_ones_do_not_stop_a_rerun(tmp_path):
    with serve(lambda body, n: Fails(400) if "bad" in texts(body) else "ok") as server:
        client(server, tmp_path).chat([picture(0), "good"])
        asked = client(server, tmp_path, concurrency=1)
        for n in range(20):
            asked.chat([picture(0), "good"])
            with pytest.raises(TeacherError):
                asked.chat([picture(n + 1), "bad"])
    assert len(server.paid) == 1


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "0.3"}, {"Retry-After-Ms": "300"}, {"Retry-After": formatdate(time.time() - 9)}]
)
def test_retry_after_is_honoured(tmp_path, headers):
    with serve(lambda body, n: "ok" if n else Fails(429, headers=headers)) as server:
        assert client(server, tmp_path, backoff_s=60.0).chat(["a"]).text == "ok"
    waited = server.times[1] - server.times[0]
    assert waited < 5 and (waited >= 0.3 or ":" in headers.get("Retry-After", ""))


def test_a_server_that_asks_to_wait_for_an_hour_is_not_waited_for(tmp_path):
    with serve(lambda body, n: Fails(429, "later", headers={"Retry-After": "3600"})) as server:
        asked = client(server, tmp_path)
        with pytest.raises(TeacherError, match="429 - later"):
            asked.chat(["a"])
    assert len(server.requests) == 1


def test_a_rate_limit_is_no_failure_while_others_are_answered(tmp_path):
    """Refuse one request five times, with two attempts: each time after another one has been answered."""
    turn, came, refused, answered = threading.Condition(), [0], [0], [0]

    def plan(body, n):
        if texts(body) != "late":
            return "ok"
        with turn:
            came[0] += 1
            turn.notify_all()
            if refused[0] == 5:
                return "ok"
            refused[0] += 1
            assert turn.wait_for(lambda: answered[0] == refused[0], 60)
        return Fails(429, headers={"Retry-After-Ms": "1"})

    with serve(plan) as server:
        asked = client(server, tmp_path, attempts=2)
        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(asked.chat, ["late"])
            for n in range(5):
                with turn:
                    assert turn.wait_for(lambda n=n: came[0] == n + 1, 60)
                asked.chat([f"{n}"])
                with turn:
                    answered[0] += 1
                    turn.notify_all()
            assert late.result().text == "ok"
    assert refused == [5] and len(server.paid) == 6


def test_a_reply_without_usage_is_counted_at_its_most_kept_and_stops_at_the_limit(tmp_path):
    # 32 + 1 tokens in and 200 out: 0.0020825 each.
    with serve(lambda body, n: Chat("fine", usage=False)) as server:
        asked = client(server, tmp_path, max_usd=0.005)
        reply = asked.chat(["a"])
        assert (reply.text, reply.estimated, reply.tokens_in, reply.tokens_out) == ("fine", True, 33, 200)
        asked.chat(["b"])
        with pytest.raises(TeacherRefused, match=r"spending limit: 0\.00 of cot\.max_usd"):
            asked.chat(["c"])
        assert client(server, tmp_path, max_usd=0.005).chat(["a"]) == reply
    assert len(server.requests) == 2 and sum(r["usd"] for r in kept(tmp_path)) == pytest.approx(2 * 0.0020825)


def test_damaged_replies_count_against_the_limit_of_this_run(tmp_path):
    with serve(lambda body, n: PASSING["truncated JSON"]) as server:
        asked = client(server, tmp_path, max_usd=0.0065, attempts=3)
        with pytest.raises(TeacherError):
            asked.chat(["a"])
        with pytest.raises(TeacherRefused, match="spending limit"):
            asked.chat(["b"])
    assert len(server.requests) == 3


NO_ANSWERS = {
    "length": (Chat("<think>and so", finish="length"), "cut at max_tokens, after 100 tokens"),
    "content filter": (Chat("", finish="content_filter"), "stopped by the server's content filter"),
    "refusal": (Chat(None, refusal="I cannot\nhelp."), "refused by the model: I cannot help."),
}


@pytest.mark.parametrize(("chat", "problem"), NO_ANSWERS.values(), ids=NO_ANSWERS)
def test_what_was_paid_for_and_is_no_answer_is_kept_with_its_reason_and_cost(tmp_path, chat, problem):
    with serve(lambda body, n: chat) as server:
        for _ in range(2):
            reply = client(server, tmp_path).chat(["a"])
            assert (reply.problem, reply.usd) == (problem, pytest.approx(USD))
    assert len(server.requests) == 1 and len(kept(tmp_path)) == 1


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("", "that is empty"),
        ('{"text": "hal', "that is damaged"),
        ("[]", "damaged"),
        ('{"text": 3, "usd": 1}', "damag"),
    ],
)
def test_a_damaged_file_of_the_cache_is_one_error_that_names_it(tmp_path, damage, said):
    with serve(lambda body, n: "ok") as server:
        client(server, tmp_path).chat(["a"])
        (path,) = tmp_path.glob("*.json")
        path.write_text(damage)
        with pytest.raises(TeacherRefused, match=said) as caught:
            client(server, tmp_path)
        assert str(path) in str(caught.value) and "delete it" in str(caught.value)
        path.unlink()
        assert client(server, tmp_path).chat(["a"]).text == "ok"
    assert len(server.requests) == 2


def test_a_full_disk_stops_before_more_is_paid_for(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(replies, "write_atomically", full)
    with serve(lambda body, n: "ok") as server:
        asked = client(server, tmp_path)
        with pytest.raises(TeacherRefused, match=r"cannot be written \(No space left"):
            asked.chat(["a"])
        assert asked.spent_usd == pytest.approx(USD), "paid all the same"


def test_two_questions_that_are_one_request_are_paid_once(tmp_path):
    with serve(lambda body, n: Chat("ok", delay_s=0.1)) as server:
        asked = client(server, tmp_path)
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: asked.chat(["same"]), range(4)))
    assert len(server.requests) == 1 and len(set(found)) == 1


def test_no_more_requests_are_in_flight_than_configured(tmp_path):
    with serve(lambda body, n: Chat("ok", delay_s=0.02)) as server:
        asked = client(server, tmp_path, concurrency=3)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: asked.chat([f"{n}"]), range(24)))
    assert server.most_in_flight == 3


@pytest.mark.parametrize("key", ["sk-secret\nline", "sk secret", "sk-sécret"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(tmp_path, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(TeacherRefused, match="OPENAI_API_KEY holds characters") as caught:
        client("http://127.0.0.1:1/v1", tmp_path)
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_error_that_repeats_the_secrets_shows_none(tmp_path, status):
    secrets = (KEY, "hid%64en", "hidden", "token=planted", base64.b64encode(b"user:hidden").decode())
    with serve(lambda body, n: Fails(status, f"got {' and '.join(secrets)}")) as server:
        address = server.base_url.replace("://", "://user:hid%64en@") + "?token=planted"
        asked = client(address, tmp_path, attempts=1, concurrency=1)
        for n in range(3):
            with pytest.raises((TeacherError, TeacherRefused), match=r"got \[key\] and \[password\]") as caught:
                asked.chat([picture(n)])
            assert not any(secret in str(caught.value) for secret in secrets)
    assert "@" not in asked.name and server.base_url in asked.name
