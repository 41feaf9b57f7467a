"""Code of question types in the digests of stages: those in use count, and a new one changes nothing by being there."""

import shutil
from pathlib import Path

import pytest

from dag.clones import copy_repository
from rollout3d import code
from rollout3d.config import Config
from rollout3d.stages import registry
from rollout3d.stages.registry import STAGES
from rollout3d.stages.spec import Scope

ADDED = Path(__file__).parents[1] / "questions" / "added" / "object_height.py"
SCOPES = {
    "ingest": Scope(dataset="scannet"),
    "questions": Scope(dataset="scannet"),
    "import_questions": Scope(source="spacer"),
    "prepare_benchmark": Scope(benchmark="vsibench"),
    "score": Scope(benchmark="vsibench"),
    "difficulty": Scope(setting="frames2"),
    "evaluate": Scope(benchmark="vsibench"),
    "paper_table": Scope(table="table2"),
}
BY_HAND = ("ask", "audit")
"""Stages that take any question type; no result of a study is theirs."""
STUDY = sorted(set(STAGES) - {"train_sft", "train_grpo", *BY_HAND})


@pytest.fixture
def clone(tmp_path):
    return copy_repository(tmp_path / "clone")


def digests(clone: Path, config: Config | None = None) -> dict[str, str]:
    package = code.Package(clone / "workflow" / "rollout3d")
    config = config or Config()
    return {
        stage: package.closure(stage, registry.chosen(stage, config, SCOPES.get(stage, Scope()))).digest
        for stage in STUDY
    }


def changed(before: dict[str, str], now: dict[str, str]) -> set[str]:
    return {stage for stage in before if before[stage] != now[stage]}


def test_adding_a_question_type_leaves_every_result_current(clone):
    before = digests(clone)
    shutil.copy(ADDED, clone / "workflow" / "rollout3d" / "questions" / "types")
    assert changed(before, digests(clone)) == set()


def test_editing_a_question_type_in_use_does_not(clone):
    before = digests(clone)
    file = clone / "workflow" / "rollout3d" / "questions" / "types" / "object_counting.py"
    text = file.read_text()
    file.write_text(text.replace("if n >= rules.least_count]", "if n > rules.least_count]"))
    assert file.read_text() != text
    now = changed(before, digests(clone))
    assert {"questions", "assemble", "import_questions", "score", "paper_table", "report"} <= now
    assert not now & {"ingest", "regions", "prepare_benchmark", "import_cot", "difficulty", "evaluate", "annotate"}


def test_a_type_counts_from_when_the_configuration_names_it(clone, monkeypatch):
    monkeypatch.setattr("rollout3d.config.question_types.NAMES", ("object_counting", "object_height"))
    shutil.copy(ADDED, clone / "workflow" / "rollout3d" / "questions" / "types")
    config = Config()
    named = config.model_copy(
        update={"questions": config.questions.model_copy(update={"per_scene": {"object_height": 3}})}
    )
    before, now = digests(clone, config), digests(clone, named)
    assert {"questions", "assemble", "score"} <= changed(before, now)
    assert not changed(before, now) & {"ingest", "import_questions", "prepare_benchmark", "evaluate", "difficulty"}
