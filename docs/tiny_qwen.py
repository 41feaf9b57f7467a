"""Put the trained small model where it travels with the package: `python docs/tiny_qwen.py`, after `make tiny-qwen`.

Reads the study of the preset tiny_qwen (results/tiny_qwen): copies the weights and the tokeniser to resources/tiny_qwen
and writes the card README.md beside them, with the recipe, its first losses, and the scores with their intervals.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import shutil
import textwrap
from functools import partial
from pathlib import Path
from string import Template
from typing import Any

import pyarrow.parquet as pq
import yaml
from safetensors import safe_open

from rollout3d.config import read
from rollout3d.cot import geometric
from rollout3d.questions import types
from toyworld.model import lessons, training
from toyworld.settings import StudyConfig

ROOT = Path(__file__).resolve().parents[1]
PRESET = ROOT / "config" / "presets" / "tiny_qwen.yaml"
MODEL = ROOT / "resources" / "tiny_qwen"
CARD = ROOT / "docs" / "tiny_qwen_card.md"
LOSSES = 3
"""Number of first losses that the card holds, for a test to compare."""
SEEN = (
    "object_counting",
    "object_rel_distance",
    "object_size_estimation",
    "room_size_estimation",
    "obj_appearance_order",
)
"""Tasks of which `TASKS` should be answered from the frames."""
TASKS, POINTS, ABOVE = 3, 10, 5
"""Wanted: tasks seen with both controls, points of the largest gain, points of the overall score above guessing."""


def recipe() -> dict[str, Any]:
    """Return all that decides the training: what a test compares with the preset."""
    study = preset()
    assert study.toyworld is not None
    return {
        "seed": study.seed,
        "think": study.prompts.think,
        "sentences": study.cot.sentences,
        "n_objects": list(study.toyworld.scans.n_objects),
        "frames": study.video.train_frames,
        "pixels": study.video.train_max_pixels,
        "model": study.toyworld.model.model_dump(mode="json"),
    }


def taught() -> dict[int, dict[str, Any]]:
    """Return what is taught at sample steps, in every part of the training: a digest of a room's lessons, and the rate.

    The first losses are those of clips alone; this holds everything that comes later.
    """
    study = preset()
    assert study.toyworld is not None
    model = study.toyworld.model
    reason = partial(geometric.reasoning, seed=study.seed, most=study.cot.sentences)
    first, second, _ = model.courses
    starts = (0.49, training.LATE_FROM, training.REASONED_FROM, 1.0, 1.0 + second / first)
    found = {}
    for step in (round((share + 0.01) * first) for share in starts):
        room = lessons.make_room(step * model.batch_size, study, reason, training.asked_at(step, model))
        said = json.dumps([[each.question, each.answer, each.weight] for each in room.lessons])
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        found[step] = {"lessons": digest, "rate": round(training.share_of_peak(step, model), 6)}
    return found


def preset() -> StudyConfig:
    """Return the preset's configuration."""
    return read.load(ROOT / "config" / "config.yaml", PRESET, model=StudyConfig)


def scores(results: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the rows of direct answers by (task, view)."""
    study = preset()
    (run,), (benchmark,) = study.runs.select, study.evaluation.benchmarks
    rows = pq.read_table(results / "eval" / run / benchmark / "scores.parquet").to_pylist()
    return {(row["task"], row["view"]): row for row in rows}


def card(results: Path) -> str:
    """Return the text of the card."""
    metrics = pq.read_table(results / "models" / "base" / "metrics.parquet").to_pylist()
    rooms = pq.read_table(results / "questions" / "test.parquet", columns=["space_id"])["space_id"].unique()
    found, own = scores(results), recipe()
    about = {
        "library_name": "transformers",
        "license": "apache-2.0",
        "recipe": own,
        "taught": taught(),
        "first_losses": [round(row["loss"], 6) for row in metrics[:LOSSES]],
    }
    names = [*dict.fromkeys(task for task, view in found if view == "video" and task != "overall"), "overall"]
    head = "| task | n | score | guess | minus black frames | minus another room |\n|---|---|---|---|---|---|"
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        about=yaml.safe_dump(about, sort_keys=False).rstrip(),
        parameters=f"{parameters(results) / 1e6:.1f}",
        steps=f"{len(metrics):,}",
        rooms=own["model"]["batch_size"],
        second=f"{own['model']['second']:,}",
        third=f"{own['model']['third']:,}",
        hours=f"{sum(row['seconds'][0]['value'] for row in metrics) / 3600:.1f}",
        held_out=len(rooms),
        frames=own["frames"],
        table="\n".join([head, *(_line(found, name) for name in names)]),
        verdict="\n".join(textwrap.wrap(verdict(found), 118)),
    )


def _line(found: dict[tuple[str, str], dict[str, Any]], task: str) -> str:
    video, guess = found[task, "video"], found[task, "frequent"]
    cells = [f"{video['n']:,}", f"{video['score']:.1f}", f"{guess['score']:.1f}"]
    for view in ("seen", "seen_other_room"):
        row = found[task, view]
        cells.append(f"{row['score']:+.1f} ({row['low']:.1f} to {row['high']:.1f})")
    return f"| {words(task)} | {' | '.join(cells)} |"


def words(task: str) -> str:
    """Return a task in plain words."""
    of_type = types.known(task)
    return of_type.words if of_type else task.removeprefix("object_").replace("rel_", "relative ").replace("_", " ")


def verdict(found: dict[tuple[str, str], dict[str, Any]]) -> str:
    """Return what was reached of what was asked for, and what was missed."""
    both = [[found[task, view] for view in ("seen", "seen_other_room")] for task in SEEN]
    seen = [words(task) for task, rows in zip(SEEN, both, strict=True) if all(row["low"] > 0 for row in rows)]
    most = max(min(row["score"] for row in rows) for rows in both)
    above = found["overall", "video"]["score"] - found["overall", "frequent"]["score"]
    goals = [
        (
            f"seen with both controls: {', '.join(seen) or 'none'} ({len(seen)} of {len(SEEN)}; wanted: {TASKS})",
            len(seen) >= TASKS,
        ),
        (f"the largest gain with both controls is {most:.1f} points (wanted: {POINTS})", most >= POINTS),
        (f"the overall score is {above:+.1f} points from guessing (wanted: {ABOVE} above)", above >= ABOVE),
    ]
    return " ".join(f"{'Reached' if reached else 'Missed'}: {text}." for text, reached in goals)


def parameters(results: Path) -> int:
    """Return the number of parameters."""
    with safe_open(results / "models" / "base" / "weights" / "model.safetensors", "pt") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118  # no dictionary


def main() -> None:
    """Copy the model and write its card."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("results", nargs="?", type=Path, default=ROOT / "results" / "tiny_qwen", help="finished study")
    results = parser.parse_args().results
    text = card(results)
    MODEL.mkdir(parents=True, exist_ok=True)
    weights = results / "models" / "base" / "weights"
    for file in sorted(weights.iterdir()):
        shutil.copyfile(file, MODEL / file.name)
    (MODEL / "README.md").write_text(text, encoding="utf-8")
    print(f"{MODEL}: {', '.join(sorted(file.name for file in MODEL.iterdir()))}")


if __name__ == "__main__":
    main()
