"""The chat client against a real HTTP server on this machine."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rollout3d.teacher.client import ChatClient, Image, Price, TeacherError, TeacherRefused
from teacher.fake_server import serve

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def _key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def client(server, cache, max_usd=1.0, **options):
    base_url = server if isinstance(server, str) else server.base_url
    options = {"max_tokens": 200, "temperature": 0.5, "base_url": base_url} | options
    return ChatClient("gpt-test", Price(2.5, 10.0, max_usd), cache, **options)


def test_message_holds_texts_and_pictures_in_order_and_cost_follows_the_billed_tokens(tmp_path):
    with serve(lambda body, n: (200, "hello")) as server:
        picture = Image(b"\xff\xd8jpeg", "image/jpeg", 640, 480)
        reply = client(server, tmp_path).chat([picture, "what is it?"])
    assert reply.text == "hello" and reply.request_id == "chatcmpl-0"
    assert (reply.tokens_in, reply.tokens_out) == (1000, 100)
    assert reply.usd == pytest.approx(1000 * 2.5e-6 + 100 * 10e-6)
    body = server.requests[0]
    first, second = body["messages"][0]["content"]
    assert base64.b64decode(first["image_url"]["url"].removeprefix("data:image/jpeg;base64,")) == b"\xff\xd8jpeg"
    assert second == {"type": "text", "text": "what is it?"}
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("gpt-test", 200, 0.5)
    sent = [{name.lower(): value for name, value in headers.items()} for headers in server.headers]
    assert [headers["authorization"] for headers in sent] == [f"Bearer {KEY}"]


def test_a_request_is_the_same_as_bytes_and_as_json(tmp_path):
    asked = client("http://127.0.0.1:1/v1", tmp_path)
    parts = ['say "content": [] in \u00e9\n', Image(bytes(range(256)), "image/jpeg", 8, 8), "", "end"]
    for some in (parts, parts[:1], parts[1:2], []):
        assert json.loads(asked.encoded(some)) == asked.body(some)


@pytest.mark.parametrize("status", [429, 500])
def test_busy_or_failing_server_is_asked_again(tmp_path, status):
    with serve(lambda body, n: (200, "late") if n == 2 else (status, "wait")) as server:
        assert client(server, tmp_path).chat(["hi"]).text == "late"
    assert len(server.requests) == 3


def test_gives_up_after_the_retries_and_keeps_no_cost(tmp_path):
    with serve(lambda body, n: (500, "down")) as server:
        asked = client(server, tmp_path, attempts=3)
        with pytest.raises(TeacherError, match=r"500 - down \(sent 3 times\)"):
            asked.chat(["hi"])
    assert len(server.requests) == 3 and asked.spent_usd == 0


def test_bad_request_is_an_error_of_this_request_and_a_bad_key_stops_everything_without_showing_it(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    with serve(lambda body, n: (400, "too many images") if n == 0 else (401, f"bad key {KEY}")) as server:
        asked = client(server, tmp_path)
        with pytest.raises(TeacherError, match="too many images"):
            asked.chat(["hi"])
        with pytest.raises(TeacherRefused) as caught:
            asked.chat(["hi"])
    assert KEY not in str(caught.value) and "[key]" in str(caught.value)
    assert caught.value.__cause__ is None
    assert not any(KEY in record.getMessage() for record in caplog.records)


def test_a_reply_is_paid_once_and_counts_as_spent_in_the_next_run(tmp_path):
    with serve(lambda body, n: (200, f"reply {n}")) as server:
        first = client(server, tmp_path)
        texts = [first.chat(["a"]).text, first.chat(["a"], attempt=1).text, first.chat(["a"]).text]
        again = client(server, tmp_path)
        assert again.spent_usd == pytest.approx(2 * 0.0035)
        assert again.chat(["a"], attempt=1).text == "reply 1"
    assert texts == ["reply 0", "reply 1", "reply 0"] and len(server.requests) == 2


def test_limit_of_zero_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(TeacherRefused, match=r"set cot\.max_usd"):
        ChatClient("gpt-test", Price(2.5, 10.0, 0.0), tmp_path, max_tokens=1, temperature=0.0)


def test_missing_key_is_refused_unless_a_local_server_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(TeacherRefused, match="OPENAI_API_KEY"):
        ChatClient("gpt-test", Price(2.5, 10.0, 1.0), tmp_path, max_tokens=1, temperature=0.0)
    with serve(lambda body, n: (200, "ok")) as server:
        assert client(server, tmp_path).chat(["hi"]).text == "ok"


def test_stops_before_a_request_that_could_exceed_the_limit(tmp_path):
    # Worst case of one request: 32 + 1 tokens in and 200 out = 0.0000825 + 0.002; a reply costs 0.0035.
    with serve(lambda body, n: (200, "ok")) as server:
        asked = client(server, tmp_path, max_usd=0.005)
        asked.chat(["a"])
        with pytest.raises(TeacherRefused, match=r"raise cot\.max_usd"):
            asked.chat(["b"])
        assert asked.chat(["a"]).text == "ok"
    assert len(server.requests) == 1 and asked.spent_usd == pytest.approx(0.0035)


def test_threads_cannot_overrun_the_limit_together(tmp_path):
    # All 8 are in flight before any is settled: 0.0021 promised each, so at most 4 fit into 0.0084.
    gate = threading.Event()

    def slow(body, n):
        gate.wait(10)
        return 200, "ok"

    refused: list[str] = []
    with serve(slow) as server:
        asked = client(server, tmp_path, max_usd=0.0084)

        def one(i):
            try:
                asked.chat([f"{i}"])
            except TeacherRefused as error:
                refused.append(str(error))

        threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
        for thread in threads:
            thread.start()
        give_up = time.monotonic() + 5
        while len(server.requests) < 4 and time.monotonic() < give_up:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(server.requests) == 4 and not refused, "the others wait: a reply may cost less than its worst case"
        gate.set()
        for thread in threads:
            thread.join()
    # Four replies cost 0.014: more than was promised, by a server that bills more tokens than were sent.
    assert len(server.requests) == 4 and len(refused) == 4


def test_what_waits_for_money_is_asked_once_replies_turn_out_cheap(tmp_path):
    # 0.0041 at most for each, of which two fit; a reply costs 0.0035, so the third fits too.
    gate = threading.Event()

    def slow(body, n):
        gate.wait(10)
        return 200, "ok"

    with serve(slow) as server:
        asked = client(server, tmp_path, max_usd=0.0112, max_tokens=400)
        with ThreadPoolExecutor(3) as pool:
            found = [pool.submit(asked.chat, [f"{i}"]) for i in range(3)]
            time.sleep(0.2)
            assert len(server.requests) == 2
            gate.set()
        assert [future.result().text for future in found] == ["ok"] * 3
