"""`rollout3d score --answers`: predictions of others, through the real command line."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.eval_rows import question
from evaluation.foreign_files import CHOICES, questions, right, write_questions, write_rows
from rollout3d import tables
from rollout3d.scoring.aggregate import tasks, vsibench
from rollout3d.scoring.scorers import score

TASKS = tuple(task.name for task in tasks())

ROOT = Path(__file__).parents[2]
LINEAGE = tables.Lineage("questions", {}, {}, "c" * 64, ())


def command(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    paths = [str(ROOT / "workflow"), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, "-m", "rollout3d.stages", "score", *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def printed(run: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """Task -> the fields of its line: questions, missing, then score and interval of each scorer."""
    assert run.returncode == 0, run.stderr
    wanted = {*TASKS, "overall"}
    lines = [line.split() for line in run.stdout.splitlines()]
    return {fields[0]: fields[1:] for fields in lines if fields and fields[0] in wanted}


@pytest.fixture
def release(tmp_path):
    rows = questions()
    write_questions(tmp_path / "test.jsonl", rows)
    return tmp_path, rows


def test_the_documented_command_scores_a_file_of_a_foreign_shape(tmp_path):
    found = re.search(r"^rollout3d score .*--answers.*$", (ROOT / "docs" / "scores.md").read_text(), re.M)
    assert found, "docs/scores.md has no command that scores predictions"
    words = found[0].split("#")[0].split()
    rows = questions()
    write_questions(tmp_path / words[words.index("--answers") + 1], rows)
    texts = {name: text if int(name) % 2 else f"<answer>{text}</answer>" for name, text in right(rows).items()}
    (tmp_path / words[words.index("--predictions") + 1]).write_text(
        "".join(json.dumps({"qid": int(name), "output": text}) + "\n" for name, text in texts.items())
    )
    run = command(tmp_path, *words[2:])
    names = words[words.index("--scorer") + 1 :]
    assert "id from column 'qid', text from 'output'" in run.stdout
    assert "settings of these predictions are unknown" in run.stdout
    assert len(names) > 1 and all(name in run.stdout for name in names)
    table = printed(run)
    assert set(table) == {*TASKS, "overall"}
    grouped: dict[str, list[float]] = {}
    for row in rows:
        about = {"answer_type": "choice" if row["options"] else "number", "ground_truth": row["ground_truth"]}
        value = score(texts[str(row["id"])], about, names[0]).score
        grouped.setdefault(row["question_type"], []).append(value)
    for task, mean in vsibench(grouped).items():
        assert table[task][:3] == [str(mean.n), "0", f"{100 * mean.score:.1f}"], task


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "parquet"])
def test_every_format_gives_the_same_table(release, suffix):
    folder, rows = release
    predictions = [{"id": int(name), "prediction": text} for name, text in right(rows).items()]
    write_rows(folder / f"p.{suffix}", predictions)
    write_questions(folder / "test.parquet", rows)
    table = printed(command(folder, "--predictions", f"p.{suffix}", "--answers", "test.parquet"))
    assert table["overall"] == ["50", "0", "100.0", "(100.0", "to", "100.0)"]


def test_missing_doubled_and_unknown_ids_are_counted_and_missing_ones_are_wrong(release):
    folder, rows = release
    texts = right(rows)
    gone = [str(row["id"]) for row in rows if row["question_type"] == "route_planning"][:2]
    kept = [{"id": name, "prediction": text} for name, text in texts.items() if name not in gone]
    write_rows(
        folder / "p.jsonl", [*kept, kept[0], {"id": "nobody", "prediction": "A"}, {"id": "x\n", "prediction": ""}]
    )
    run = command(folder, "--predictions", "p.jsonl", "--answers", "test.jsonl", "--json", "found.json")
    table = printed(run)
    assert "2 missing (count as wrong); 1 empty (wrong); 1 doubled with equal texts (counted once)" in run.stdout
    assert "2 of unknown ids (ignored, such as 'nobody', 'x')" in run.stdout
    assert table["route_planning"][:3] == ["5", "2", "60.0"]
    assert table["object_counting"][:3] == ["5", "0", "100.0"]
    assert table["overall"][:3] == ["50", "2", "95.0"], "the mean of seven times 100 and 60"
    written = json.loads((folder / "found.json").read_text())
    assert written["missing"]["overall"] == 2 and written["doubled"] == 1 and written["unknown"] == ["nobody", "x"]
    assert written["cells"]["vsibench"]["overall"]["score"] == pytest.approx(95)
    assert written["settings"] == "settings unknown"


def test_splits(release):
    folder, rows = release
    write_rows(folder / "p.jsonl", [{"id": name, "prediction": text} for name, text in right(rows).items()])
    arguments = ("--predictions", "p.jsonl", "--answers", "test.jsonl", "--split")
    for split, pruned in (("debiased", False), ("pruned", True)):
        run = command(folder, *arguments, split)
        n = sum(row["pruned"] is pruned for row in rows)
        assert printed(run)["overall"][:2] == [str(n), "0"]
        assert f"{50 - n} outside the split (ignored)" in run.stdout
        assert "overall is without" in run.stdout, "half of the tasks is in neither split of these rows"
    assert (
        "note: 50 questions are not the 5,130 of VSI-Bench's split full" in command(folder, *arguments, "full").stdout
    )
    run = command(folder, *arguments, "tiny")
    assert run.returncode == 1 and "--tiny-ids" in run.stderr and run.stdout == ""
    ids = [str(row["id"]) for row in rows[:15]]
    (folder / "utils.py").write_text(f"def process_docs(d):\n    subset_indexes = [{', '.join(ids)}]\n    return d\n")
    (folder / "ids.txt").write_text("\n".join(ids))
    (folder / "ids.json").write_text(json.dumps([int(name) for name in ids]))
    for name in ("utils.py", "ids.txt", "ids.json"):
        run = command(folder, *arguments, "tiny", "--tiny-ids", name)
        assert printed(run)["overall"][:2] == ["15", "0"], name
        assert "note: 15 questions are not the 400 of VSI-Bench's split tiny" in run.stdout
    (folder / "ids.txt").write_text("999999")
    run = command(folder, *arguments, "tiny", "--tiny-ids", "ids.txt")
    assert run.returncode == 1 and "ids.txt: 1 of 1 ids are not in test.jsonl, such as 999999" in run.stderr


def test_a_release_without_the_column_pruned_has_no_debiased_split(tmp_path):
    write_questions(tmp_path / "test.jsonl", questions(pruned=None))
    write_rows(tmp_path / "p.jsonl", [{"id": 100, "prediction": "4"}])
    run = command(tmp_path, "--predictions", "p.jsonl", "--answers", "test.jsonl", "--split", "debiased")
    assert run.returncode == 1
    assert "test.jsonl: the split debiased needs the column pruned" in run.stderr


REFUSED = {
    "no id fits": ([{"id": "a1", "prediction": "A"}], (), r"none of the 1 ids in 'id', such as 'a1', is one of 50"),
    "two answers": (
        [{"id": 100, "prediction": "A"}, {"id": 100, "prediction": "B"}],
        (),
        r"line 2: the id 100 has ano",
    ),
    "row numbers": (
        [{"index": 101, "prediction": "4", "question_type": "route_planning"}],
        (),
        r"id 101 is for a question whose question_type is 'route_planning', but .*is 'index' a row number",
    ),
    "another release": (
        [{"id": 100, "prediction": "4", "ground_truth": "77"}],
        (),
        r"ground_truth is '77', but in test\.jsonl it is '4'",
    ),
    "no such column": ([{"id": 100, "prediction": "4"}], ("--text-column", "said"), r"no column 'said'"),
    "no such answers": ([{"id": 100, "prediction": "4"}], ("--answers", "none.jsonl"), r"none\.jsonl: cannot be read"),
    "other answers": ([{"id": 100, "prediction": "4"}], ("--answers", "p.csv"), r"p\.csv: is neither VSI-Bench's"),
    "answers twice": ([{"id": 100, "prediction": "4"}], ("--answers", "test.jsonl", "test.jsonl"), r"occurs twice"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_one_error_and_no_table(release, case):
    folder, _ = release
    rows, more, expected = REFUSED[case]
    write_rows(folder / "p.jsonl", rows)
    run = command(
        folder, "--predictions", "p.jsonl", *(() if "--answers" in more else ("--answers", "test.jsonl")), *more
    )
    assert run.returncode == 1 and run.stdout == ""
    assert re.search(expected, run.stderr) and run.stderr.count("error:") == 1 and "Traceback" not in run.stderr


def test_unknown_scorers_and_splits_list_the_known_ones(release):
    folder, _ = release
    run = command(folder, "--predictions", "p.jsonl", "--answers", "test.jsonl", "--scorer", "official")
    assert run.returncode == 2
    assert all(name in run.stderr for name in ("vsibench", "lmms", "tagged", "video_r1", "spacer"))


def test_tags_that_no_scorer_reads_are_noted(release):
    folder, rows = release
    tagged = [{"id": name, "prediction": f"<answer>{text}</answer>"} for name, text in right(rows).items()]
    write_rows(folder / "p.jsonl", tagged)
    arguments = ("--predictions", "p.jsonl", "--answers", "test.jsonl", "--scorer")
    run = command(folder, *arguments, "vsibench")
    assert "note: 50 texts hold an <answer> tag, into which no scorer asked for looks: try tagged" in run.stdout
    run = command(folder, *arguments, "vsibench", "tagged")
    assert "try tagged" not in run.stdout
    fields = printed(run)["overall"]
    assert (fields[2], fields[6]) == ("0.0", "100.0"), "side by side"


def own_rows() -> list[dict]:
    kinds = [kind for kind in TASKS if kind != "object_rel_direction"]
    return [
        question(
            f"q{scene}{kind}",
            kind,
            "B" if kind in CHOICES else "5",
            4 if kind in CHOICES else None,
            scene_id=f"scene{scene:04d}_00",
            space_id=f"scene{scene:04d}",
        )
        for scene in range(3)
        for kind in kinds
    ]


def test_what_a_file_says_of_its_questions_may_be_worded_otherwise(release):
    folder, rows = release
    predictions = [
        {
            "id": row["id"],
            "prediction": row["ground_truth"],
            "question_type": re.sub("_(easy|medium|hard)$", "", row["question_type"]),
            "ground_truth": row["ground_truth"] + (". a" if row["options"] else ".0"),
        }
        for row in rows
    ]
    write_rows(folder / "p.jsonl", predictions)
    table = printed(command(folder, "--predictions", "p.jsonl", "--answers", "test.jsonl"))
    assert table["overall"][:3] == ["50", "0", "100.0"]


def test_the_folder_of_a_release_stands_for_its_questions(release):
    folder, rows = release
    write_questions(folder / "data" / "test_debiased.parquet", [row for row in rows if not row["pruned"]])
    write_rows(folder / "p.jsonl", [{"id": name, "prediction": text} for name, text in right(rows).items()])
    run = command(folder, "--predictions", "p.jsonl", "--answers", "data")
    assert run.returncode == 1 and "holds only half of VSI-Bench" in run.stderr
    write_questions(folder / "data" / "test_pruned.parquet", [row for row in rows if row["pruned"]])
    assert printed(command(folder, "--predictions", "p.jsonl", "--answers", "data"))["overall"][0] == "50"


def test_our_own_questions_are_answers_too(tmp_path):
    rows = own_rows()
    tables.write(tables.QUESTIONS, tmp_path / "test.parquet", rows, LINEAGE)
    write_rows(tmp_path / "p.csv", [{"question_id": r["question_id"], "text": r["ground_truth"]} for r in rows[1:]])
    run = command(tmp_path, "--predictions", "p.csv", "--answers", "test.parquet", "--out", "scores.parquet")
    assert printed(run)["overall"][:2] == ["21", "1"]
    assert "overall is without object_rel_direction" in run.stdout
    written = tables.read(tables.SCORES, tmp_path / "scores.parquet")
    overall = next(row for row in written if row["task"] == "overall")
    assert overall["run"] == "p" and overall["n"] == 21 and overall["low"] < overall["score"] <= overall["high"]


def test_the_benchmark_table_knows_the_released_ids_as_well(tmp_path):
    rows = [
        row | {"source": "vsibench", "evidence": tables.canonical_json({"id": 7 + k, "pruned": k % 3 == 0})}
        for k, row in enumerate(own_rows())
    ]
    tables.write(tables.QUESTIONS, tmp_path / "questions.parquet", rows, LINEAGE)
    write_rows(tmp_path / "p.jsonl", [{"id": 7 + k, "prediction": row["ground_truth"]} for k, row in enumerate(rows)])
    arguments = ("--predictions", "p.jsonl", "--answers", "questions.parquet")
    assert printed(command(tmp_path, *arguments))["overall"][:3] == ["21", "0", "100.0"]
    assert printed(command(tmp_path, *arguments, "--split", "debiased"))["overall"][:2] == ["14", "0"]


def test_all_of_vsi_bench_takes_at_most_two_seconds_of_a_processor(tmp_path):
    rows = questions(scenes=513)
    write_questions(tmp_path / "test.jsonl", rows)
    predictions = [{"id": row["id"], "prediction": row["ground_truth"]} for row in rows]
    assert len({row["id"] for row in rows}) == 5130
    write_rows(tmp_path / "p.jsonl", predictions)
    taken = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        table = printed(command(tmp_path, "--predictions", "p.jsonl", "--answers", "test.jsonl"))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert table["overall"][0] == "5,130"
    assert min(taken) <= 2, taken


def test_help_shows_the_form_for_files_and_the_workflow_keeps_its_own(tmp_path):
    shown = command(tmp_path, "--help")
    assert shown.returncode == 0 and "--answers" in shown.stdout and "--train" in shown.stdout
    run = command(tmp_path, "--predictions", "p.parquet", "--run", "r")
    assert run.returncode == 2 and "--benchmark" in run.stderr
