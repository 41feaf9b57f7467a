"""The Batch API against a local server: requests paid, kept, sent twice and lost under every fault."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollout3d.teacher import batch, batch_records
from rollout3d.teacher.batch_lines import read_line
from rollout3d.teacher.batch_records import RecordError, Records
from rollout3d.teacher.client import TeacherRefused
from teacher import batch_drive
from teacher.batch_drive import Ledger, fetch
from teacher.batch_server import Drop, serve

N = 6


def echo(body, n):
    return 200, f"answer to {body['messages'][0]['content']}"


ALL = {f"q{i:03}": f"answer to question {i}" for i in range(N)}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch):
    batch_drive.hurry(monkeypatch.setattr)


def texts(folder):
    return Ledger(folder / "replies", 0).texts()


def once(server):
    """Every request was paid for, none of them twice."""
    return dict(server.paid) == dict.fromkeys(ALL, 1)


def test_requests_are_answered_and_the_input_leaves_the_server(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    with serve(echo) as server:
        assert fetch(server.base_url, tmp_path, N) == {}
        assert once(server) and texts(tmp_path) == ALL
        assert server.count("POST /v1/batches") == 1 and "DELETE /v1/files/file-0" in server.log
        made = server.batches[0]
        assert (made["endpoint"], made["completion_window"]) == ("/v1/chat/completions", "24h")
        line = {"custom_id": "q000", "method": "POST", "url": "/v1/chat/completions"}
        assert [body["messages"][0]["content"] for body in server.bodies] == [f"question {i}" for i in range(N)]
        asked = len(server.log)
        assert fetch(server.base_url, tmp_path, N) == {} and len(server.log) == asked, "a rerun asks for nothing"
    assert line and "requests: 6 answered, 0 failed, of 6; 999.40 dollars left" in caplog.text
    assert not list((tmp_path / "batches").glob("*.jsonl")), "no copy of the pictures stays"


def test_files_are_cut_at_their_limits(tmp_path, monkeypatch):
    monkeypatch.setattr(batch_records, "MAX_REQUESTS", 4)
    monkeypatch.setattr(batch, "MAX_REQUESTS", 4)
    with serve(echo) as server:
        fetch(server.base_url, tmp_path / "a", N)
        assert [b["counts"]["total"] for b in server.batches] == [4, 2]
    monkeypatch.setattr(batch_records, "MAX_BYTES", 420)  # a line has about 150 bytes
    with serve(echo) as server:
        fetch(server.base_url, tmp_path / "b", N)
        assert [b["counts"]["total"] for b in server.batches] == [2, 2, 2] and once(server)


# -- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "uploads", "creations"),
    [
        ("upload:half", 1, 1),  # the half upload is no file: once more
        ("upload", 2, 1),  # uploaded, not noted: an upload costs nothing
        ("create:before", 1, 2),  # the server has no batch yet
        ("create:after", 1, 1),  # created, not noted: found by the digest of its input
        ("retrieve", 1, 1),
        ("content:half", 1, 1),
    ],
)
def test_a_process_killed_at_any_place_is_continued_and_pays_once(tmp_path, place, uploads, creations):
    drive = [sys.executable, batch_drive.__file__]
    with serve(echo) as server:
        process = None

        def kill(server):
            del server.faults[place]
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            if place in ("upload:half", "create:before"):
                raise Drop  # it did not arrive

        server.faults[place] = kill
        process = subprocess.Popen([*drive, server.base_url, str(tmp_path), str(N)], env=_environment())
        assert process.wait(60) == -signal.SIGKILL
        assert texts(tmp_path) != ALL
        assert fetch(server.base_url, tmp_path, N) == {}
        assert once(server) and texts(tmp_path) == ALL
        assert (server.count("POST /v1/files"), server.count("POST /v1/batches")) == (uploads, creations)


def _environment():
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_record_that_was_lost_is_found_on_the_server_again(tmp_path):
    with serve(echo) as server:
        fetch(server.base_url, tmp_path / "a", N)
        fetch(server.base_url, tmp_path / "b", N)  # as after `rm -r results`
        assert once(server) and texts(tmp_path / "b") == ALL
        assert server.count("POST /v1/files") == server.count("POST /v1/batches") == 1


def test_two_processes_do_not_send_the_same(tmp_path):
    records = Records(tmp_path / "batches")
    with records.take(), serve(echo) as server:
        with pytest.raises(RecordError, match="another process sends or collects"):
            fetch(server.base_url, tmp_path, N)
        assert server.log == []


# -- a server that does not confirm -----------------------------------------------------------------------------------


def test_a_creation_that_the_server_took_but_did_not_confirm_is_found(tmp_path):
    with serve(echo) as server:

        def drop(server):
            raise Drop

        server.faults["create:after"] = drop
        assert fetch(server.base_url, tmp_path, N) == {}
        assert once(server) and server.count("POST /v1/batches") == 1


def test_a_creation_that_never_arrived_is_sent_again(tmp_path):
    with serve(echo) as server:

        def drop(server):
            del server.faults["create:before"]
            raise Drop

        server.faults["create:before"] = drop
        assert fetch(server.base_url, tmp_path, N) == {}
        assert once(server) and server.count("POST /v1/batches") == 2


def test_a_server_that_is_away_while_batches_are_open_is_waited_for(tmp_path, monkeypatch):
    with serve(echo) as server:
        away = iter(range(8))

        def drop(server):
            if next(away, None) is not None:
                raise Drop

        server.faults["retrieve"] = drop
        assert fetch(server.base_url, tmp_path, N) == {} and once(server)
    with serve(echo) as server:
        server.faults["retrieve"] = lambda server: (_ for _ in ()).throw(Drop())
        monkeypatch.setattr(batch, "OUTAGE_S", 0.0)
        with pytest.raises(TeacherRefused, match=r"batch batch-0: .*run the stage again"):
            fetch(server.base_url, tmp_path / "b", N)
        server.faults.clear()
        assert fetch(server.base_url, tmp_path / "b", N) == {} and once(server)


def test_a_download_that_breaks_is_read_again_and_loses_nothing(tmp_path):
    with serve(echo) as server:
        breaks = iter(range(2))

        def drop(server):
            if next(breaks, None) is not None:
                raise Drop

        server.faults["content:half"] = drop
        assert fetch(server.base_url, tmp_path, N) == {}
        assert once(server) and texts(tmp_path) == ALL and server.count("POST /v1/batches") == 1
    with serve(echo) as server:
        server.faults["content:half"] = lambda server: (_ for _ in ()).throw(Drop())
        with pytest.raises(TeacherRefused, match="run the stage again, it is read again"):
            fetch(server.base_url, tmp_path / "b", N)
        server.faults.clear()
        assert fetch(server.base_url, tmp_path / "b", N) == {} and once(server)


# -- batches that end otherwise ---------------------------------------------------------------------------------------


def test_a_batch_that_expires_half_way_keeps_what_it_had_and_the_rest_is_asked_again(tmp_path, caplog):
    with serve(echo) as server:
        server.endings[0] = "expired:4"
        assert fetch(server.base_url, tmp_path, N) == {}
        assert once(server) and texts(tmp_path) == ALL
        assert [b["counts"]["total"] for b in server.batches] == [6, 2]
    assert "batch-0 expired with 4 of 6 requests answered" in caplog.text


def test_batches_that_always_expire_end_in_a_reason_for_each_request(tmp_path):
    with serve(echo) as server:
        server.endings = dict.fromkeys(range(9), "expired:0")
        failed = fetch(server.base_url, tmp_path, N)
        assert len(server.batches) == batch.SUBMISSIONS and set(failed) == set(ALL) and not server.paid
        assert failed["q000"] == "left unanswered by 3 batches, the last batch-2 (expired)"


def test_a_cancelled_batch_ends_the_work_and_the_next_run_asks_for_the_rest(tmp_path):
    with serve(echo) as server:
        server.endings[0] = "cancelled:2"
        with pytest.raises(TeacherRefused, match="batch-0 was cancelled: what it had completed is kept"):
            fetch(server.base_url, tmp_path, N)
        assert list(texts(tmp_path)) == ["q000", "q001"]
        assert fetch(server.base_url, tmp_path, N) == {} and once(server)
        assert [b["counts"]["total"] for b in server.batches] == [6, 4]


def test_a_queue_that_is_full_gets_smaller_batches_one_at_a_time(tmp_path, caplog):
    with serve(echo) as server:
        server.endings = {0: "failed:token_limit_exceeded", 1: "failed:token_limit_exceeded"}
        assert fetch(server.base_url, tmp_path, N) == {} and once(server)
        assert [b["counts"]["total"] for b in server.batches] == [6, 3, 1, 1, 1, 1, 1, 1]
    assert "queue for this model is full" in caplog.text and "higher usage tier" in caplog.text
    with serve(echo) as server:
        server.endings = dict.fromkeys(range(20), "failed:token_limit_exceeded")
        with pytest.raises(TeacherRefused, match=r"batch-\d was not begun: token_limit_exceeded.*api\.batch"):
            fetch(server.base_url, tmp_path / "b", N)
        assert not server.paid


def test_a_batch_that_is_not_begun_names_itself_and_the_reason_and_is_not_asked_for_again(tmp_path):
    with serve(echo) as server:
        server.endings[0] = "failed:billing_hard_limit_reached"
        with pytest.raises(TeacherRefused, match="batch-0 was not begun: billing_hard_limit_reached"):
            fetch(server.base_url, tmp_path, N)
        assert Records(tmp_path / "batches").promised_usd == 0
        assert fetch(server.base_url, tmp_path, N) == {} and once(server)


# -- lines ------------------------------------------------------------------------------------------------------------


def test_lines_of_the_error_file_are_reasons_or_asked_again(tmp_path):
    seen = []

    def script(body, n):
        text = body["messages"][0]["content"]
        seen.append(text)
        if text == "question 1":
            return 400, "image too large"
        if text == "question 2" and seen.count(text) == 1:
            return 500, "server error"
        return echo(body, n)

    with serve(script) as server:
        failed = fetch(server.base_url, tmp_path, N)
    assert failed == {"q001": "status 400: image too large"}
    assert texts(tmp_path) == {q: text for q, text in ALL.items() if q != "q001"}
    assert set(server.paid.values()) == {1} and [b["counts"]["total"] for b in server.batches] == [6, 1]


def test_a_line_about_the_account_ends_the_work_and_what_was_answered_is_kept(tmp_path):
    expected = pytest.raises(TeacherRefused, match=r"batch batch-0: status 401: wrong key \[key\]")
    with serve(lambda body, n: echo(body, n) if n < 2 else (401, "wrong key sk-test")) as server, expected:
        fetch(server.base_url, tmp_path, N)
    assert len(texts(tmp_path)) == 2


def cut(data, n):
    lines = data.splitlines(keepends=True)
    return b"".join([*lines[:2], lines[2][:40] + b"\n", *lines[3:]])


def test_a_line_damaged_on_the_way_is_read_again_and_not_paid_for_again(tmp_path, caplog):
    with serve(echo) as server:
        server.damage = lambda data, n: cut(data, n) if n == 0 else data
        assert fetch(server.base_url, tmp_path, N) == {}
        assert once(server) and texts(tmp_path) == ALL and server.downloads == 2
    assert "1 damaged lines" in caplog.text


def test_a_line_damaged_for_good_is_counted_as_paid_and_asked_again(tmp_path, caplog):
    with serve(echo) as server:
        server.damage = lambda data, n: cut(data, n) if n < batch.DOWNLOADS else data
        assert fetch(server.base_url, tmp_path, N) == {}
        assert texts(tmp_path) == ALL and dict(server.paid) == dict.fromkeys(ALL, 1) | {"q002": 2}
    assert "batch-0: 1 replies that the server counts could not be read" in caplog.text
    assert Records(tmp_path / "batches").promised_usd == batch_drive.WORST_USD


def test_a_reply_that_is_no_completion_counts_as_paid_and_is_asked_again_and_then_named(tmp_path):
    with serve(lambda body, n: (200, {"choices": []}) if "question 3" in str(body) else echo(body, n)) as server:
        failed = fetch(server.base_url, tmp_path, N)
    assert failed == {"q003": "left unanswered by 3 batches, the last batch-2 (no choices)"}
    assert server.paid["q003"] == batch.SUBMISSIONS and sorted(texts(tmp_path)) == sorted(set(ALL) - {"q003"})
    assert Records(tmp_path / "batches").promised_usd == pytest.approx(batch.SUBMISSIONS * batch_drive.WORST_USD)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("{", None),
        ("[]", None),
        ('{"custom_id": 3, "response": null}', None),
        ('{"custom_id": "a", "response": {"status_code": 200}}', None),
        ('{"custom_id": "a", "response": null, "error": null}', ("no answer: no answer", False, False)),
        (
            '{"custom_id": "a", "response": null, "error": {"code": "batch_expired", "message": "late"}}',
            ("batch_expired: late", True, False),
        ),
        ('{"custom_id": "a", "response": {"status_code": 503, "body": "busy"}}', ("status 503: busy", True, False)),
        (
            '{"custom_id": "a", "response": {"status_code": 429, "body": {"error": {"code": "insufficient_quota"}}}}',
            ("status 429: insufficient_quota", False, True),
        ),
    ],
)
def test_lines_are_read(line, found):
    read = read_line(line)
    assert (read and (read.error, read.again, read.stops)) == found


# -- money ------------------------------------------------------------------------------------------------------------


def test_what_batches_promise_never_exceeds_the_limit(tmp_path):
    """Two requests of 0.5 dollars at most fit into 1.25; each costs 0.1, so that then two fit, then one at a time."""
    with serve(echo) as server:
        with pytest.raises(TeacherRefused, match="the limit"):
            fetch(server.base_url, tmp_path, 9, max_usd=1.25)
        sizes = [b["counts"]["total"] for b in server.batches]
        spent = 0.0
        for size in sizes:
            assert spent + size * batch_drive.WORST_USD <= 1.25
            spent += size * batch_drive.REAL_USD
        assert spent + batch_drive.WORST_USD > 1.25 and set(server.paid.values()) == {1} and sum(sizes) == 8


def test_a_limit_below_one_request_sends_nothing(tmp_path):
    with serve(echo) as server:
        with pytest.raises(TeacherRefused, match="the limit"):
            fetch(server.base_url, tmp_path, N, max_usd=0.4)
        assert server.log == [] and not list((tmp_path / "batches").glob("*.json*"))


# -- records ----------------------------------------------------------------------------------------------------------


def test_a_damaged_record_is_one_error_that_names_it(tmp_path):
    with serve(echo) as server:
        fetch(server.base_url, tmp_path, N)
        path = tmp_path / "batches" / "00001.json"
        for text in ("", "{", json.dumps({"number": 1}), "[]"):
            path.write_text(text)
            with pytest.raises(RecordError, match=r"00001\.json: not a readable record"):
                fetch(server.base_url, tmp_path, N)


def test_what_a_killed_process_left_without_a_record_was_never_sent_and_goes(tmp_path):
    folder = tmp_path / "batches"
    folder.mkdir(parents=True)
    for name in ("00007.jsonl", ".00008.123.tmp"):
        (folder / name).write_text("pictures")
    with serve(echo) as server:
        assert fetch(server.base_url, tmp_path, N) == {} and once(server)
    assert sorted(path.name for path in folder.iterdir()) == ["00001.json", "lock"]


def test_a_server_without_a_batch_api_is_said(tmp_path):
    with serve(echo) as server, pytest.raises(TeacherRefused, match=r"Has this server a Batch API.*api\.batch"):
        fetch(server.base_url.removesuffix("/v1") + "/v2", tmp_path, N)


def test_a_batch_that_the_server_does_not_know_is_not_silently_paid_for_again(tmp_path):
    with serve(echo) as server:
        records = Records(tmp_path / "batches")
        with records.take():
            prepared = records.prepare(batch_drive.requests(N), 100.0)
            records.save(prepared, file_id="file-0", batch_id="batch_of_another_account", status="in_progress")
        with pytest.raises(TeacherRefused, match=r"knows no batch batch_of_another_account.*delete .*00001\.json"):
            fetch(server.base_url, tmp_path, N)
        assert not server.paid
        Path(tmp_path / "batches" / "00001.json").unlink()
        server.faults.clear()
        assert fetch(server.base_url, tmp_path, N) == {} and once(server)
