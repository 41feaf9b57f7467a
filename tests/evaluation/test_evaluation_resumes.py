"""Stages that answer questions, killed in mid-run: the same bytes, and at most one batch twice per kill."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from evaluation.small_world import CONFIG, question_rows, tiny_policy, write_tables
from rollout3d import tables
from rollout3d.model.answer import of_shard
from rollout3d.model.load import save_policy
from rollout3d.stages import difficulty, evaluate, merge_predictions

BATCH = 4
SETTINGS = {
    "generation": {"backend": "hf", "batch_size": BATCH, "max_new_tokens": 3, "max_new_tokens_direct": 3},
    "evaluation": {"probes": ["black"], "temperature": 1.0},
}


def many_questions():
    rows = []
    for copy in range(4):
        for row in question_rows():
            changed = row | {"question": f"{row['question']} {copy}"}
            rows.append(changed | {"question_id": tables.question_id(changed)})
    return rows


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    files = write_tables(root)
    tables.write(tables.QUESTIONS, files["questions"], many_questions(), tables.Lineage("test"))
    tables.write(tables.OCR_RL, files["ocr_rl"], many_questions(), tables.Lineage("test"))
    save_policy(tiny_policy(), root / "model", kind="tiny")
    return files | {"model": str(root / "model" / "model.json")}


def arguments(stage, world, out, **changes):
    config = CONFIG | SETTINGS | changes
    given = ["--config", json.dumps(config), "--frames", world["frames"], "--model", world["model"], "--out", str(out)]
    if stage == "difficulty":
        return [*given, "--setting", "frames16_bev", "--maps", world["maps"], "--questions", world["ocr_rl"]]
    return [*given, "--run", "ocr", "--method", "grpo", "--questions", world["questions"]]


def killed(stage, log, kills, given):
    program = str(Path(__file__).parent / "kill_stage.py")
    command = [sys.executable, program, stage, str(log), str(kills), *given]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize(("stage", "views"), [("difficulty", 1), ("evaluate", 2)])
def test_a_stage_killed_again_and_again_writes_the_same_bytes(world, tmp_path, stage, views):
    whole, out, log = tmp_path / "whole.parquet", tmp_path / "killed" / "0.parquet", tmp_path / "log"
    {"difficulty": difficulty, "evaluate": evaluate}[stage].main(arguments(stage, world, whole))
    kills = 3
    done = killed(stage, log, kills, arguments(stage, world, out))
    assert done.returncode == 0, done.stderr[-3000:]
    assert out.read_bytes() == whole.read_bytes()
    questions, begun = len(many_questions()), log.read_text().splitlines()
    asked = Counter(name for line in begun for name in line.split())
    repeated = sum(asked.values()) - views * questions
    assert set(asked) == {row["question_id"] for row in many_questions()}
    assert 0 < repeated <= kills * BATCH, begun
    assert f"of {views * questions} answers were kept by an earlier start" in done.stderr
    assert f": questions {views * questions}/{views * questions}" in done.stderr
    assert not (out.parent / ".parts").exists(), "nothing is left once the table is written"


def test_shards_together_are_the_whole(world, tmp_path):
    whole, merged = tmp_path / "whole.parquet", tmp_path / "merged.parquet"
    evaluate.main(arguments("evaluate", world, whole))
    shards = [tmp_path / f"{shard}.parquet" for shard in range(5)]
    for shard, path in enumerate(shards):
        evaluate.main([*arguments("evaluate", world, path), "--shard", str(shard), "--n-shards", "5"])
    sizes = [len(tables.read(tables.PREDICTIONS, path)) for path in shards]
    assert min(sizes) == 0 and sorted(sizes)[-2] > 0, "three spaces on five shards: two are empty"
    given = ["--questions", world["questions"], "--out", str(merged)]
    merge_predictions.main(["--predictions", *map(str, shards), *given])
    assert tables.read(tables.PREDICTIONS, merged) == tables.read(tables.PREDICTIONS, whole)
    lineage = tables.lineage(merged)
    assert lineage["stage"] == "merge_predictions" and set(lineage["parents"]) == {"predictions", "questions"}


def test_a_missing_shard_is_no_table(world, tmp_path, capsys):
    shards = [str(tmp_path / f"{shard}.parquet") for shard in range(2)]
    for shard, path in enumerate(shards):
        evaluate.main([*arguments("evaluate", world, path), "--shard", str(shard), "--n-shards", "2"])
    given = ["--questions", world["questions"], "--out", str(tmp_path / "merged.parquet")]
    lost = len(of_shard(many_questions(), 0, 2))
    for wrong, message in ((shards[1:], f"{lost} questions have no answer"), ([*shards, shards[0]], "in two shards")):
        with pytest.raises(SystemExit):
            merge_predictions.main(["--predictions", *wrong, *given])
        assert message in capsys.readouterr().err
    assert not (tmp_path / "merged.parquet").exists()


def test_settings_of_older_shards_come_from_their_lineage(world, tmp_path):
    """Version 1 had no settings, but its lineage names every key: answers that cost GPU hours keep what they tell."""
    new, old, merged = (tmp_path / name for name in ("new.parquet", "old.parquet", "merged.parquet"))
    evaluate.main(arguments("evaluate", world, new))
    rows, lineage = tables.read(tables.PREDICTIONS, new), tables.Lineage.from_dict(tables.lineage(new))
    columns = [field for field in tables.PREDICTIONS.schema if field.name not in tables.PREDICTIONS.added]
    version1 = dataclasses.replace(tables.PREDICTIONS, version=1, schema=pa.schema(columns), added=(), by_version=())
    bare = [{name: row[name] for name in version1.schema.names} for row in rows]
    given = ["--predictions", str(old), "--questions", world["questions"], "--out", str(merged)]
    tables.write(version1, old, bare, lineage)
    merge_predictions.main(given)
    unknown = {"model_digest": None, "split": None}
    assert tables.read(tables.PREDICTIONS, merged) == [row | unknown for row in rows]
    direct = [row | {"scorer": "vsibench"} for row in bare]
    for made, by in ((bare, dataclasses.replace(lineage, stage="adopt")), (direct, lineage)):
        tables.write(version1, old, made, by)
        merge_predictions.main(given)
        assert {row["frames"] for row in tables.read(tables.PREDICTIONS, merged)} == {None}


def test_shards_answered_in_another_way_are_no_table(world, tmp_path, capsys):
    shards = [str(tmp_path / f"{shard}.parquet") for shard in range(2)]
    for shard, path in enumerate(shards):
        changes = {"generation": SETTINGS["generation"] | {"max_new_tokens": 3 - shard}}
        evaluate.main([*arguments("evaluate", world, path, **changes), "--shard", str(shard), "--n-shards", "2"])
    with pytest.raises(SystemExit):
        merge = ["--questions", world["questions"], "--out", str(tmp_path / "merged.parquet")]
        merge_predictions.main(["--predictions", *shards, *merge])
    assert "the shards were answered with max_new_tokens 3 and 2" in capsys.readouterr().err


@pytest.mark.parametrize("shard", ["2", "-1"])
def test_a_shard_beyond_the_last_is_refused(world, tmp_path, shard, capsys):
    for stage in (difficulty, evaluate):
        name = stage.__name__.rpartition(".")[2]
        given = arguments(name, world, tmp_path / "0.parquet")
        with pytest.raises(SystemExit):
            stage.main([*given, "--shard", shard, "--n-shards", "2"])
        assert "shards count from 0" in capsys.readouterr().err


def test_the_lineage_of_difficulty_names_all_that_was_shown(world, tmp_path):
    given = arguments("difficulty", world, tmp_path / "bev.parquet")
    difficulty.main(given)
    assert set(tables.lineage(tmp_path / "bev.parquet")["parents"]) == {"questions", "frames", "maps", "model"}
    given[given.index("frames16_bev")] = "frames16"
    given[given.index(str(tmp_path / "bev.parquet"))] = str(tmp_path / "plain.parquet")
    difficulty.main(given)
    assert set(tables.lineage(tmp_path / "plain.parquet")["parents"]) == {"questions", "frames", "model"}
