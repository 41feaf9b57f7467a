"""A benchmark and a teacher, each added to a clone as one new file, go through the pipeline to their results."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from dag.clones import copy_repository, run_stages
from evaluation.small_world import LINEAGE, question_rows, tiny_policy
from rollout3d import tables
from rollout3d.model.load import save_policy

BENCHMARK = '''
"""Questions about pictures: questions.json, and the pictures beside it."""

import json

from rollout3d import tables
from rollout3d.evaluation.benchmarks import Prepared
from rollout3d.scoring.aggregate import Mean

SIZE = 3
SCORERS = {"direct": "lmms", "think": "tagged"}


def prepare(given):
    file = given.root / "questions.json"
    return Prepared([_row(given.root, each) for each in json.loads(file.read_text())], iter(()), (file,))


def _row(root, each):
    row = dict.fromkeys(tables.QUESTIONS.schema.names) | {
        "split": "test", "dataset": "pictures", "question_type": each["type"], "answer_type": "choice",
        "question": each["question"], "options": each["options"], "ground_truth": each["answer"], "objects": [],
        "media": [{"bytes": (root / each["picture"]).read_bytes(), "path": each["picture"]}],
        "source": "pictures", "evidence": "{}",
    }
    return row | {"question_id": tables.question_id(row)}


def average(scores):
    means = {name: Mean(sum(values) / len(values), len(values)) for name, values in scores.items()}
    every = [value for values in scores.values() for value in values]
    return means | {"overall": Mean(sum(every) / len(every), len(every))}


def missing(given):
    return [] if (given.root / "questions.json").is_file() else [f"pictures: no questions.json in {given.root}"]
'''

TEACHER = """
from rollout3d import tables
from rollout3d.cot.teachers import Draft, Opened

KEYS = ("seed",)


class Plain:
    name = model = "plain"

    def write(self, row, attempt):
        text = f"<think>I look around.</think> <answer>{row['ground_truth']}</answer>"
        return Draft(tables.digest([row["question_id"], attempt]), text)


def open_teacher(work):
    return Opened(Plain())
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with both files and little else: its training questions, hard set and base model are given."""
    folder = copy_repository(tmp_path_factory.mktemp("added") / "clone")
    package = folder / "workflow" / "rollout3d"
    (package / "evaluation/benchmarks/pictures.py").write_text(BENCHMARK)
    (package / "cot/teachers/plain.py").write_text(TEACHER)
    results = folder / "results/tiny"
    questions = question_rows()
    tables.write(tables.OCR_RL, results / "train/ocr_rl.parquet", questions, LINEAGE)
    hard = [{"question_id": row["question_id"], "transition": "frames"} for row in questions]
    tables.write(tables.HARD, results / "difficulty/hard.parquet", hard, LINEAGE)
    save_policy(tiny_policy(), results / "models/base", kind="tiny")
    return folder


def write_release(root):
    root.mkdir()
    asked = []
    for k, letter in enumerate("ABB"):
        picture = np.full((56, 56, 3), 80 * k, np.uint8)
        (root / f"{k}.png").write_bytes(cv2.imencode(".png", picture)[1].tobytes())
        asked.append(
            {"type": "light" if k else "dark", "question": f"Is picture {k} dark?", "options": ["A. yes", "B. no"]}
            | {"answer": letter, "picture": f"{k}.png"}
        )
    (root / "questions.json").write_text(json.dumps(asked))


def configured(root):
    given = ["keep=[assemble,describe_model,select_hard]", "evaluation={benchmarks: [pictures]}"]
    return [*given, "cot={teacher: plain}", f"site={{benchmarks: {{pictures: {root}}}}}"]


def run(clone, root, *arguments):
    settings = ["--cores", "1", "--configfile", "config/presets/tiny.yaml", "--config", *configured(root)]
    return run_stages(clone, *settings, *arguments)


def test_each_is_one_file_and_goes_through_the_pipeline(clone, tmp_path):
    root = tmp_path / "pictures"
    results = clone / "results/tiny"
    targets = [f"results/tiny/{name}" for name in ("eval/qwen3b/pictures/scores.parquet", "train/ocr_sft.parquet")]
    refused = run(clone, root, "--", *targets)
    assert refused.returncode != 0 and f"pictures: no questions.json in {root}" in refused.stdout + refused.stderr
    write_release(root)
    done = run(clone, root, "--", *targets)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    scores = tables.read(tables.SCORES, results / "eval/qwen3b/pictures/scores.parquet")
    video = {row["task"]: row for row in scores if row["view"] == "video"}
    assert {task: row["n"] for task, row in video.items()} == {"dark": 1, "light": 2, "overall": 3}
    assert {(row["benchmark"], row["scorer"], row["part"]) for row in video.values()} == {("pictures", "lmms", None)}
    assert {row["score"] for row in scores if row["view"] == "random"} == {50.0}
    predictions = tables.read(tables.PREDICTIONS, results / "eval/qwen3b/pictures/predictions.parquet")
    assert {row["scorer"] for row in predictions} == {"lmms"} and {row["split"] for row in predictions} == {"full"}
    raw = tables.read(tables.RAW_FILES, results / "benchmarks/pictures/raw_files.parquet")
    assert {"questions.json", "0.png", "1.png", "2.png"} <= {row["path"] for row in raw}

    notes = tables.read(tables.ANNOTATIONS, results / "cot/annotations.parquet")
    assert {(row["teacher"], row["verdict"]) for row in notes} == {("plain", "accepted")}
    learnt = tables.read(tables.OCR_SFT, results / "train/ocr_sft.parquet")
    assert len(learnt) == len(question_rows()) and {row["think"] for row in learnt} == {"I look around."}


def test_neither_changes_what_the_others_made(clone):
    """The code of a result counts the chosen benchmark and teacher only."""
    from rollout3d import code

    there, here = code.Package(clone / "workflow/rollout3d"), code.Package()
    for stage, chosen in (
        ("prepare_benchmark", {"benchmark": "synthetic"}),
        ("score", {"benchmark": "vsibench"}),
        ("annotate", {"teacher": "geometric"}),
        ("report", {}),
        ("train_sft", {"method": "sft"}),
    ):
        assert there.closure(stage, chosen) == here.closure(stage, chosen), stage
    assert "workflow/rollout3d/cot/teachers/plain.py" in there.closure("annotate", {"teacher": "plain"}).files
