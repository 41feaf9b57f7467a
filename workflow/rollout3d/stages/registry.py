"""What each stage depends on besides its input tables: configuration sections and source files.

Light on purpose: the Snakefile reads it, so it imports nothing heavy. The sections are all that a stage is given, and
all that its configuration digest covers; the code entries (files or folders of the package) are its code digest and
the `code` input of its rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
RESOURCES = PACKAGE.parents[1] / "resources"

_GROUND = ("tables", "seeding.py")
_MODEL = ("model", "scoring", "resources/prompts", *_GROUND)
_TRAIN = ("training", *_MODEL, "geometry/masks.py")


@dataclass(frozen=True)
class Spec:
    """Sections of the configuration that the stage reads, and the code (and resources) that decide its output."""

    config: tuple[str, ...]
    code: tuple[str, ...]


STAGES: dict[str, Spec] = {
    "render_scans": Spec(("seed", "synthetic"), ("scenes/synthetic", *_GROUND)),
    "ingest": Spec(
        ("seed", "datasets", "scenes", "video"),
        ("scenes/*.py", "geometry", "resize.py", "resources/categories", *_GROUND),
    ),
    "ingest_meta": Spec((), ("scenes/meta.py", "scenes/scan.py", "scenes/damage.py", "geometry", *_GROUND)),
    "regions": Spec(("video", "regions"), ("scenes/*.py", "geometry", *_GROUND)),
    "check_scan": Spec(("scenes",), ("scenes/*.py", "geometry", *_GROUND)),
    "questions": Spec(("seed", "datasets", "questions"), ("questions", "scenes/meta.py", "geometry", *_GROUND)),
    "audit": Spec(
        ("questions",),
        ("questions", "scenes/meta.py", "geometry", "evaluation/benchmarks/vsibench.py", *_GROUND),
    ),
    "assemble": Spec(("seed", "datasets", "questions"), ("questions", "scoring", *_GROUND)),
    "bias": Spec((), ("questions/bias.py", "questions/templates.py", "scoring", *_GROUND)),
    "import_cot": Spec(
        ("scenes", "video", "external"),
        (
            *("questions/external.py", "questions/video_r1.py", "scenes/video.py", "geometry/camera.py"),
            *("scoring/parse.py", "resize.py", *_GROUND),
        ),
    ),
    "import_questions": Spec(
        ("seed", "scenes", "video", "external"),
        (
            *("questions/external.py", "questions/released.py", "questions/video_r1.py", "questions/guard.py"),
            *("questions/templates.py", "scenes/video.py", "geometry/camera.py", "scoring", "resize.py", *_GROUND),
        ),
    ),
    "judge": Spec(("video", "judge"), ("questions/judge.py", "teacher", "resources/prompts", *_GROUND)),
    "prepare_benchmark": Spec(("scenes", "video"), ("evaluation/benchmarks", "resize.py", *_GROUND)),
    "describe_model": Spec(("models",), ("model/load.py",)),
    "train_base_model": Spec(
        ("seed", "synthetic", "base_model", "video", "prompts", "questions", "cot"),
        (
            "training/base_model.py",
            "training/lessons.py",
            "training/packing.py",
            "scenes/synthetic/*.py",
            "cot/geometric.py",
            "cot/wording.py",
            *_MODEL,
        ),
    ),
    "difficulty": Spec(("seed", "torch_threads", "video", "prompts", "difficulty"), ("difficulty", *_MODEL)),
    "select_hard": Spec(("seed", "difficulty", "cot"), ("difficulty", *_GROUND)),
    "annotate": Spec(("seed", "video", "cot"), ("cot", "teacher", "scoring", *_GROUND)),
    "sft_table": Spec((), ("cot/sft_table.py", *_GROUND)),
    "train_sft": Spec(("seed", "torch_threads", "video", "prompts", "sft"), _TRAIN),
    "train_grpo": Spec(("seed", "torch_threads", "video", "prompts", "grpo"), _TRAIN),
    "evaluate": Spec(("seed", "torch_threads", "video", "prompts", "evaluation"), ("evaluation/run.py", *_MODEL)),
    "score": Spec(("seed",), ("evaluation", "scoring", *_GROUND)),
    "paper_table": Spec(("preset", "difficulty"), ("report/tables.py", "difficulty", *_GROUND)),
    "summary": Spec((), ()),
    "view": Spec((), ()),
    "watch": Spec((), ()),
    "report": Spec(
        ("preset", "seed", "video", "grpo", "runs", "models", "difficulty"),
        ("report", "training/rollouts", "geometry/masks.py", *_GROUND),
    ),
}


def code_files(stage: str) -> list[str]:
    """The stage's own file and its modules, as sorted paths."""
    files = {PACKAGE / "stages" / f"{stage}.py"}
    for entry in STAGES[stage].code:
        if entry.startswith("resources/"):
            files |= {path for path in (RESOURCES.parent / entry).iterdir() if path.is_file()}
        else:
            files |= set(PACKAGE.glob(entry if entry.endswith(".py") else f"{entry}/**/*.py"))
    return sorted(str(path) for path in files)
