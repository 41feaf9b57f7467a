"""A rollout method and a reward, one new file each, from the run table to a score; finished results stay current."""

import pytest

from end_to_end.conftest import rules
from rollout3d import tables
from training.new_files import BREVITY, MIRRORED

pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(1200)]

ROW = "mine\tgrpo\tsft\tocr_rl\tmirrored\tlinear\t-\tbrevity\t2\t0\ttable4\t-\n"
SELECTED = ("--config", "runs={select: [sft, ocr, mine], recipes: false, max_steps: 2}")


def test_two_new_files_and_a_row_are_a_run_with_a_score(study):
    training = study.folder / "workflow" / "rollout3d" / "training"
    (training / "rollouts" / "mirrored.py").write_text(MIRRORED)
    (training / "rewards" / "brevity.py").write_text(BREVITY)
    assert not rules(study.snakemake("--dry-run", "--", "all"))
    with open(study.folder / "config" / "runs.tsv", "a") as file:
        file.write(ROW)
    score = "results/tiny/eval/mine/synthetic/scores.parquet"
    dry = rules(study.snakemake("--dry-run", *SELECTED, "--", score))
    assert dry == {"grpo", "evaluate", "merge_predictions", "score"}
    study.snakemake(*SELECTED, "--", score)
    rollouts = tables.read(tables.ROLLOUTS, study.results / "runs" / "mine" / "rollouts.parquet")
    assert {row["view"] for row in rollouts} == {"clean", "mirrored"}
    assert all("brevity" in {part["name"] for part in row["rewards"]} for row in rollouts)
    assert tables.read(tables.SCORES, study.folder / score)
