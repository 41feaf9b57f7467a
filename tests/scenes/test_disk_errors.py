"""Errors of the disk and of permissions while scans are read: one scan is dropped, or the run ends."""

import errno
import os
import re
from pathlib import Path

import pytest

from rollout3d.releases import MissingData
from rollout3d.scenes.inventory import take_inventory
from scenes.test_ingest import run, scannet_root  # noqa: F401


def refusing(monkeypatch, name, number):
    """Make every look at what lies in a scan's folder fail with an error of the system."""
    exists = Path.exists

    def look(path, **options):
        if path.parent.name == name:
            raise OSError(number, os.strerror(number), str(path))
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", look)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_folder_that_cannot_be_looked_into_drops_its_scan_alone(scannet_root, tmp_path, monkeypatch, number):  # noqa: F811
    refusing(monkeypatch, "scene0002_00", number)
    rows = run(scannet_root, tmp_path / "out")
    assert [row["scene_id"] for row in rows["scenes"]] == ["scene0001_00", "scene0003_00", "scene0004_00"]
    (dropped,) = (row for row in rows["scenes_dropped"] if row["scene_id"] == "scene0002_00")
    assert dropped["reason"] == f"cannot be read ({os.strerror(number)})"
    assert dropped["file"].startswith("scans/scene0002_00/scene0002_00")
    found = {row["scene_id"]: row for row in take_inventory("scannet", scannet_root).rows}
    assert (found["scene0002_00"]["state"], found["scene0002_00"]["reason"]) == ("damaged", dropped["reason"])
    assert found["scene0003_00"]["state"] == "usable"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_is_no_fault_of_a_scan(scannet_root, tmp_path, monkeypatch, number):  # noqa: F811
    refusing(monkeypatch, "scene0002_00", number)
    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as caught:
        run(scannet_root, tmp_path / "out")
    assert caught.value.errno == number and not isinstance(caught.value, MissingData)
