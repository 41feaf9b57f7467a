"""Requests of the API teacher, against a local server."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import pytest

from blank_map import blank_map
from cot.cot_rows import number, question
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.cot.annotate import annotate
from rollout3d.cot.teachers._openai_client import OpenAITeacher, options
from rollout3d.teacher.asking import Asking
from rollout3d.teacher.client import open_client
from rollout3d.teacher.errors import TeacherRefused
from teacher.api_keys import placed
from teacher.fake_server import serve
from teacher.frame_rows import frame_rows

PROMPT = Path(__file__).parents[2] / "resources/prompts/cot_teacher.txt"
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 432, 432) + b"rest"
GOOD = "<think>Left of the tv.</think>\n<answer>A</answer>"


@pytest.fixture()
def media(tmp_path):
    maps = [blank_map("scene0000_00", PNG)]
    tables.write(
        tables.FRAMES, tmp_path / "frames.parquet", frame_rows("uniform32", "uniform16"), tables.Lineage("test")
    )
    tables.write(tables.MAPS, tmp_path / "maps.parquet", maps, tables.Lineage("test"))
    return tmp_path


def teacher(server, media, monkeypatch, **cot):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
    settings = {"max_usd": 1.0, "frames": 3} | cot
    config = Config.model_validate(placed("cot", settings))
    chat = open_client(config.cot, config.api, options(config.cot), "cot", media / "cache", server.base_url)
    shown = [media / "frames.parquet"], [media / "maps.parquet"], settings["frames"], "uniform32"
    return OpenAITeacher(chat, *shown, PROMPT.read_text())


def sent_pictures(body):
    urls = [p["image_url"]["url"] for p in body["messages"][0]["content"] if p["type"] == "image_url"]
    return [(u.split(";")[0], base64.b64decode(u.split(",")[1])) for u in urls]


def test_sends_the_view_from_above_first_then_the_evaluation_frames_then_the_question(media, monkeypatch):
    with serve(lambda body, n: (200, GOOD)) as server:
        draft = teacher(server, media, monkeypatch).write(question(), 0)
    assert draft.text == GOOD and draft.request_id == "chatcmpl-0" and draft.usd == pytest.approx(0.0035)
    body = server.requests[0]
    assert sent_pictures(body) == [
        ("data:image/png", PNG),
        ("data:image/jpeg", b"jpeg0"),
        ("data:image/jpeg", b"jpeg4"),
        ("data:image/jpeg", b"jpeg8"),
    ]
    text = body["messages"][0]["content"][-1]["text"]
    assert "The 3 pictures after it" in text and "facing the tv" in text and "B. right" in text
    assert "measured in the scan is: A\n" in text and "$" not in text


def test_short_video_is_not_sent_twice(media, monkeypatch):
    with serve(lambda body, n: (200, GOOD)) as server:
        teacher(server, media, monkeypatch, frames=32).write(number(), 0)
    assert len(sent_pictures(server.requests[0])) == 1 + 5


def test_rejected_attempts_are_asked_again_and_a_rerun_pays_nothing(media, monkeypatch):
    replies = ["<think>x</think><answer>B</answer>", "The given answer is A.", GOOD]
    rows = [question(question_id="q")]
    hard = [{"question_id": "q", "transition": "bev"}]
    with serve(lambda body, n: (200, replies[n])) as server:
        first = list(annotate(hard, rows, teacher(server, media, monkeypatch), attempts=3))
        second = list(annotate(hard, rows, teacher(server, media, monkeypatch), attempts=3, how=Asking(workers=2)))
    assert [n["verdict"] for n in first] == ["rejected", "rejected", "accepted"]
    assert len(server.requests) == 3 and first == second
    assert len({n["prompt_digest"] for n in first}) == 3


def test_failed_request_is_recorded_and_the_spending_limit_ends_the_work(media, monkeypatch):
    rows = [question(question_id=q) for q in ("p", "q")]
    hard = [{"question_id": q, "transition": "bev"} for q in ("p", "q")]
    with serve(lambda body, n: (400, "image too large")) as server:
        notes = list(annotate(hard, rows, teacher(server, media, monkeypatch), attempts=1))
    assert [n["verdict"] for n in notes] == ["failed", "failed"] and "image too large" in notes[0]["reason"]
    with serve(lambda body, n: (200, GOOD)) as server, pytest.raises(TeacherRefused, match=r"raise cot\.max_usd"):
        list(annotate(hard, rows, teacher(server, media, monkeypatch, max_usd=1e-6), attempts=1))
    assert server.requests == []


def test_without_a_limit_nothing_is_asked(media, monkeypatch):
    with serve(lambda body, n: (200, GOOD)) as server, pytest.raises(TeacherRefused, match=r"set cot\.max_usd"):
        teacher(server, media, monkeypatch, max_usd=0.0)


def test_scene_without_media_names_the_scene(media, monkeypatch):
    with serve(lambda body, n: (200, GOOD)) as server, pytest.raises(ValueError, match="scene9999_00"):
        teacher(server, media, monkeypatch).write(question(scene_id="scene9999_00"), 0)
