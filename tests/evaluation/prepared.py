"""Prepare the benchmark from a small release, for its tests of questions and of videos."""

from rollout3d.config import Config
from rollout3d.evaluation import benchmarks

AGAIN = "hf download nyu-visionx/VSI-Bench"
"""In every message about files that are missing or damaged."""


def own_folder(release, dataset):
    """Remove a dataset's folder; return its videos by scene."""
    found = {path.stem: path.read_bytes() for path in (release / dataset).iterdir()}
    (release / dataset).unlink()
    return found


def config(root, evaluation=None, **video):
    video = {
        "eval_frames": 4,
        "min_pixels": 784,
        "train_min_pixels": 784,
        "train_max_pixels": 3136,
        "eval_max_pixels": 3136,
    } | video
    site = {"benchmarks": {"vsibench": str(root)}}
    return Config.model_validate({"video": video, "site": site, "evaluation": evaluation or {}})


def prepare(root, evaluation=None, sets=None, **video):
    return benchmarks.prepare("vsibench", config(root, evaluation, **video), sets=sets or ())
