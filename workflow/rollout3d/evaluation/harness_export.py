"""Write the folder with which lmms-eval asks a trained model as its own evaluation did.

The folder holds the exported model, the settings of its evaluation, tasks that lay our prompt over lmms-eval's own, a
plugin with the model class, and a copy of this package. It needs no clone and no installation of this package.

lmms-eval's own class of Qwen2.5-VL cannot be used (lmms-eval 0.7.3, lmms_eval/models/chat/qwen2_5_vl.py and
lmms_eval/models/simple/qwen2_5_vl.py): README.md of the folder lists the differences.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from string import Template

import yaml

from rollout3d import doors, provenance, resources
from rollout3d.config import Video
from rollout3d.config.evaluation import official_scorer
from rollout3d.evaluation.harness import MODEL, HarnessSettings
from rollout3d.files import sync_files
from rollout3d.model.encode import SYSTEM
from rollout3d.model.export import Asked, ModelHandle, export_model
from rollout3d.model.load import ModelError, files_digest, write_model
from rollout3d.resources import shipped

TEMPLATES = shipped("resources/export/lmms_eval")
"""Folder of the templates: tasks, plugin and README."""
TASKS = Path("rollout3d_lmms_eval") / "tasks"
"""Folder of the tasks, within the plugin, where lmms-eval looks for them."""
VERSION = "0.7.3"
"""Version of lmms-eval that the folder is tested with."""
ANSWER = r"(?s)<answer>\s*(.*?)\s*</answer>"
"""Pattern with which lmms-eval cuts out what `scoring.parse.extract_answer` reads."""


def benchmark_tasks() -> dict[str, str]:
    """Return the tasks of lmms-eval whose rows are asked as one of our benchmarks: task -> benchmark."""
    found = doors.BENCHMARKS.declaring("LMMS_TASKS")
    return {task: benchmark for benchmark, tasks in found.items() for task in tasks}


def export_harness(
    model_json: Path | str, target: Path | str, asked: Asked, video: Video, settings: HarnessSettings
) -> ModelHandle:
    """Write the folder `target` for the model that `model_json` names; return what `model_json` says.

    `asked`, `video`: as of `model.export.export_model`. Written aside and renamed, so a killed process leaves no half
    folder of that name. Raises ModelError if `target` exists, or if the model cannot be exported.
    """
    target = Path(target).absolute()
    if target.exists() or target.is_symlink():
        raise ModelError(f"{target}: exists already; name a new directory, or delete this one")
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        aside.mkdir()
        handle = export_model(model_json, aside / "model", asked, video)
        write_model(
            aside / MODEL, name=handle.name, kind="directory", weights="model", digest=files_digest(aside / "model")
        )
        settings.write(aside)
        shutil.copytree(TEMPLATES, aside, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "task.yaml"))
        for task, benchmark in benchmark_tasks().items():
            text = _task(task, benchmark, settings)
            (aside / TASKS / f"rollout3d_{task}.yaml").write_text(text, encoding="utf-8")
        _copy_package(aside / resources.PACKAGE.name)
        (aside / "README.md").write_text(_readme(handle, asked, settings, target), encoding="utf-8")
        sync_files(aside)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return handle


def _task(task: str, benchmark: str, settings: HarnessSettings) -> str:
    """Return the text of one task's file.

    Answers within a tag are cut out by a filter, since lmms-eval's rules do not read the tag. Its own cutting of
    reasoning is off, so that its logs keep the whole answers.
    """
    scorer = official_scorer(settings.asked[0], benchmark)
    pipeline: list[dict] = [{"function": "take_first"}]
    if doors.SCORERS.constant(scorer, "READS_TAG", False):
        cut = {"function": "regex", "regex_pattern": ANSWER, "group_select": 0, "fallback": "[no answer]"}
        pipeline.insert(0, cut)
    filters = yaml.safe_dump([{"name": "answer", "filter": pipeline}], sort_keys=False, width=1000)
    indented = "".join(f"      {line}\n" for line in filters.splitlines())
    return Template((TEMPLATES / TASKS / "task.yaml").read_text(encoding="utf-8")).substitute(
        task=task,
        run=settings.run,
        max_new_tokens=settings.max_new_tokens,
        temperature=f"{settings.temperature:g}",
        do_sample=str(settings.temperature > 0).lower(),
        filter=f"    filter_list:\n{indented}".rstrip("\n"),
    )


def _copy_package(target: Path) -> None:
    """Copy the Python files of this package, the wordings of questions and, in a clone, the licence.

    All files, because a door lists its folder (`rollout3d.doors`).
    """
    for file in sorted(resources.PACKAGE.rglob("*.py")):
        place = target / file.relative_to(resources.PACKAGE)
        if resources.INSTALLED not in place.relative_to(target).parts:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)
    shutil.copytree(shipped("resources/prompts"), target / resources.INSTALLED / "resources" / "prompts")
    clone = resources.clone()
    if clone and (clone / "LICENSE").is_file():
        shutil.copyfile(clone / "LICENSE", target / "LICENSE")


def _readme(handle: ModelHandle, asked: Asked, settings: HarnessSettings, target: Path) -> str:
    return Template((TEMPLATES / "README.md").read_text(encoding="utf-8")).substitute(
        name=handle.name,
        folder=target.name,
        version=VERSION,
        made=provenance.commit() or f"rollout3d {resources.version()}",
        source=asked.source,
        prompt=settings.prompt,
        system=SYSTEM,
        frames=asked.frames,
        frame_policy=asked.frame_policy,
        min_pixels=settings.video["min_pixels"],
        max_pixels=asked.max_pixels,
        sampled=f"temperature {asked.temperature:g}" if asked.temperature else "greedy",
        max_new_tokens=asked.max_new_tokens,
        tasks=", ".join(f"`rollout3d_{task}`" for task in benchmark_tasks()),
        first=f"rollout3d_{next(iter(benchmark_tasks()))}",
        scorer="--scorer tagged --text-column resps" if settings.prompt != "direct" else "--scorer vsibench",
    )
