"""Damaged files: no damaged byte is read as a row, and every error is one `TableError` with the remedy."""

import ast
import hashlib
import json
import os
import random
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout3d import tables
from rollout3d.tables import seal

LINEAGE = tables.Lineage("ingest", {"seed": 7}, code="c0de", parents=(("scenes", "abc"),))


def value(kind, dice):
    """A random value of an Arrow type."""
    if pa.types.is_struct(kind):
        return {field.name: value(field.type, dice) for field in kind}
    if pa.types.is_fixed_size_list(kind):
        return [value(kind.value_type, dice) for _ in range(kind.list_size)]
    if pa.types.is_list(kind):
        return [value(kind.value_type, dice) for _ in range(dice.randrange(3))]
    if pa.types.is_floating(kind):
        return dice.randrange(1000) / 8
    if pa.types.is_integer(kind):
        return dice.randrange(200)
    if pa.types.is_boolean(kind):
        return dice.random() < 0.5
    return dice.randbytes(dice.randrange(300)) if kind == pa.binary() else dice.choice(["left", "a chair", "scene"])


def rows_of(table, n=12):
    dice = random.Random(table.name)
    found = []
    for k in range(n):
        row = {f.name: None if f.nullable and dice.random() < 0.2 else value(f.type, dice) for f in table.schema}
        found.append(row | ({"scene_id": f"scene{k // 5:04d}"} if "scene_id" in row else {}))
    return found


KINDS = (tables.FRAMES, tables.OCR_SFT, tables.REGIONS, tables.METRICS, tables.HARD)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file of each kind, as {table: (path, rows)}."""
    folder = tmp_path_factory.mktemp("tables")
    made = {table: (folder / f"{table.name}.parquet", rows_of(table)) for table in KINDS}
    for table, (path, rows) in made.items():
        tables.write(table, path, rows, LINEAGE)
    return made


def scene_rows(table, path):
    reader = tables.SceneReader(table, [path])
    return [row for scene in reader.scenes for row in reader.rows(scene)]


def media_rows(table, path):
    reader = tables.MediaReader(table, path)
    return [reader[place] for place in range(12)]


READERS = {
    "read": tables.read,
    "read_many": lambda table, path: tables.read_many(table, [path]),
    "foreign": lambda table, path: tables.read_foreign(path),
    "scenes": scene_rows,
    "media": media_rows,
    "light": tables.read_light,
    "lineage": lambda table, path: tables.lineage(path),
    "n_rows": lambda table, path: tables.n_rows(path),
    "digest": lambda table, path: tables.content_digest(path),
}


def doors(table):
    """The readers that a table has."""
    left_out = {"scenes"} if not table.per_scene else set()
    left_out |= {"media", "light"} if table is not tables.OCR_SFT else set()
    return [name for name in READERS if name not in left_out]


def outcome(door, table, path):
    """What a reader gives, or None for a `TableError` that names the file and a remedy."""
    try:
        return READERS[door](table, path)
    except tables.TableError as error:
        said = str(error)
        assert said.startswith(str(path)) and ("delete it and run" in said or "download it again" in said), said
        return None


@pytest.mark.parametrize("table", KINDS, ids=lambda table: table.name)
def test_no_flipped_bit_is_read_as_other_rows(table, written, tmp_path):
    path, rows = written[table]
    whole, dice, file = path.read_bytes(), random.Random(table.name), tmp_path / path.name
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    doors_here, caught = doors(table), 0
    expected = {door: READERS[door](table, path) for door in doors_here}
    assert expected["read"] == rows
    for k in range(120):
        at = dice.randrange(footer) if k % 2 else dice.randrange(footer, len(whole))
        bad = bytearray(whole)
        bad[at] ^= 1 << dice.randrange(8)
        file.write_bytes(bad)
        for door in doors_here:
            found = outcome(door, table, file)
            assert found is None or found == expected[door], f"{door}, byte {at}"
        caught += outcome("read", table, file) is None
        with pytest.raises(tables.TableError, match="delete it and run"):
            tables.verify(file)
    assert caught == 120  # every byte of these files is read, so that each flip is found


def test_no_bit_of_the_seal_or_the_footers_size_can_be_lost(written, tmp_path):
    path, _ = written[tables.HARD]
    whole, file = path.read_bytes(), tmp_path / "hard.parquet"
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for at in [*range(footer - 60, footer), *range(len(whole) - 8, len(whole))]:
        for bit in (0, 4, 7):
            bad = bytearray(whole)
            bad[at] ^= 1 << bit
            file.write_bytes(bad)
            assert outcome("read", tables.HARD, file) is None, at


def test_headers_of_pages_are_proved_too(tmp_path):
    """Column chunks of several pages: page checksums leave headers out, and Arrow believes a page's changed size."""
    file, dice = tmp_path / "hard.parquet", random.Random(1)
    rows = [{"question_id": f"q{k % 7}", "transition": dice.choice(["frames", "bev"])} for k in range(41_003)]
    with tables.Writer(tables.HARD, file, LINEAGE) as writer:
        writer.write(rows)
    whole, believed = file.read_bytes(), 0
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(1)
    start = chunk.data_page_offset
    assert whole[start : start + 3] == b"\x15\x00\x15"  # page type: data page; then its size
    expected = pq.read_table(file, columns=["transition"])
    for at in range(start, start + 24):
        for bit in range(8):
            bad = bytearray(whole)
            bad[at] ^= 1 << bit
            file.write_bytes(bad)
            assert outcome("read", tables.HARD, file) is None
            try:
                arrow = pq.ParquetFile(file, page_checksum_verification=True).read(columns=["transition"])
                believed += not arrow.equals(expected)
            except (OSError, pa.ArrowException):
                pass
    assert believed  # else page checksums do, and the blocks of the seal may go


@st.composite
def damages(draw, size):
    """A function from bytes to other bytes."""
    start, stop = sorted((draw(st.integers(0, size)), draw(st.integers(0, size))))
    put = draw(st.sampled_from([b"", b"\0" * (stop - start), b"PAR1", draw(st.binary(max_size=40))]))
    return lambda whole: whole[:start] + put + whole[stop:]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_is_a_table_error(data, written, tmp_path):
    table = data.draw(st.sampled_from(KINDS))
    path, _ = written[table]
    whole, file = path.read_bytes(), tmp_path / path.name
    bad = data.draw(damages(len(whole)))(whole)
    file.write_bytes(bad)
    for door in doors(table):
        found = outcome(door, table, file)
        assert found is None or found == READERS[door](table, path)
    if bad != whole:
        with pytest.raises(tables.TableError):
            tables.verify(file)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), framed=st.booleans())
def test_any_bytes_are_a_table_error(content, framed, tmp_path):
    file = tmp_path / "any.parquet"
    file.write_bytes(b"PAR1" + content + len(content).to_bytes(4, "little") + b"PAR1" if framed else content)
    for door in READERS:
        assert outcome(door, tables.FRAMES, file) is None


@pytest.mark.parametrize("table", KINDS, ids=lambda table: table.name)
def test_truncated_at_any_length(table, written, tmp_path):
    path, _ = written[table]
    whole, file = path.read_bytes(), tmp_path / path.name
    for size in {*range(0, len(whole), max(1, len(whole) // 50)), *range(len(whole) - 70, len(whole))}:
        file.write_bytes(whole[:size])
        assert outcome("read", table, file) is None, size


def test_a_damaged_table_names_its_stage_and_the_command(written, tmp_path):
    path, _ = written[tables.HARD]
    bad = bytearray(path.read_bytes())
    bad[10] ^= 1
    file = tmp_path / "a b.parquet"
    file.write_bytes(bad)
    with pytest.raises(tables.TableError) as caught:
        tables.read(tables.HARD, file)
    said = str(caught.value)
    assert said.startswith(f"{file}: not a readable Parquet file (its bytes from 0 to 32,768 have changed")
    assert said.endswith(f"delete it and run `snakemake '{file}'` again; the stage ingest wrote it")


def test_a_block_is_checked_when_it_is_read(tmp_path):
    """One scene of a large file is damaged: the others can be read, and the error comes with the row group."""
    image = {"path": "a.jpg"}
    rows = [row | {"image": image | {"bytes": os.urandom(90_000)}} for row in rows_of(tables.FRAMES)]
    file = tmp_path / "frames.parquet"
    tables.write(tables.FRAMES, file, rows, LINEAGE)
    bad = bytearray(file.read_bytes())
    bad[200_000] ^= 1
    file.write_bytes(bad)
    reader = tables.SceneReader(tables.FRAMES, [file])
    assert reader.rows("scene0002") == rows[10:]
    with pytest.raises(tables.TableError, match="delete it and run"):
        reader.rows("scene0000")


def plain(table, path, rows, *, about=None, schema=None, **options):
    """A table as an earlier version wrote it: lineage, but no checksums and no digest."""
    about = about if about is not None else {"table": table.name, "version": table.version, "stage": "ingest"}
    about = about if isinstance(about, bytes) else json.dumps(about, separators=(",", ":")).encode()
    schema = (schema or table.schema).with_metadata({tables.LINEAGE_KEY: about})
    pq.write_table(pa.Table.from_pylist(rows, schema), path, **options)


def test_a_table_of_an_earlier_version_is_read_but_not_proved(written, tmp_path):
    path, rows = written[tables.FRAMES]
    file = tmp_path / "frames.parquet"
    plain(tables.FRAMES, file, rows)
    assert tables.read(tables.FRAMES, file) == rows and scene_rows(tables.FRAMES, file) == rows
    assert tables.verify(file) is False and tables.verify(path) is True
    assert tables.content_digest(file) == hashlib.sha256(file.read_bytes()).hexdigest()


def test_damage_of_a_table_without_seal_is_never_a_bare_error(tmp_path):
    file, dice = tmp_path / "questions.parquet", random.Random(5)
    plain(tables.QUESTIONS, file, rows_of(tables.QUESTIONS), write_page_checksum=True)
    whole = file.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    errors = 0
    for _ in range(150):
        bad = bytearray(whole)
        bad[dice.randrange(footer)] ^= 1 << dice.randrange(8)
        file.write_bytes(bad)
        errors += outcome("read", tables.QUESTIONS, file) is None
    assert errors > 75  # what page checksums find


@pytest.mark.parametrize(
    ("about", "says"), [(b"{", "not a readable Parquet file"), (b"\xff\xfe", "not a readable"), (b"[1]", "its lineage")]
)
def test_metadata_that_are_no_json_object(tmp_path, about, says):
    file = tmp_path / "hard.parquet"
    plain(tables.HARD, file, [], about=about)
    for door in ("read", "lineage", "n_rows", "digest"):
        with pytest.raises(tables.TableError, match=says):
            READERS[door](tables.HARD, file)


def test_columns_of_other_types_are_refused(tmp_path):
    file = tmp_path / "hard.parquet"
    plain(tables.HARD, file, [], schema=pa.schema([("question_id", pa.int64()), ("transition", pa.string())]))
    with pytest.raises(tables.TableError, match=r"its column question_id is int64, not string.*delete it and run"):
        tables.read(tables.HARD, file)
    plain(tables.HARD, file, [], schema=pa.schema([("question_id", pa.string())]))
    with pytest.raises(tables.TableError, match=r"its columns \['question_id'\] are not those.*delete it and run"):
        tables.read(tables.HARD, file)


def test_text_that_is_not_unicode_is_a_table_error(tmp_path):
    """Arrow decodes text when rows are made of it, long after the file was opened."""
    file = tmp_path / "hard.parquet"
    text = pa.StringArray.from_buffers(1, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe"))
    about = json.dumps({"table": "hard", "version": 1, "stage": "ingest"}).encode()
    schema = tables.HARD.schema.with_metadata({tables.LINEAGE_KEY: about})
    pq.write_table(pa.Table.from_arrays([text, pa.array(["frames"])], schema=schema), file)
    assert outcome("read", tables.HARD, file) is None


@pytest.mark.parametrize("door", sorted(READERS))
def test_a_folder_and_nothing_are_named(tmp_path, door):
    with pytest.raises(tables.TableError, match=rf"{tmp_path}/x\.parquet: (no such file|cannot be read)"):
        READERS[door](tables.OCR_SFT, tmp_path / "x.parquet")
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(tables.TableError, match=rf"{tmp_path}/x\.parquet: is a folder"):
        READERS[door](tables.OCR_SFT, tmp_path / "x.parquet")


def test_a_file_that_the_disk_refuses_to_read_is_not_to_be_deleted(written, monkeypatch):
    path, _ = written[tables.HARD]

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(seal.os, "pread", refuse)
    with pytest.raises(tables.TableError, match=r"cannot be read \(Permission denied\)") as caught:
        tables.read(tables.HARD, path)
    assert "delete" not in str(caught.value)


def test_a_replaced_block_is_found_by_the_digest_alone(written, tmp_path, monkeypatch):
    """Verify recomputes the declared digest, whatever the checksums of the blocks say."""
    path, _ = written[tables.HARD]
    bad = bytearray(path.read_bytes())
    bad[1] ^= 1
    (tmp_path / "hard.parquet").write_bytes(bad)
    monkeypatch.setattr(seal.Sealed, "_compare", lambda *_: None)
    with pytest.raises(tables.TableError, match="its data are not those that were written"):
        tables.verify(tmp_path / "hard.parquet")


def test_other_readers_open_a_sealed_file(written):
    import duckdb

    for path, rows in written.values():
        about = pq.ParquetFile(path, page_checksum_verification=True)
        assert about.read().num_rows == len(rows)
        group = about.metadata.row_group(0)
        assert all(group.column(i).has_offset_index for i in range(group.num_columns))
        assert duckdb.sql(f"select count(*) from '{path}'").fetchall() == [(len(rows),)]
        assert len(duckdb.sql(f"select * from '{path}'").fetchall()) == len(rows)


def test_page_checksums_are_written_for_other_readers(written, tmp_path):
    path, _ = written[tables.FRAMES]
    group = pq.ParquetFile(path).metadata.row_group(0)
    (image,) = [group.column(i) for i in range(group.num_columns) if group.column(i).path_in_schema == "image.bytes"]
    bad = bytearray(path.read_bytes())
    bad[image.data_page_offset + image.total_compressed_size - 1] ^= 1
    (tmp_path / "frames.parquet").write_bytes(bad)
    with pytest.raises(OSError, match="CRC checksum verification failed"):
        pq.ParquetFile(tmp_path / "frames.parquet", page_checksum_verification=True).read()


PUBLISHED = Path("publish/parquet.py")
"""Writes files for the Hub, which have no lineage, and reads none."""


def test_what_writes_for_the_hub_reads_nothing():
    source = (Path(tables.__file__).parents[1] / PUBLISHED).read_text()
    assert set(re.findall(r"\bpq\.(\w+)", source)) == {"ParquetWriter"}


def test_nothing_reads_parquet_around_the_tables():
    package = Path(tables.__file__).parents[1]
    around = []
    for path in sorted(package.rglob("*.py")):
        if path.parent.name == "tables" or path.relative_to(package) == PUBLISHED:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            module = getattr(node, "module", None) or ""
            if any(f"{module}.{name}".lstrip(".").startswith(("pyarrow.parquet", "duckdb")) for name in names):
                around.append(str(path))
            if isinstance(node, ast.Attribute) and node.attr in ("read_parquet", "to_parquet"):
                around.append(str(path))
    assert not around
