"""Content digests: declared by the file, equal for equal rows, without lineage and paths."""

import hashlib
import json
import os

import pyarrow.parquet as pq
import pytest

from rollout3d import tables
from rollout3d.tables import seal

LINEAGE = tables.Lineage("ingest", {"seed": 7}, code="c0de", parents=(("scenes", "abc"),))


def frames(path, n, n_bytes):
    """Write n frames with pictures of random bytes, each a scene of its own."""
    rows = []
    for k in range(n):
        row = {"scene_id": f"s{k}", "frame_index": k, "timestamp_s": 0.5, "sets": ["uniform16"], "K": [1.0] * 9}
        row |= {name: 28 for name in ("width", "height", "source_width", "source_height")}
        rows.append(row | {"image": {"bytes": os.urandom(n_bytes), "path": "a.jpg"}, "pose": None})
    tables.write(tables.FRAMES, path, rows, LINEAGE)


def test_the_declared_digest_is_that_of_the_data(tmp_path):
    for n in (0, 1, 30):
        path = tmp_path / f"{n}.parquet"
        frames(path, n, n_bytes=5_000)
        about = pq.ParquetFile(path).metadata
        declared = json.loads(about.metadata[seal.DATA_KEY])
        assert hashlib.sha256(path.read_bytes()[: declared["n_bytes"]]).hexdigest() == declared["sha256"]
        groups = [about.row_group(k) for k in range(about.num_row_groups)]
        chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
        ends = [(c.dictionary_page_offset or c.data_page_offset) + c.total_compressed_size for c in chunks]
        assert max(ends, default=4) == declared["n_bytes"]


def test_content_digest_reads_the_footer_only(tmp_path, monkeypatch):
    file = tmp_path / "frames.parquet"
    frames(file, 12, n_bytes=200_000)
    read, pread = [], os.pread
    monkeypatch.setattr(seal.os, "pread", lambda fd, n, at: read.append(n) or pread(fd, n, at))
    tables.content_digest(file)
    assert sum(read) < 150_000 < file.stat().st_size / 10  # Arrow asks for 64 KiB where it expects a footer


def test_content_digest_of_empty_tables_differs(tmp_path):
    """Empty tables hold no data at all: what they are tells them apart."""
    found = set()
    for table in tables.TABLES.values():
        tables.write(table, tmp_path / f"{table.name}.parquet", [], LINEAGE)
        found.add(tables.content_digest(tmp_path / f"{table.name}.parquet"))
    assert len(found) == len(tables.TABLES)


def test_content_digest_of_a_model_is_that_of_its_weights(tmp_path):
    file = tmp_path / "model.json"

    def digest(**values):
        file.write_text(json.dumps({"name": "ocr", "digest": "d1", "prompts": {"a": "b"}, "path": "here", **values}))
        return tables.content_digest(file)

    assert digest() == digest(path="elsewhere", steps=5, parents={"x": "y"})
    assert len({digest(), digest(name="sft"), digest(digest="d2"), digest(prompts={})}) == 4
    for bad in (b"", b"{", b"[]", b"{}", b"\xff"):
        file.write_bytes(bad)
        with pytest.raises(tables.TableError, match=rf"{file}: not a model\.json .*snakemake"):
            tables.content_digest(file)
    with pytest.raises(tables.TableError, match="cannot be read"):
        tables.content_digest(tmp_path / "none.json")
