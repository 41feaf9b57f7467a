"""The stages annotate and judge in batches, and their estimates, against a local server."""

import json
import os
import re
import signal
import struct
import subprocess
import sys

import pytest

from blank_map import blank_map
from cot.cot_rows import question
from rollout3d import tables
from rollout3d.config import Cot, Judge
from rollout3d.config.teacher import COT_FRAMES
from rollout3d.stages import annotate, judge
from rollout3d.teacher.batch_records import Records
from teacher import annotate_batched, batch_drive, fake_server
from teacher.api_keys import fixed, placed
from teacher.batch_server import Answer, Drop, serve
from teacher.frame_rows import frame_rows
from teacher.server import Chat

LINEAGE = tables.Lineage("test")
KEY = "sk-very-secret-0123456789"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 432, 432) + b"rest"
GOOD = "<think>Left of the tv.</think>\n<answer>A</answer>"
WRONG = "<think>Right of the tv.</think>\n<answer>B</answer>"
IDS = [f"q{i}" for i in range(5)]
USD = (1000 * 2.5 + 100 * 10) / 1e6
"""A reply of the server at the list price of gpt-4o."""


def rows():
    return [question(question_id=q, question=f"Which side is object {q} on?") for q in IDS]


@pytest.fixture
def world(tmp_path, monkeypatch):
    """Tables on the disk, and a function that gives a stage's arguments and environment for a server."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    batch_drive.hurry(monkeypatch.setattr)
    for section in (Cot, Judge):
        monkeypatch.setattr(section, "frames", annotate_batched.FRAMES)
    tables.write(
        tables.HARD, tmp_path / "hard.parquet", [{"question_id": q, "transition": "bev"} for q in IDS], LINEAGE
    )
    tables.write(tables.OCR_RL, tmp_path / "ocr_rl.parquet", rows(), LINEAGE)
    tables.write(tables.QUESTIONS, tmp_path / "questions.parquet", rows(), LINEAGE)
    for name in ("uniform16", "uniform32"):
        frames = frame_rows(name, "other")
        tables.write(tables.FRAMES, tmp_path / f"{name}.parquet", frames, LINEAGE)
    tables.write(tables.MAPS, tmp_path / "maps.parquet", [blank_map("scene0000_00", PNG)], LINEAGE)
    return tmp_path


SECTIONS = {"annotate": "cot", "judge": "judge"}


def arguments(world, stage="annotate", **values):
    values = placed(SECTIONS[stage], {"max_usd": 1.0, "batch": True} | values)
    argv = ["--config", json.dumps(values), "--out", str(world / "out" / f"{stage}.parquet")]
    if stage == "judge":
        return [*argv, "--questions", str(world / "questions.parquet"), "--frames", str(world / "uniform16.parquet")]
    argv += ["--hard", str(world / "hard.parquet"), "--questions", str(world / "ocr_rl.parquet")]
    return [*argv, "--frames", str(world / "uniform32.parquet"), "--maps", str(world / "maps.parquet")]


def run(world, server, monkeypatch, stage="annotate", **values):
    monkeypatch.setenv("ROLLOUT3D_SITE", json.dumps({"openai_base_url": server.base_url}))
    main, table = {"annotate": (annotate, tables.ANNOTATIONS), "judge": (judge, tables.VERDICTS)}[stage]
    with fixed(SECTIONS[stage], values):
        main.main(arguments(world, stage, **values))
    return tables.read(table, world / "out" / f"{stage}.parquet")


def asked(body):
    return re.search(r"object (q\d)", body["messages"][0]["content"][-1]["text"])[1]


def script(first_wrong=("q1", "q3")):
    """Wrong once for some questions, then right."""
    seen = []

    def reply(body, n):
        name = asked(body)
        seen.append(name)
        return 200, WRONG if name in first_wrong and seen.count(name) == 1 else GOOD

    return reply


def test_batches_give_the_annotations_of_single_requests_at_half_the_price(world, monkeypatch):
    with serve(script()) as server:
        found = run(world, server, monkeypatch)
        assert [b["counts"]["total"] for b in server.batches] == [5, 2], "a second round asks for the rejected ones"
        assert set(server.paid.values()) == {1}
        sent = len(server.log)
        assert run(world, server, monkeypatch) == found and len(server.log) == sent, "a rerun pays nothing"
    images = [part["image_url"]["url"][:15] for part in server.bodies[0]["messages"][0]["content"][:-1]]
    assert images == ["data:image/png;", *["data:image/jpeg"] * 3]
    assert (server.bodies[0]["model"], server.bodies[0]["max_tokens"]) == ("gpt-4o", 1024)
    with fake_server.serve(script()) as single:
        (world / "out" / "replies").rename(world / "kept")
        plain = run(world, single, monkeypatch, batch=False)
    differ = ("usd", "request_id")
    assert [{k: v for k, v in row.items() if k not in differ} for row in found] == [
        {k: v for k, v in row.items() if k not in differ} for row in plain
    ]
    assert [row["usd"] for row in plain] == pytest.approx([USD] * 7)
    assert [row["usd"] for row in found] == pytest.approx([USD / 2] * 7)


@pytest.mark.parametrize("place", ["upload", "create:after", "retrieve", "content:half"])
@pytest.mark.parametrize("number", [1, 2])
def test_annotate_killed_in_any_round_continues_and_pays_once(world, monkeypatch, place, number):
    """`number`: at which upload, creation, look or download the process is killed."""
    with serve(script()) as server:
        process, times = None, iter(range(1, 99))

        def kill(server):
            if next(times) == number * (3 if place == "retrieve" else 1):
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                raise Drop

        server.faults[place] = kill
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        environment["ROLLOUT3D_SITE"] = json.dumps({"openai_base_url": server.base_url})
        command = [sys.executable, annotate_batched.__file__, "annotate", *arguments(world)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        _, log = process.communicate(timeout=120)
        assert process.returncode == -signal.SIGKILL, log
        assert not (world / "out" / "annotate.parquet").exists()
        found = run(world, server, monkeypatch)
        assert len(found) == 7 and set(server.paid.values()) == {1} and len(server.paid) == 7
        assert server.count("POST /v1/batches") == 2 and KEY not in log


def test_a_request_that_a_batch_refuses_is_a_failed_question_and_a_rerun_asks_it_alone(world, monkeypatch):
    def reply(body, n):
        return (400, "too large") if n == 0 else (200, GOOD)

    with serve(reply) as server:
        found = run(world, server, monkeypatch, max_share_failed=0.2)
        assert [(r["question_id"], r["verdict"]) for r in found][:2] == [("q0", "failed"), ("q1", "accepted")]
        assert found[0]["reason"] == "status 400: too large" and found[0]["usd"] == 0
        again = run(world, server, monkeypatch)
        assert [r["verdict"] for r in again] == ["accepted"] * 5 and again[1:] == found[1:]
        assert len(server.bodies) == 6 and set(server.paid.values()) == {1}


def test_the_limit_counts_what_batches_promise_and_ends_the_stage_with_all_that_was_paid(world, monkeypatch, capsys):
    # A request costs at most half of 4 * 255 + 32 + half its text at 2.5, and 1024 at 10 dollars per million: 0.0075.
    replies = script()
    with serve(replies) as server, pytest.raises(SystemExit):
        run(world, server, monkeypatch, max_usd=0.016)
    said = capsys.readouterr().err
    assert "raise cot.max_usd" in said and KEY not in said
    kept = [json.loads(path.read_text()) for path in (world / "out" / "replies").glob("*.json")]
    assert len(kept) == sum(server.paid.values()) > 2 and set(server.paid.values()) == {1}
    assert sum(reply["usd"] for reply in kept) == pytest.approx(len(kept) * USD / 2)
    with serve(replies) as server:
        found = run(world, server, monkeypatch)
        assert len(kept) + sum(server.paid.values()) == len(found) == 7


def test_open_batches_are_not_paid_for_once_more_by_single_requests(world, monkeypatch, capsys):
    with serve(script()) as server:

        def refuse(server):
            raise Answer(403, "not now")

        server.faults["retrieve"] = refuse
        with pytest.raises(SystemExit):
            run(world, server, monkeypatch)
        assert len(Records(world / "out" / "replies" / "batches" / "annotate").open) == 1
        with pytest.raises(SystemExit):
            run(world, server, monkeypatch, batch=False)
        assert "1 batches with 5 requests are not collected yet: set api.batch: true" in capsys.readouterr().err
        server.faults.clear()
        assert len(run(world, server, monkeypatch)) == 7 and set(server.paid.values()) == {1}


def test_replies_that_are_cut_refused_or_filtered_are_reasons_and_one_without_usage_counts_at_its_most(
    world, monkeypatch
):
    odd = {
        "q0": Chat(GOOD, finish="length"),
        "q1": Chat(None, refusal="I will not."),
        "q2": Chat(None, finish="content_filter"),
        "q3": Chat(GOOD, usage=False),
    }

    def reply(body, n):
        return 200, odd.pop(asked(body), GOOD)

    with serve(reply) as server:
        found = run(world, server, monkeypatch)
    first = {row["question_id"]: row for row in found if row["attempt"] == 0}
    assert first["q0"]["reason"].startswith("cut at max_tokens") and "refused by the model" in first["q1"]["reason"]
    assert "content filter" in first["q2"]["reason"] and first["q3"]["verdict"] == "accepted"
    assert first["q3"]["usd"] > 1024 * 5 / 1e6 and first["q4"]["usd"] == pytest.approx(USD / 2)
    assert [row["verdict"] for row in found if row["attempt"] == 1] == ["accepted"] * 3
    assert set(server.paid.values()) == {1} and len(found) == 8


def test_neither_key_nor_password_stands_anywhere_after_a_failure(world, monkeypatch, capsys):
    with serve(script()) as server:
        url = server.base_url.replace("http://", "http://user:hush-hush@")
        for place in ("list", "upload", "create:before", "retrieve", "content"):

            def refuse(server):
                raise Answer(400, f"wrong: {KEY} of user:hush-hush")

            server.faults = {place: refuse}
            monkeypatch.setattr(server, "base_url", url)
            with pytest.raises(SystemExit):
                run(world, server, monkeypatch)
    said = capsys.readouterr()
    texts = [said.out, said.err, *(path.read_text("latin-1") for path in files(world))]
    assert "[key]" in said.err and not any(KEY in text or "hush-hush" in text for text in texts)


def test_the_judge_asks_in_batches_too(world, monkeypatch):
    def reply(body, n):
        return 200, "DROP: not seen" if asked(body) == "q2" else "KEEP"

    with serve(reply) as server:
        found = run(world, server, monkeypatch, "judge")
        assert [row["keep"] for row in found] == [True, True, False, True, True]
        assert len(server.batches) == 1 and set(server.paid.values()) == {1}
        sent = len(server.log)
        assert run(world, server, monkeypatch, "judge") == found and len(server.log) == sent


# -- estimates --------------------------------------------------------------------------------------------------------


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_estimate_needs_no_key_asks_nothing_and_writes_nothing(world, monkeypatch, capsys):
    monkeypatch.delenv("OPENAI_API_KEY")
    before = files(world)
    annotate.main([*arguments(world, max_usd=0), "--estimate"])
    said = capsys.readouterr().out
    assert files(world) == before
    assert "annotate: 5 questions to gpt-4o" in said and "4.0 per question, their real sizes" in said
    assert re.search(r"pictures +20 ", said) and "5,100 of them pictures" in said  # 5 * 4 * 255
    assert "prices of 20" in said and "nothing is asked until it is raised" in said
    judge.main([*arguments(world, "judge"), "--estimate"])
    said = capsys.readouterr().out
    assert files(world) == before and "judge: 5 questions to gpt-4o" in said and "3,825 of them pictures" in said


def test_the_estimate_is_what_the_stage_then_pays_for(world, monkeypatch, capsys):
    with serve(script()) as server:
        run(world, server, monkeypatch)
        capsys.readouterr()
        annotate.main([*arguments(world), "--estimate"])
        said = capsys.readouterr().out
    assert f"paid: {7 * USD / 2:.2f} dollars for 7 replies in the cache; 5 of the questions have one" in said
    assert "100 per reply (the mean of 7 replies in the cache)" in said


def test_before_the_hard_set_exists_a_number_of_rows_stands_for_it(world, capsys):
    frames, maps = (
        ["--" + name, str(world / file)] for name, file in (("frames", "uniform32.parquet"), ("maps", "maps.parquet"))
    )
    with fixed("cot", {"frames": COT_FRAMES}):
        annotate.main(["--estimate", "--rows", "2000", *frames, *maps])
    said = capsys.readouterr().out
    # The scan has five frames of the sampling, fewer than the 32 that are asked for, and one view from above.
    assert "at most 2,000 questions" in said and "6.0 per question, the mean of 1 scans" in said
    for wrong in ([], ["--rows", "3", "--hard", "x"], ["--hard", "x"]):
        with pytest.raises(SystemExit):
            annotate.main(["--estimate", *wrong, *frames])
    assert "--estimate needs" in capsys.readouterr().err


def test_a_model_without_a_price_is_refused_before_anything_is_asked(world, monkeypatch, capsys):
    with serve(script()) as server:
        with pytest.raises(SystemExit):
            run(world, server, monkeypatch, model="my-llm")
        with pytest.raises(SystemExit):
            run(world, server, monkeypatch, "judge", model="my-llm")
        assert server.log == []
    said = capsys.readouterr().err
    assert said.count("set api.prices to {my-llm: [IN, OUT]}") == 2
