"""The page of the study: no number before it has run; each arm's interval and what it says afterwards."""

import importlib.util
from pathlib import Path

from rollout3d import tables
from rollout3d.config import load
from rollout3d.resources import shipped

FILE = Path(__file__).parents[2] / "docs" / "study.py"
SPEC = importlib.util.spec_from_file_location("study_page", FILE)
assert SPEC and SPEC.loader
STUDY = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(STUDY)


def row(arm, value, gap=None, low=None, high=None):
    found = {"arm": arm, "measure": "score", "value": value, "difference": gap, "low": low, "high": high}
    found |= {"generated_tokens": 2000.0 * value, "gradient_tokens": 1000.0 * value}
    by_seed = None if gap is None else [gap, gap]
    return found | {"error": None, "by_seed": by_seed, "detectable": 3.0, "seeds": 2, "rooms": 9, "rests_on": []}


def test_a_study_that_has_not_run_has_no_numbers(tmp_path):
    text, figure = STUDY.page(tmp_path)
    assert text.count(STUDY.NOT_RUN) == 3 and figure is None and "| score |" not in text


def test_numbers_of_the_design_are_those_of_the_preset(tmp_path):
    text, _ = STUDY.page(tmp_path)
    study = load(shipped("config/config.yaml"), shipped("config/presets/study.yaml"))
    assert f" {study.grpo.prompts_per_step} questions per step, {study.runs.max_steps} steps" in text
    assert "8 arms of 5 seeds" in text and "pilot: 3 runs" in text and "$" not in text


def test_the_page_says_which_way_each_difference_came_out(tmp_path):
    (tmp_path / "report").mkdir()
    arms = [row("vanilla", 40.0), row("ocr", 44.0, 4.0, 1.0, 7.0), row("noisy", 39.0, -1.0, -3.0, 1.0)]
    tables.write(tables.STUDY, tmp_path / "report" / "study.parquet", arms, tables.Lineage("test"))
    tables.write(
        tables.STUDY, tmp_path / "report" / "study_design.parquet", [row("pilot", 40.0)], tables.Lineage("test")
    )
    text, figure = STUDY.page(tmp_path)
    assert "| clean score | 40.0 | 3.0 |" in text
    assert "| clean score | ocr | 44.0 | +4.0 (+1.0 to +7.0) | 3.0 | above vanilla |" in text
    assert "| clean score | noisy | 39.0 | -1.0 (-3.0 to +1.0) | 3.0 | no difference shown |" in text
    assert "| ocr | 88k (1.100) | 44k (1.100) |" in text
    assert figure and b"points minus vanilla" in figure and figure == STUDY.page(tmp_path)[1]
