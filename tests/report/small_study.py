"""Invented results around real or small tables, to test the report and look at its layout. Never results."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.eval_rows import ASKED, DIRECT, answer_scoring
from rollout3d import tables
from rollout3d.config import SETTINGS, Config, Run
from rollout3d.cot.annotate import annotate
from rollout3d.cot.sft_table import sft_rows
from rollout3d.cot.teachers.geometric import GeometricTeacher
from rollout3d.difficulty import select
from rollout3d.evaluation.claim_shares import changed_rows, share_rows
from rollout3d.evaluation.claims import Scenes, answer_claims, rollout_claims
from rollout3d.evaluation.scores import score_rows
from rollout3d.model.regions import Regions
from rollout3d.report.gallery import Pictures
from rollout3d.training.rollouts import Context, make_views

LINEAGE = tables.Lineage("invented")


def write(table: tables.Table, path: Path, rows: list[dict[str, Any]]) -> str:
    tables.write(table, path, rows, LINEAGE)
    return str(path)


def predictions(rows, setting: str, rng, right: float, scorer: str = "vsibench") -> list[dict[str, Any]]:
    made = []
    for row in rows:
        score = float(rng.random() < right) if row["answer_type"] == "choice" else round(rng.random() * right * 1.4, 1)
        if setting.startswith("black"):
            score = score if rng.random() < 0.6 else 0.0
        answer = answer_scoring(row, min(1.0, score))
        asked = DIRECT if scorer == "vsibench" else ASKED
        made.append(
            {
                "question_id": row["question_id"],
                "model": "invented",
                "setting": setting,
                "sample": 0,
                "text": f"<think>I look.</think><answer>{answer}</answer>" if scorer == "tagged" else answer,
                "answer": answer,
                "score": 0.0,
                "scorer": scorer,
                "n_tokens": 5,
            }
            | asked
        )
    return made


def metric(step: int, total: int, grpo: bool, delta: float | None, rng) -> dict[str, Any]:
    s = step / max(1, total - 1)
    row = {
        "step": step,
        "lr": 1e-4 * (1 - s),
        "loss": 2.0 * math.exp(-2 * s) + 0.1 * rng.random(),
        "kl": None,
        "rewards": [],
        "grad_norm": 1 + rng.random(),
        "peak_memory_mb": 900.0,
        "seconds": [{"name": "update", "value": 0.5}],
    }
    optional = "reward_std frac_zero_std n_skipped acc_clean acc_noisy adv_clean_mean completion_len_mean"
    row |= dict.fromkeys([*optional.split(), "delta", "sigma", "n_regions"])
    if grpo:
        clean = 0.3 + 0.2 * s + 0.1 * rng.random()
        row |= {
            "kl": 0.01 * s,
            "rewards": [{"name": "correctness", "value": clean}, {"name": "format", "value": 0.7 + 0.3 * s}],
            "reward_std": 0.3,
            "frac_zero_std": 0.2,
            "n_skipped": 1,
            "acc_clean": clean,
            "acc_noisy": clean - 0.1 * (1 - s),
            "adv_clean_mean": 0.1,
            "completion_len_mean": 60 + 5 * rng.random(),
            "delta": delta,
            "sigma": None if delta is None else 256 * delta,
            "n_regions": None if delta is None else int(20 * delta),
        }
    return row


def rollouts(run: Run, config: Config, train, pictures: Pictures, regions: Regions, rng) -> list[dict[str, Any]]:
    """Rollouts with the views that training would have shown, and invented answers."""
    rows = []
    for step in range(run.steps):
        question = train[int(rng.integers(len(train)))]
        context = Context(config.grpo, run, config.seed, step, run.steps, regions)
        for view in make_views(question, pictures.video(question["scene_id"]), context):
            for sample in range(view.n):
                total = float(rng.random() < 0.5)
                rows.append(
                    {
                        "step": step,
                        "rank": 0,
                        "question_id": question["question_id"],
                        "view": view.name,
                        "sample": sample,
                        "text": f"<think>I look for it.</think>\n<answer>{question['ground_truth']}</answer>",
                        "answer": question["ground_truth"],
                        "rewards": [
                            {"name": "correctness", "value": total},
                            {"name": "format", "value": 1.0},
                            {"name": "total", "value": total},
                        ],
                        "advantage": 0.93 if total else -0.93,
                        "n_tokens": 20,
                        "perturbed_objects": list(view.perturbed_objects),
                    }
                )
    return rows


THOUGHT = "The sofa stands by two lamps & a <b>bed</b>; there is a coffee table, too."
"""Names an object of some questions, one of the scenes alone, one that no scene has, and one that nobody counts."""


def claimed(run: str, answered, questions):
    """Return claims and shares of the answers, as if each thought were `THOUGHT`; the scenes have a sofa and lamps."""
    counts = [{"category": "sofa", "n": 1}, {"category": "lamp", "n": 2}]
    scenes = [{"scene_id": row["scene_id"], "dataset": "scannet", "object_counts": counts} for row in questions]
    named = [row | {"text": row["text"].replace("I look.", THOUGHT), "temperature": 0.0} for row in answered]
    claims = list(answer_claims(run, "synthetic", named, questions, Scenes(scenes)))
    steps = [
        {"step": k // 2, "question_id": row["question_id"], "view": ("clean", "perturbed")[k % 2], "sample": 0}
        | {"text": f"<think>{THOUGHT}</think>"}
        for k, row in enumerate(questions * 2)
    ]
    trained = share_rows(rollout_claims(run, steps, questions, Scenes(scenes)), 3)
    return claims, [*share_rows(claims), *changed_rows(run, "synthetic", named, questions), *trained]


def fabricate(root: Path, scenes: dict[str, list[str]], train, test, config: Config, runs: dict[str, Run]):
    """Write invented tables under `root` in the pipeline's layout; return their paths by the report's argument."""
    rng = np.random.default_rng(0)
    files: dict[str, Any] = {"scores": [], "metrics": [], "rollouts": [], "predictions": [], **scenes}
    files |= {"claims": [], "claim_shares": []}
    asked = [row | dict.fromkeys(tables.MARKS) | {"media": None} for row in test]
    files["asked"] = [write(tables.QUESTIONS, root / "benchmarks" / "synthetic" / "questions.parquet", asked)]
    for i, setting in enumerate(SETTINGS):
        path = root / "difficulty" / setting / "0.parquet"
        made = predictions(train, setting, rng, 0.25 + 0.06 * i, select.scorer_of(setting))
        files["predictions"].append(write(tables.PREDICTIONS, path, made))
    chosen = [row for i, row in enumerate(train) if i % 4 == 0]
    hard = [{"question_id": r["question_id"], "transition": ("frames", "bev")[i % 2]} for i, r in enumerate(chosen)]
    notes = list(annotate(hard, train, GeometricTeacher(0), 1))
    files["hard"] = write(tables.HARD, root / "difficulty" / "hard.parquet", hard)
    files["annotations"] = write(tables.ANNOTATIONS, root / "cot" / "annotations.parquet", notes)
    files["sft"] = write(tables.OCR_SFT, root / "train" / "ocr_sft.parquet", sft_rows(notes, train))
    pictures = Pictures(scenes["frames"], scenes["maps"], config.video)
    masks = Regions(scenes["objects"], scenes["regions"], pictures.rows)
    for k, (name, run) in enumerate(runs.items()):
        scorer = "vsibench" if run.method == "none" else "tagged"
        answered = predictions(test, "uniform16", rng, 0.3 + 0.07 * k, scorer)
        answered += predictions(test, "black16", rng, 0.3 + 0.07 * k, scorer)
        scores = score_rows(name, "synthetic", answered, test, train)
        claims, shares = claimed(name, answered, test)
        folder = root / "eval" / name / "synthetic"
        files["claims"].append(write(tables.CLAIMS, folder / "claims.parquet", claims))
        files["claim_shares"].append(write(tables.CLAIM_SHARES, folder / "claim_shares.parquet", shares))
        files["scores"].append(write(tables.SCORES, root / "eval" / name / "synthetic" / "scores.parquet", scores))
        if run.method == "none":
            continue
        total = run.steps or 30
        deltas = [
            Context(config.grpo, run, config.seed, step, total).delta if run.method == "grpo" else None
            for step in range(total)
        ]
        made = [metric(step, total, run.method == "grpo", deltas[step], rng) for step in range(total)]
        files["metrics"].append(write(tables.METRICS, root / "runs" / name / "metrics.parquet", made))
        if run.rollout == "object_centric":
            rows = rollouts(run, config, train, pictures, masks, rng)
            files["rollouts"].append(write(tables.ROLLOUTS, root / "runs" / name / "rollouts.parquet", rows))
    return files
