"""A published model: its files, its card's scores, training and terms, and the licence of its base model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open

from evaluation.eval_rows import ASKED
from publish.published_study import NOWHERE, SCORES, build, of_room
from publish.test_publish_push import BLOCKED
from rollout3d import tables
from rollout3d.config import Config
from rollout3d.errors import InvalidInput
from rollout3d.evaluation.intervals import bootstrap
from rollout3d.model.directory import check
from rollout3d.model.load import load_policy, read_model, refer_model, save_policy, write_model
from rollout3d.publish import licences, weights
from rollout3d.publish.licences import of_base, of_data
from rollout3d.stages import publish
from toyworld.model.architecture import build_tiny

ROOMS = [f"scene{i:04d}_00" for i in range(8)]
BASE_3B = "Qwen/Qwen2.5-VL-3B-Instruct"


def digest(path):
    return tables.digest([tables.content_digest(path)])


def trained(study, policy, name, kind, init, train):
    """Save a run of the study with the lineage that training writes."""
    paper = {"grpo.lr": 1e-6, "grpo.advantage_group": "group", "run.steps": 5, "run.rollout": "object_centric"}
    values = {f"{kind}.lr": 3e-05, "seed": 0, "job.run": name, "prompts/think.txt": "12"} | (
        paper if kind == "grpo" else {}
    )
    parents = {"init": digest(init), "train": digest(train)}
    lineage = {"stage": f"train_{kind}", "values": values, "settings": {}, "code": "", "parents": parents}
    folder = study.results / "runs" / name
    save_policy(policy, folder, kind=kind, name=name, lineage=lineage, prompts={"think": "video_r1"})
    return folder / "model.json"


@pytest.fixture
def study(tmp_path, tokenizer):
    """A run `ocr` of SFT and GRPO on a base model of the Hub, evaluated on eight rooms."""
    given = build(tmp_path)
    policy = build_tiny(tokenizer, seed=1, hidden=64, layers=2, vision_hidden=64)
    base = given.results / "models" / "base" / "model.json"
    base.parent.mkdir(parents=True)
    write_model(base, name=BASE_3B, kind="hub", weights=BASE_3B, digest="0")
    sft = trained(given, policy, "sft", "sft", base, given.results / "train/ocr_sft.parquet")
    given.model_json = trained(given, policy, "ocr", "grpo", sft, given.results / "train/ocr_rl.parquet")
    given.digest = read_model(given.model_json).digest
    own = [row | ({"model_digest": given.digest} if row["model_digest"] else {}) for row in SCORES]
    tables.write(tables.SCORES, given.results / "eval/ocr/vsibench/scores.parquet", own, NOWHERE)
    questions = [of_room(room, i, "val") for room in ROOMS for i in range(2)]
    tables.write(tables.QUESTIONS, given.results / "benchmarks/vsibench/questions.parquet", questions, NOWHERE)
    row = {"model": "ocr", "setting": "uniform32", "sample": 0, "score": 0.0, "scorer": "tagged", "n_tokens": 4}
    given.right = [k % 3 > 0 for k in range(len(questions))]
    answers = [
        {"question_id": q["question_id"], "text": f"<think>a</think><answer>{answer}</answer>", "answer": answer}
        | row
        | ASKED
        | {"model_digest": given.digest}
        for q, right in zip(questions, given.right, strict=True)
        for answer in [q["ground_truth"] if right else "90"]
    ]
    tables.write(tables.PREDICTIONS, given.results / "eval/ocr/vsibench/predictions.parquet", answers, NOWHERE)
    given.questions = questions
    return given


def run(study, *options):
    folder = study.root / "out"
    publish.main(["model", str(folder), "--results", str(study.results), "--run", "ocr", *options])
    _, head, body = (folder / "README.md").read_text().split("---\n", 2)
    return folder, yaml.safe_load(head), body


def test_the_folder_loads_and_its_card_is_read_by_the_hubs_library(study, capsys):
    from huggingface_hub import ModelCard

    folder, head, _ = run(study)
    assert "licence Qwen RESEARCH LICENSE AGREEMENT" in capsys.readouterr().out
    check(folder)
    held = {path.name for path in folder.iterdir()}
    assert held >= {"config.json", "tokenizer.json", "generation_config.json", "chat_template.jinja", "README.md"}
    assert held >= {"preprocessor_config.json", "model.safetensors", "prompt.txt", "released_positions.py"}
    card = ModelCard.load(folder / "README.md")
    assert card.data.license_name == "qwen-research" and card.data.license == "other"
    assert card.data.base_model == BASE_3B and card.data.pipeline_tag == "video-text-to-text"
    found = {each.metric_name: (each.metric_value, each.dataset_type) for each in card.data.eval_results}
    assert found["overall"] == (61.25, "nyu-visionx/VSI-Bench") and found["overall, black frames"][0] == 50.5
    assert found["overall, random guess"][0] == 20.0 and card.data.model_name == "ocr"
    assert head["model-index"][0]["results"][0]["metrics"][0]["name"] == "object_counting"


def test_the_card_has_scores_with_intervals_beside_guesses_and_black_frames(study):
    _, _, body = run(study)
    rooms = [q["space_id"] for q in study.questions]
    types = ["object_counting"] * len(rooms)
    ((low, high),) = bootstrap(np.array(study.right, float)[:, None], types, rooms)["overall"]
    line = f"| overall | 6 | 61.2 ({100 * low:.1f} to {100 * high:.1f}) | 20.0 | 30.0 | 50.5 | +10.8 (-1.5 to +23.0) |"
    assert line in body
    assert "| Task | questions | its video | random guess | frequent answer | black frames | video minus that |" in body


def test_the_card_has_the_chain_of_training_and_what_departs_from_the_paper(study):
    _, _, body = run(study)
    assert f"From {BASE_3B}, in this order:" in body
    assert "| `sft` | supervised fine-tuning | `ocr_sft`: 2 questions (2 scannet) |" in body
    assert "| `ocr` | GRPO | `ocr_rl`: 8 questions (6 scannet, 2 video_r1) | rollout object_centric, steps 5 |" in body
    assert Config().sft.lr == 1e-06 and "| `sft.lr` | 3e-05 | 1e-06 | `sft` |" in body
    assert "| `grpo.ablation.advantage_group` | group | pooled | `ocr` |" in body
    assert "| `grpo.lr` |" not in body.split("## Departures")[1]  # it is the paper's
    assert "Qwen RESEARCH LICENSE AGREEMENT" in body and "## Positions: read this" in body
    assert "@article{tang2025video" in body


def test_scores_of_other_weights_are_refused(study):
    own = [row | ({"model_digest": "beef" * 16} if row["model_digest"] else {}) for row in SCORES]
    tables.write(tables.SCORES, study.results / "eval/ocr/vsibench/scores.parquet", own, NOWHERE)
    with pytest.raises(SystemExit):
        run(study)
    assert not (study.root / "out").exists()


def test_a_run_without_scores_says_so(study):
    (study.results / "eval/ocr/vsibench/scores.parquet").unlink()
    _, head, body = run(study)
    assert "None: this run was not evaluated." in body and "model-index" not in head


def test_an_unknown_run_is_answered_with_those_that_there_are(study, capsys):
    with pytest.raises(SystemExit):
        publish.main(["model", str(study.root / "out"), "--results", str(study.results), "--run", "ocrr"])
    assert "no such run; trained are ocr, sft" in capsys.readouterr().err


def test_a_base_model_that_is_not_in_the_results_must_be_named_with_its_licence(study, capsys):
    (study.results / "models/base/model.json").unlink()
    for options, why in (
        ([], "name the base model and its licence: --base NAME --license ID"),
        (["--base", "lab/own"], "the licence of the base model lab/own is not known here"),
    ):
        with pytest.raises(SystemExit):
            run(study, *options)
        assert why in capsys.readouterr().err and not (study.root / "out").exists()
    _, head, _ = run(study, "--base", "lab/own", "--license", "own-terms", "--license-link", "https://lab.org/terms")
    assert (head["license"], head["license_name"], head["base_model"]) == ("other", "own-terms", "lab/own")
    assert head["license_link"] == "https://lab.org/terms"


@pytest.mark.parametrize(
    ("name", "kind", "given", "found"),
    [
        (BASE_3B, "hub", None, ("other", "qwen-research")),
        (BASE_3B, "directory", "qwen-research", ("other", "qwen-research")),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "hub", None, ("apache-2.0", None)),
        ("resources/tiny_qwen", "shipped", None, ("apache-2.0", None)),
        ("lab/own", "directory", "MIT", ("mit", None)),
    ],
)
def test_licences_of_base_models(name, kind, given, found):
    licence = of_base(name, kind, given)
    assert (licence.id, licence.name) == found


@pytest.mark.parametrize("given", ["apache-2.0", "mit"])
def test_a_known_licence_cannot_be_contradicted(given):
    with pytest.raises(InvalidInput, match=r"the licence of Qwen/Qwen2\.5-VL-3B-Instruct is qwen-research"):
        of_base(BASE_3B, "hub", given)
    with pytest.raises(InvalidInput, match="--license ID"):
        of_base("Qwen/Qwen2.5-VL-72B-Instruct", "hub")


@pytest.mark.parametrize(
    ("synthetic", "sources", "general", "found"),
    [
        (True, {"generated"}, False, "apache-2.0"),
        (True, {"generated"}, True, "other"),
        (True, {"SpaceR-151k.jsonl"}, False, "other"),
        (False, {"generated"}, False, "other"),
    ],
)
def test_licence_of_data(synthetic, sources, general, found):
    assert of_data(synthetic, sources, general).id == found and licences.FILE == "LICENSE.md"


def test_large_weights_are_split_as_transformers_reads_them(study, tmp_path):
    folder, _, _ = run(study)
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        before = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    largest = max(tensor.numel() * tensor.element_size() for tensor in before.values())
    names = weights.shard(folder, largest)
    assert len(names) > 2 and names[0] == f"model-00001-of-{len(names):05d}.safetensors"
    assert sorted(path.name for path in folder.glob("*.safetensors")) == sorted(names)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    total = sum(tensor.numel() * tensor.element_size() for tensor in before.values())
    assert index["metadata"]["total_size"] == total and set(index["weight_map"]) == set(before)
    check(folder)
    assert weights.shard(folder, 2 * largest) == sorted(names)  # small enough already
    after = {}
    for name in names:
        with safe_open(folder / name, framework="pt") as file:
            after |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            assert file.metadata() == {"format": "pt"}
    assert after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in before)
    refer_model(tmp_path / "again.json", name="again", where=str(folder))
    own = dict(load_policy(tmp_path / "again.json").model.named_parameters())
    assert all(torch.equal(own[name], before[name]) for name in own if name in before)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_the_folder_that_a_model_was_loaded_from_is_taken_out(study, name):
    path = study.results / "runs/ocr/weights" / name
    about = json.loads(path.read_text()) | {"_name_or_path": "/home/jane/model", "name_or_path": "/home/jane/model"}
    path.write_text(json.dumps(about))
    handle = json.loads(study.model_json.read_text())
    from rollout3d.model.load import files_digest

    new = files_digest(path.parent)
    study.model_json.write_text(json.dumps(handle | {"digest": new}))
    for table, at in ((tables.SCORES, "scores"), (tables.PREDICTIONS, "predictions")):
        file = study.results / "eval/ocr/vsibench" / f"{at}.parquet"
        rows = [row | ({"model_digest": new} if row["model_digest"] else {}) for row in tables.read(table, file)]
        tables.write(table, file, rows, NOWHERE)
    folder, _, _ = run(study)
    assert "jane" not in (folder / name).read_text()


def test_without_a_push_no_model_touches_the_network(study):
    blocked = BLOCKED.rpartition("assert")[0]  # transformers imports the Hub's client
    arguments = ["model", str(study.root / "out"), "--results", str(study.results), "--run", "ocr"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    done = subprocess.run(
        [sys.executable, "-c", blocked, *arguments], capture_output=True, text=True, env=environment, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (study.root / "out" / "README.md").is_file()
