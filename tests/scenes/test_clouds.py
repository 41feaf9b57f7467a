"""What ingest measures for the rules of Spatial-R1 alone: distances of point clouds, and the floor's area."""

import dataclasses

import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist

from rollout3d import tables
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.ingest import ingest_scan
from rollout3d.scenes.release import ScanRef
from scenes import mini
from scenes.conftest import settings

REF = ScanRef("scene0007_00", "scene0007", "train")


@pytest.fixture
def root(tmp_path):
    mini.write_tsv(tmp_path / "scannetv2-labels.combined.tsv")
    (tmp_path / "scannetv2_train.txt").write_text("scene0007_00\n")
    mini.write_scannet(tmp_path / "scans" / REF.scene_id, REF.scene_id)
    return tmp_path


def ingested(root, rules):
    return ingest_scan(scannet, root, REF, settings(questions={"rules": rules}))


def test_spatial_r1_measures_the_nearest_vertices_of_every_two_things(root):
    found = ingested(root, "spatial_r1")
    with datasets.read_scan(scannet, root, REF) as scan:
        things = {item.object_id: item for item in scan.room.objects if item.perturbable and len(item.vertex_index)}
        vertices = scan.room.vertices
    expected = {
        (a, b): cdist(vertices[things[a].vertex_index], vertices[things[b].vertex_index]).min()
        for a in things
        for b in things
        if a < b
    }
    assert len(things) >= 2 and expected
    measured = {
        (row["object_id"], each["object_id"]): each["metres"]
        for row in found["objects"]
        for each in row["point_distances"] or ()
    }
    assert measured == pytest.approx(expected, abs=1e-9)
    nothing = {row["object_id"] for row in found["objects"] if row["point_distances"] is None}
    assert nothing == {row["object_id"] for row in found["objects"]} - set(things)


def test_the_floor_is_what_lies_near_the_lowest_point(root):
    (scene,) = ingested(root, "spatial_r1")["scenes"]
    assert scene["floor_area_m2"] == pytest.approx(4 * 3, abs=1e-3)


@pytest.mark.parametrize("rules", ["ocr", "spacer"])
def test_other_rules_measure_neither(root, rules):
    found = ingested(root, rules)
    assert found["scenes"][0]["floor_area_m2"] is None
    assert {row["point_distances"] for row in found["objects"]} == {None}


def test_files_without_the_columns_are_read_as_not_measured(tmp_path, root):
    objects = ingested(root, "ocr")["objects"]
    columns = [field for field in tables.OBJECTS.schema if field.name not in tables.OBJECTS.added]
    older = dataclasses.replace(tables.OBJECTS, version=1, schema=pa.schema(columns), added=(), optional=())
    rows = [{key: value for key, value in row.items() if key not in tables.OBJECTS.added} for row in objects]
    tables.write(older, tmp_path / "objects.parquet", rows, tables.Lineage("ingest"))
    assert tables.read(tables.OBJECTS, tmp_path / "objects.parquet") == objects
