"""Tables: what is written can be read, only what fits is written, bytes depend on the rows alone."""

import pyarrow.parquet as pq
import pytest

from rollout3d import tables

LINEAGE = tables.Lineage("test", "c0ffee", "c0de", (("scenes", "abc"),))


def hard(i):
    return {"question_id": f"q{i}", "transition": "frames"}


def frame(scene, index):
    image = {"bytes": b"jpeg", "path": f"{scene}_{index}.jpg"}
    return {
        "scene_id": scene,
        "frame_index": index,
        "timestamp_s": index / 24,
        "sets": ["train16"],
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
    with pytest.raises(tables.TableError, match=says):
        tables.write(tables.HARD, tmp_path / "h.parquet", [hard(1), row], LINEAGE)
    assert list(tmp_path.iterdir()) == []


def test_columns_built_elsewhere_are_written_like_rows(tmp_path):
    for name, some in (("rows", [hard(1), hard(2)]), ("columns", tables.build(tables.HARD, [hard(1), hard(2)]))):
        with tables.Writer(tables.HARD, tmp_path / name, LINEAGE) as writer:
            writer.write(some)
            writer.write(some[:0])
    assert (tmp_path / "rows").read_bytes() == (tmp_path / "columns").read_bytes()
    with pytest.raises(tables.TableError, match="lacks"):
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


def test_same_rows_give_the_same_bytes_and_lineage_is_kept(tmp_path):
    rows = [frame("a", i) for i in range(50)]
    for name in ("one", "two"):
        tables.write(tables.FRAMES, tmp_path / f"{name}.parquet", iter(rows), LINEAGE)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    about = tables.lineage(tmp_path / "one.parquet")
    assert about["stage"] == "test" and about["config"] == "c0ffee" and about["parents"] == {"scenes": "abc"}
    assert about["table"] == "frames" and about["version"] == 1


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
    (tmp_path / "file").write_text("")
    with pytest.raises(tables.TableError, match=r"file/hard\.parquet: its folder cannot be made"):
        tables.write(tables.HARD, tmp_path / "file" / "hard.parquet", [hard(0)], LINEAGE)
