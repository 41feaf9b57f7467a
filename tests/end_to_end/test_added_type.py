"""A question type that is added as one file to a finished study, from scans to its column of the report."""

import re
import shutil

import pytest

from end_to_end.conftest import ROOT, rules
from rollout3d import tables

pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(1200)]

NAMED = ("--config", 'questions={"per_scene": {"object_height": 3}, "total": 60}', "--", "all")


def test_it_changes_nothing_until_the_configuration_names_it_and_then_reaches_the_report(study):
    added = ROOT / "tests" / "questions" / "added" / "object_height.py"
    shutil.copy(added, study.folder / "workflow" / "rollout3d" / "questions" / "types")
    assert "Nothing to be done" in study.snakemake("-n", "--", "all")

    wanted = rules(study.snakemake("-n", *NAMED))
    assert {"questions", "assemble", "score", "report"} <= wanted
    assert not wanted & {"render_scans", "ingest", "regions", "describe_model"}
    study.snakemake(*NAMED)
    trained = tables.read(tables.OCR_RL, study.results / "train/ocr_rl.parquet", ["question_type"])
    assert sum(row["question_type"] == "object_height" for row in trained) > 0
    for run in ("sft", "ocr"):
        scores = tables.read(tables.SCORES, study.results / f"eval/{run}/synthetic/scores.parquet")
        assert "object_height" in {row["task"] for row in scores}
    assert re.search(r"<th[^>]*>\s*Object height", (study.results / "report/index.html").read_text())
