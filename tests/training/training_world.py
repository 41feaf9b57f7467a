"""A world small enough to train on in seconds: three scenes of 8 frames, their objects, questions and targets."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

import preloaded
from rollout3d import tables
from rollout3d.config import Config, Run
from rollout3d.config.training import Ablation, Training
from rollout3d.geometry.masks import rle_encode
from rollout3d.model.load import save_policy
from toyworld.model.architecture import build_tiny, tiny_tokenizer

WIDTH, HEIGHT, N_FRAMES = 112, 84, 8
NOWHERE = tables.Lineage("test")
LAUNCH = Path(__file__).resolve().parents[2] / "workflow" / "launch.py"
SCENES = ("scene_a", "scene_b", "scene_c")


def config(backend: str = "hf", **grpo) -> Config:
    """The paper's configuration with everything small; keywords change the grpo section, its ablation and training."""
    ablation = {key: value for key, value in grpo.items() if key in Ablation.model_fields} | grpo.get("ablation", {})
    shared = {key: value for key, value in grpo.items() if key in Training.model_fields}
    own = {key: value for key, value in grpo.items() if key not in {"ablation", *Ablation.model_fields, *shared}}
    small = {"dtype": "float32", "gradient_checkpointing": False, "deepspeed": "none", "save_every": 2}
    return Config.model_validate(
        {
            "torch_threads": 1,
            "video": {
                "train_frames": N_FRAMES,
                "train_min_pixels": 784,
                "train_max_pixels": 4704,
                "eval_max_pixels": 9408,
                "min_pixels": 784,
            },
            "prompts": {"think": "plain"},
            "generation": {"backend": backend},
            "training": small | shared,
            "sft": {"epochs": 1, "lr": 1e-3, "batch_size": 2},
            "grpo": {
                "prompts_per_step": 2,
                "n_clean": 2,
                "n_perturbed": 2,
                "lr": 1e-3,
                "max_new_tokens": 6,
                "stop_without_update": None,
                **own,
                "ablation": {"kl_of_skipped": False} | ablation,
            },
        }
    )


def run(rollout="object_centric", method="grpo", **more) -> Run:
    schedule = {"schedule": "linear", "regions": "aabb_none"} if rollout == "object_centric" else {}
    values = {"run": "r", "method": method, "init": "base", "train_table": "ocr_rl", "reward": "video_r1", "steps": 4}
    return Run.model_validate({**values, "rollout": rollout, **schedule, **more})


def picture(scene: str, index: int) -> np.ndarray:
    rng = np.random.default_rng(SCENES.index(scene) * 100 + index)
    return cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST)


def frame_row(scene: str, index: int, pixels: np.ndarray | None = None) -> dict:
    shown = picture(scene, index) if pixels is None else pixels
    _, data = cv2.imencode(".jpg", shown[:, :, ::-1])
    return {
        "scene_id": scene,
        "frame_index": index * 5,
        "timestamp_s": index * 0.5,
        "sets": ["uniform8"],
        "image": {"bytes": data.tobytes(), "path": f"{scene}_{index}.jpg"},
        "width": WIDTH,
        "height": HEIGHT,
        "source_width": WIDTH,
        "source_height": HEIGHT,
        "K": None,
        "pose": None,
    }


def object_row(scene: str, object_id: int, perturbable: bool = True) -> dict:
    zero = [0.0, 0.0, 0.0]
    return {
        "scene_id": scene,
        "object_id": object_id,
        "label": "chair",
        "category": "chair",
        "perturbable": perturbable,
        "centroid": zero,
        "axes_lengths": zero,
        "normalized_axes": [1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0],
        "aabb_min": zero,
        "aabb_max": zero,
        "n_points": 1,
    }


def square(object_id: int, index: int) -> np.ndarray:
    """Pixels of an object in a frame: a 28-pixel square that moves with the frames; each object in its own row."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    top = 28 * (object_id % 3)
    mask[top : top + 28, 8 * index : 8 * index + 28] = True
    return mask


def region_row(scene: str, object_id: int, index: int) -> dict:
    mask = square(object_id, index)
    return {
        "scene_id": scene,
        "frame_index": index * 5,
        "object_id": object_id,
        "sets": ["uniform8"],
        "n_visible": int(mask.sum()),
        "box": [8 * index, 28 * (object_id % 3), 8 * index + 27, 28 * (object_id % 3) + 27],
        "mask": rle_encode(mask),
    }


def question_row(number: int, scene: str | None = None, **more) -> dict:
    scene = SCENES[number % len(SCENES)] if scene is None else scene
    return {
        "question_id": f"q{number:02d}",
        "scene_id": scene,
        "space_id": scene,
        "split": "train",
        "dataset": "scannet",
        "question_type": "object_counting",
        "answer_type": "number",
        "question": f"How many chairs are in room {number}?",
        "options": None,
        "ground_truth": str(number % 5 + 1),
        "objects": [{"category": "chair", "object_ids": [1]}],
        "media": None,
        "source": "generated",
        "evidence": "{}",
        **more,
    }


def target(row: dict) -> dict:
    think = f"I count {row['ground_truth']} chairs."
    text = f"<think>{think}</think>\n<answer>{row['ground_truth']}</answer>"
    return {**row, "think": think, "target": text}


def build(root: Path, n_questions: int = 6, **sizes: int) -> dict[str, Path]:
    """Write the tables and an untrained model, of the `sizes` of `tiny_config`; their paths by name."""
    where = {name: root / f"{name}.parquet" for name in ("frames", "objects", "regions", "ocr_rl", "ocr_sft")}
    frames = [frame_row(scene, i) for scene in SCENES for i in range(N_FRAMES)]
    tables.write(tables.FRAMES, where["frames"], frames, NOWHERE)
    objects = [object_row(scene, i, perturbable=i != 4) for scene in SCENES for i in (1, 2, 3, 4)]
    tables.write(tables.OBJECTS, where["objects"], objects, NOWHERE)
    # Object 3 is seen only in a frame that is not shown; object 4 (a wall) is seen but may not be perturbed.
    regions = [region_row(scene, o, i) for scene in SCENES for i in range(N_FRAMES) for o in (1, 2, 4)]
    regions += [{**region_row(scene, 3, 0), "frame_index": 3} for scene in SCENES]
    regions.sort(key=lambda row: row["scene_id"])
    tables.write(tables.REGIONS, where["regions"], regions, NOWHERE)
    questions = [question_row(i) for i in range(n_questions)]
    tables.write(tables.OCR_RL, where["ocr_rl"], questions, NOWHERE)
    tables.write(tables.OCR_SFT, where["ocr_sft"], [target(row) for row in questions], NOWHERE)
    corpus = [text for row in questions for text in (row["question"], target(row)["target"])] * 3
    policy = tiny_policy(corpus, **sizes)
    save_policy(policy, root / "base", kind="tiny")
    return {**where, "init": root / "base" / "model.json"}


def tiny_policy(
    corpus=("how many chairs are there? <think> four </think> <answer> 4 </answer>",), vocabulary=400, **options
):
    sizes = {"hidden": 64, "layers": 2, "vision_depth": 2, "vision_hidden": 32, "head_dim": 16}
    return build_tiny(tiny_tokenizer(corpus, vocabulary), seed=0, video=config().video, **{**sizes, **options})


def lineage(_parents) -> tables.Lineage:
    return NOWHERE


def inputs(files, init=None, train="ocr_rl"):
    from rollout3d.training.run import Inputs

    return Inputs(init or files["init"], files[train], [files["frames"]], (), [files["objects"]], [files["regions"]])


def with_sft(**sft) -> Config:
    """`config()` with keywords changing its sft section and training."""
    base = config(**{key: value for key, value in sft.items() if key in Training.model_fields})
    own = {key: value for key, value in sft.items() if key not in Training.model_fields}
    return base.model_copy(update={"sft": base.sft.model_copy(update=own)})


def teach(files, out: Path) -> Path:
    """Fine-tune the untrained model until it writes the format now and then: rewards then differ within groups."""
    from rollout3d.training.run import run_sft

    settings = with_sft(epochs=30, lr=3e-3, save_every=1000)
    run_sft(settings, run(method="sft"), inputs(files, train="ocr_sft"), out, lineage)
    return out / "model.json"


def weights(model_json: Path) -> dict:
    from safetensors.torch import load_file

    return load_file(model_json.parent / "weights" / "model.safetensors")


SECTIONS = ("seed", "torch_threads", "video", "prompts", "generation", "training")
"""Sections that both trainers read, beside their own."""


def command(stage, config, run, files, init, out, processes=1, train="ocr_rl"):
    """What starts a training stage on `processes` processes."""
    section = "sft" if stage == "train_sft" else "grpo"
    arguments = [
        "--config",
        json.dumps(config.model_dump(mode="json", include={*SECTIONS, section})),
    ]
    arguments += ["--row", run.model_dump_json(exclude={"tables"}), "--init", init, "--train", files[train]]
    arguments += ["--frames", files["frames"], "--out-dir", out]
    if stage == "train_grpo":
        arguments += ["--objects", files["objects"], "--regions", files["regions"]]
    program = [sys.executable, LAUNCH, "--processes", processes, "--", "-m", f"rollout3d.stages.{stage}", *arguments]
    return [str(part) for part in program]


def quick_command(*arguments, **more):
    """The same, whose processes have imported torch and transformers already: for tests that send no signals."""
    return [preloaded.python(preloaded.STAGE), *command(*arguments, **more)[1:]]
