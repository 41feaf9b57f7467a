"""Tables: what is written can be read, only what fits is written, bytes depend on the rows alone."""

import dataclasses

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rollout3d import tables

LINEAGE = tables.Lineage("test", {"seed": 7}, code="c0de", parents=(("scenes", "abc"),))


def hard(i):
    return {"question_id": f"q{i}", "transition": "frames"}


def frame(scene, index):
    image = {"bytes": b"jpeg", "path": f"{scene}_{index}.jpg"}
    return {
        "scene_id": scene,
        "frame_index": index,
        "timestamp_s": index / 24,
        "sets": ["uniform16"],
        "image": image,
        "width": 28,
        "height": 28,
        "source_width": 28,
        "source_height": 28,
        "K": [1.0] * 9,
        "pose": None,
    }


def test_rows_come_back_as_written(tmp_path):
    rows = [frame("a", 0), frame("a", 5), frame("b", 2)]
    assert tables.write(tables.FRAMES, tmp_path / "f.parquet", rows, LINEAGE) == 3
    assert tables.read(tables.FRAMES, tmp_path / "f.parquet") == rows


def test_scene_is_read_from_its_own_row_group(tmp_path):
    tables.write(tables.FRAMES, tmp_path / "f.parquet", [frame("a", 0), frame("a", 5), frame("b", 2)], LINEAGE)
    assert pq.ParquetFile(tmp_path / "f.parquet").num_row_groups == 2
    reader = tables.SceneReader(tables.FRAMES, [tmp_path / "f.parquet"])
    assert [row["frame_index"] for row in reader.rows("a")] == [0, 5]
    assert reader.rows("b", ["frame_index"]) == [{"scene_id": "b", "frame_index": 2}]
    assert reader.rows("unknown") == [] and "b" in reader


def test_empty_table_keeps_its_schema(tmp_path):
    tables.write(tables.HARD, tmp_path / "h.parquet", [], LINEAGE)
    assert tables.read(tables.HARD, tmp_path / "h.parquet") == []
    assert pq.read_schema(tmp_path / "h.parquet").names == ["question_id", "transition"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question_id": "q"}, "lacks \\['transition'\\]"),
        ({"question_id": "q", "transition": "x", "more": 1}, "unknown \\['more'\\]"),
        ({"question_id": None, "transition": "x"}, "question_id has nulls"),
        ({"question_id": 5, "transition": "x"}, "table hard"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_and_leaves_nothing(tmp_path, row, says):
    with pytest.raises(tables.RowError, match=says):
        tables.write(tables.HARD, tmp_path / "h.parquet", [hard(1), row], LINEAGE)
    assert list(tmp_path.iterdir()) == []


def test_columns_built_elsewhere_are_written_like_rows(tmp_path):
    for name, some in (("rows", [hard(1), hard(2)]), ("columns", tables.build(tables.HARD, [hard(1), hard(2)]))):
        with tables.Writer(tables.HARD, tmp_path / name, LINEAGE) as writer:
            writer.write(some)
            writer.write(some[:0])
    assert (tmp_path / "rows").read_bytes() == (tmp_path / "columns").read_bytes()
    with pytest.raises(tables.RowError, match="lacks"):
        tables.build(tables.HARD, [{"question_id": "q"}])


def test_a_failed_rewrite_keeps_the_old_file(tmp_path):
    tables.write(tables.HARD, tmp_path / "h.parquet", [hard(1)], LINEAGE)

    def broken():
        yield hard(2)
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        tables.write(tables.HARD, tmp_path / "h.parquet", broken(), LINEAGE)
    assert tables.read(tables.HARD, tmp_path / "h.parquet") == [hard(1)]


def test_a_file_of_another_table_is_refused_by_name(tmp_path):
    tables.write(tables.HARD, tmp_path / "h.parquet", [hard(1)], LINEAGE)
    with pytest.raises(tables.TableError, match="holds table 'hard' version 1, expected 'scenes'"):
        tables.read(tables.SCENES, tmp_path / "h.parquet")
    with pytest.raises(tables.TableError, match="no such file"):
        tables.read(tables.SCENES, tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet")
    with pytest.raises(tables.TableError, match=r"bad\.parquet"):
        tables.read(tables.SCENES, tmp_path / "bad.parquet")


def test_a_file_of_an_older_version_is_refused_with_the_stage_to_run_again(tmp_path):
    """Frames as they were before they carried the size of their video."""
    columns = [field for field in tables.FRAMES.schema if not field.name.startswith("source_")]
    older = dataclasses.replace(tables.FRAMES, version=1, schema=pa.schema(columns))
    row = {name: value for name, value in frame("a", 0).items() if not name.startswith("source_")}
    tables.write(older, tmp_path / "f.parquet", [row], tables.Lineage("ingest"))
    says = "holds table 'frames' version 1, expected 'frames' version 3; .*delete it and rerun the stage ingest"
    for read in (tables.read, lambda table, path: tables.SceneReader(table, [path])):
        with pytest.raises(tables.TableError, match=says):
            read(tables.FRAMES, tmp_path / "f.parquet")


def test_predictions_of_the_version_before_are_read_with_unknown_settings(tmp_path):
    """They cost GPU hours: a new column must not throw them away."""
    added = (*tables.SETTING_COLUMNS, "given_map")
    columns = [field for field in tables.PREDICTIONS.schema if field.name not in added]
    older = dataclasses.replace(tables.PREDICTIONS, version=1, schema=pa.schema(columns), added=())
    row = {"question_id": "q", "model": "m", "setting": "uniform32", "sample": 0, "text": "4", "answer": "4"}
    row |= {"score": 1.0, "scorer": "vsibench", "n_tokens": 2}
    path = tmp_path / "p.parquet"
    tables.write(older, path, [row, row], tables.Lineage("evaluate"))
    unknown = dict.fromkeys(added)
    assert tables.read(tables.PREDICTIONS, path) == [row | unknown] * 2
    assert tables.read(tables.PREDICTIONS, path, ["frames"]) == [{"frames": None}] * 2
    assert tables.read(tables.PREDICTIONS, path, ["backend", "text"]) == [{"backend": None, "text": "4"}] * 2
    assert tables.verify(path)
    for wrong in (dataclasses.replace(older, version=0), dataclasses.replace(older, version=2)):
        tables.write(wrong, path, [row], tables.Lineage("evaluate"))
        with pytest.raises(tables.TableError, match=r"p\.parquet"):
            tables.read(tables.PREDICTIONS, path)


def test_predictions_without_the_column_of_given_maps_are_read_with_their_settings(tmp_path):
    columns = [field for field in tables.PREDICTIONS.schema if field.name != "given_map"]
    older = dataclasses.replace(tables.PREDICTIONS, version=2, schema=pa.schema(columns), added=(), optional=())
    row = {"question_id": "q", "model": "m", "setting": "uniform32", "sample": 0, "text": "4", "answer": "4"}
    row |= {"score": 1.0, "scorer": "vsibench", "n_tokens": 2} | dict.fromkeys(tables.SETTING_COLUMNS) | {"frames": 32}
    tables.write(older, tmp_path / "p.parquet", [row], tables.Lineage("evaluate"))
    assert tables.read(tables.PREDICTIONS, tmp_path / "p.parquet") == [row | {"given_map": None}]


def test_metrics_of_trainings_before_there_were_probes_are_read(tmp_path):
    added = tables.METRICS.added
    columns = [field for field in tables.METRICS.schema if field.name not in added]
    older = dataclasses.replace(tables.METRICS, version=1, schema=pa.schema(columns), added=(), optional=())
    row = dict.fromkeys(older.schema.names) | {"step": 0, "lr": 1e-6, "loss": 1.0, "grad_norm": 1.0}
    row |= {"rewards": [], "seconds": []}
    tables.write(older, tmp_path / "m.parquet", [row], tables.Lineage("train_sft"))
    assert added and tables.read(tables.METRICS, tmp_path / "m.parquet") == [row | dict.fromkeys(added)]


COLUMNS = {
    ("scans", 1): "15352e9d4250",
    ("scenes", 3): "de30de67a4db",
    ("objects", 3): "d636cfa095ad",
    ("frames", 3): "08c365a2dded",
    ("regions", 2): "80eebbfd218f",
    ("maps", 1): "52881f8a1195",
    ("cognitive_maps", 1): "43b66bb662c3",
    ("visibility", 1): "dce041c79454",
    ("questions", 2): "82f71c0e4530",
    ("ocr_rl", 2): "82f71c0e4530",
    ("sources", 2): "8db2c0c60889",
    ("bias", 1): "c090c58435d8",
    ("hard", 1): "a4b5f257e1dc",
    ("annotations", 1): "4447a7b412f0",
    ("ocr_sft", 1): "6acbef435a89",
    ("verdicts", 1): "258c86779954",
    ("audit", 1): "b8ebb84fa14d",
    ("probes", 1): "b10f29090e1c",
    ("audit_released", 1): "697ba16da364",
    ("predictions", 3): "cd4925e6dabc",
    ("metrics", 2): "b4782927c450",
    ("rollouts", 1): "1537cd078285",
    ("claims", 1): "197e62a2fbef",
    ("claim_shares", 1): "b3c02acbca7c",
    ("scores", 6): "35e8ffcca352",
    ("report", 1): "e6bb15902aee",
    ("scenes_dropped", 1): "d574832ec72d",
    ("questions_dropped", 1): "6175157f3543",
    ("raw_files", 1): "f3c5fc57d01b",
    ("study", 1): "1ca8c2d1afef",
    ("study", 2): "f746e0099980",
    ("inventory", 1): "6dc1a02ea7a5",
}


def test_columns_change_with_the_version_only():
    """Readers tell an older file by its version alone: without a new one they would trip over what it lacks."""
    for table in tables.TABLES.values():
        columns = tables.digest([[field.name, str(field.type)] for field in table.schema])[:12]
        assert COLUMNS.get((table.name, table.version)) == columns, f"{table.name}: new columns need a new version"


def test_same_rows_give_the_same_bytes_and_lineage_is_kept(tmp_path):
    rows = [frame("a", i) for i in range(50)]
    for name in ("one", "two"):
        tables.write(tables.FRAMES, tmp_path / f"{name}.parquet", iter(rows), LINEAGE)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    about = tables.lineage(tmp_path / "one.parquet")
    assert about["stage"] == "test" and about["values"] == {"seed": 7} and about["parents"] == {"scenes": "abc"}
    assert about["table"] == "frames" and about["version"] == tables.FRAMES.version


def test_content_digest_sees_values_only(tmp_path):
    other = tables.Lineage("other")
    tables.write(tables.HARD, tmp_path / "a.parquet", [hard(1), hard(2)], LINEAGE)
    tables.write(tables.HARD, tmp_path / "b.parquet", [hard(1), hard(2)], other)
    tables.write(tables.HARD, tmp_path / "c.parquet", [hard(1), hard(3)], LINEAGE)
    digests = [tables.content_digest(tmp_path / f"{n}.parquet") for n in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_question_id_depends_on_content_not_on_evidence():
    row = dict.fromkeys(tables.QUESTIONS.schema.names, "x")
    assert tables.question_id(row) == tables.question_id({**row, "evidence": "y"})
    assert tables.question_id(row) != tables.question_id({**row, "ground_truth": "y"})


def test_every_field_has_a_meaning():
    silent = [
        (t.name, f.name) for t in tables.TABLES.values() for f in t.schema if not (f.metadata or {}).get(b"meaning")
    ]
    assert not silent


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    with pytest.raises(tables.TableError, match=r"is a folder; name a file, such as .*/hard\.parquet"):
        tables.write(tables.HARD, tmp_path, [hard(0)], LINEAGE)
    (tmp_path / "file").write_text("")
    with pytest.raises(tables.TableError, match=r"file/hard\.parquet: its folder cannot be made"):
        tables.write(tables.HARD, tmp_path / "file" / "hard.parquet", [hard(0)], LINEAGE)
