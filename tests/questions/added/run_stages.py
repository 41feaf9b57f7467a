"""From scene tables to scores and the columns of a report, in the folder that holds them and study.json."""

from evaluation.eval_rows import ASKED
from rollout3d import tables
from rollout3d.report.figures import words
from rollout3d.report.lines import score_sheet
from rollout3d.stages import annotate, assemble, audit, bias, import_questions, paper_table, questions, score

LINEAGE = tables.Lineage("test")


def run(stage, arguments: str) -> None:
    """Run a stage under the configuration of this study."""
    stage.main(["--config", "study.json", *arguments.split()])


run(questions, "--scenes scenes.parquet --objects objects.parquet --visibility visibility.parquet --out asked.parquet")
run(import_questions, "--source spacer --out spacer.parquet --dropped left_out.parquet")
given = "--questions asked.parquet spacer.parquet --scenes scenes.parquet --out-train ocr_rl.parquet"
run(assemble, f"{given} --out-test test.parquet --dropped dropped.parquet --sources sources.parquet")
run(bias, "--questions ocr_rl.parquet --out bias.parquet")

train = tables.read(tables.OCR_RL, "ocr_rl.parquet")
hard = [{"question_id": row["question_id"], "transition": "fallback"} for row in train if row["source"] == "generated"]
tables.write(tables.HARD, "hard.parquet", hard, LINEAGE)
run(annotate, "--hard hard.parquet --questions ocr_rl.parquet --out annotations.parquet")

made = {"model": "x", "setting": "uniform32", "sample": 0, "answer": None, "score": 0.0, "n_tokens": 1}
made |= {"scorer": "tagged"} | ASKED
answers = [
    {"question_id": row["question_id"], "text": f"<think>x</think><answer>{row['ground_truth']}</answer>"} | made
    for row in tables.read(tables.QUESTIONS, "test.parquet")
]
tables.write(tables.PREDICTIONS, "predictions.parquet", answers, LINEAGE)
given = "--predictions predictions.parquet --questions test.parquet --train ocr_rl.parquet --scorer tagged"
run(score, f"--run ocr --benchmark synthetic {given} --out scores.parquet")
run(paper_table, "--table table2 --scores scores.parquet --out table2.parquet")
run(paper_table, "--table figure3 --questions ocr_rl.parquet --out figure3.parquet")
run(audit, "--scenes scenes.parquet --objects objects.parquet --answers theirs.jsonl --out audit.parquet")

sheet = score_sheet(tables.read(tables.SCORES, "scores.parquet"), "synthetic")
print([column.title for column in sheet.columns], words("object_height"))
