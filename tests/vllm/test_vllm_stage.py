"""A stage whose real engine is killed: it goes on from the answers that were finished."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rollout3d import tables
from rollout3d.model.load import save_policy
from toyworld.model.architecture import build_tiny

N = 300


@pytest.fixture
def command(tokenizer, frames, tmp_path):
    """`rollout3d difficulty` with vLLM, on N questions about pictures that they bring along."""
    import io

    from PIL import Image

    media = []
    for seed in range(3):
        stream = io.BytesIO()
        Image.fromarray(frames(1, 56, 56, seed)[0]).save(stream, "PNG")
        media.append([{"bytes": stream.getvalue(), "path": "x.png"}])
    general = dict.fromkeys(("scene_id", "space_id", "options")) | {"dataset": "general", "split": "train"}
    general |= {"question_type": "object_counting", "answer_type": "number", "ground_truth": "3", "objects": []}
    general |= {"source": "test", "evidence": "{}"}
    rows = [general | {"question_id": f"q{i}", "question": f"How many? {i}", "media": media[i % 3]} for i in range(N)]
    tables.write(tables.OCR_RL, tmp_path / "questions.parquet", rows, tables.Lineage("test"))
    tables.write(tables.FRAMES, tmp_path / "frames.parquet", [], tables.Lineage("test"))
    save_policy(build_tiny(tokenizer, seed=1, hidden=128, head_dim=64, layers=2), tmp_path / "model", kind="tiny")
    config = {"torch_threads": 1, "generation": {"backend": "vllm", "max_new_tokens_direct": 24}}
    given = ["--config", json.dumps(config), "--setting", "frames2", "--questions", tmp_path / "questions.parquet"]
    given += ["--frames", tmp_path / "frames.parquet", "--model", tmp_path / "model" / "model.json"]
    program = str(Path(__file__).parent / "small_engine.py")
    return lambda out: [sys.executable, program, "difficulty", *map(str, given), "--out", str(out)]


def test_a_killed_engine_loses_the_questions_in_flight_only(command, tmp_path):
    out, log = tmp_path / "made" / "0.parquet", tmp_path / "log"
    with log.open("w") as file, subprocess.Popen(command(out), stdout=file, stderr=file) as first:
        until = time.monotonic() + 300
        while not (kept := [line for p in out.parent.glob(".parts/0/*/*.jsonl") for line in p.open("rb")][10:]):
            assert first.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.005)
        first.kill()
    kept = [line for path in out.parent.glob(".parts/0/*/*.jsonl") for line in path.read_bytes().split(b"\n")[:-1]]
    assert not out.exists() and 10 < len(kept) < N
    done = subprocess.run(command(out), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(rf"{len(kept)} of {N} answers were kept by an earlier start", done.stderr)
    found = tables.read(tables.PREDICTIONS, out)
    assert [row["question_id"] for row in found] == [f"q{i}" for i in range(N)]
    assert not (out.parent / ".parts").exists()
    before = {name: samples[0][0] for line in kept for _, name, samples in json.loads(line.partition(b" ")[2])[1]}
    assert all(row["text"] == before.get(row["question_id"], row["text"]) for row in found)
