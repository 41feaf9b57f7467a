"""What the tests of bad scans share."""

import json

import cv2

from rollout3d import tables
from rollout3d.scenes.ingest import NAMES, ingest_shard
from scenes.conftest import LINEAGE, trained


def ingested(root, out, dataset="scannet", **site):
    ingest_shard(dataset, root, out, 0, 1, trained(dataset, site=site), LINEAGE)
    return {name: tables.read(tables.TABLES[name], out / f"{name}.parquet") for name in NAMES}


def edit_json(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def png(picture):
    return cv2.imencode(".png", picture)[1].tobytes()
