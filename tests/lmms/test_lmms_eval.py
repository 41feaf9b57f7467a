"""The exported folder in lmms-eval's own code: its command line, its task VSI-Bench, its log."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from evaluation import harness_run, vsibench_release
from rollout3d.config import Config
from rollout3d.model.prompts import question_text
from rollout3d.stages.score import main as score

CONFIG = {"video": harness_run.VIDEO, "generation": {"max_new_tokens": 9}}
TASK = "vsibench"


def released():
    """One question of each type, about a scene of its own."""
    found = {}
    for row in vsibench_release.rows():
        found.setdefault(row["question_type"], row)
    return list(found.values())


@pytest.fixture(scope="module")
def logged(tokenizer, tmp_path_factory):
    """Our own prompts and answers, and the lines of lmms-eval's log."""
    root = tmp_path_factory.mktemp("lmms")
    docs = released()
    run = harness_run.make(root, tokenizer, dict.fromkeys(doc["scene_name"] for doc in docs))
    harness_run.exported(run.made, root / "out", CONFIG)
    # The folder of the data set in the working directory stands for the one of the Hub, and needs no network.
    release = root / "nyu-visionx" / "VSI-Bench"
    vsibench_release.write_questions(release, written=docs)
    files = "- config_name: full\n  data_files:\n  - {split: test, path: test.jsonl}\n"
    (release / "README.md").write_text(f"---\nconfigs:\n{files}---\n")
    for doc in docs:
        place = root / "home" / "vsibench" / doc["dataset"] / f"{doc['scene_name']}.mp4"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(run.videos[doc["scene_name"]].read_bytes())
    plugin = "rollout3d_lmms_eval"
    command = [sys.executable, "-m", "lmms_eval", "--model", "rollout3d_vlm", "--tasks", f"rollout3d_{TASK}"]
    command += ["--include_path", str(root / "out" / plugin / "tasks"), "--batch_size", "1", "--log_samples"]
    command += ["--output_path", str(root / "logs")]
    own = {"HF_HOME": str(root / "home"), "PYTHONPATH": str(root / "out"), "LMMS_EVAL_PLUGINS": plugin}
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=root, env={**os.environ, **own, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    (log,) = root.glob(f"logs/**/*_samples_{TASK}.jsonl")
    return root, docs, run, [json.loads(line) for line in log.read_text().splitlines()], log


def test_the_harness_asks_our_words_byte_for_byte(logged):
    _, docs, _, lines, _ = logged
    assert [line["doc_id"] for line in lines] == list(range(len(docs)))
    for doc, line in zip(docs, lines, strict=True):
        row = {**doc, "scene_id": doc["scene_name"], "answer_type": "choice" if doc["options"] else "number"}
        assert line["input"].encode() == question_text(row, ("video",), "think", "video_r1").encode()


def test_the_answers_are_those_of_our_evaluation(logged):
    _, docs, run, lines, _ = logged
    shown = f"uniform{Config.model_validate(CONFIG).video.eval_frames}"
    _, answers = harness_run.evaluated(run, docs, CONFIG, shown, "think", "video_r1")
    raw = [line.get("resps", line["filtered_resps"]) for line in lines]
    assert [text[0] if isinstance(text, list) else text for text in raw] == answers


def test_its_log_is_scored(logged, capsys):
    root, docs, _, _, log = logged
    score(["--predictions", str(log), "--answers", str(root / "nyu-visionx/VSI-Bench/test.jsonl")])
    said = capsys.readouterr().out
    assert f"{len(docs)} predictions" in said and "vsibench_overall.id" in said and "0 missing" in said
