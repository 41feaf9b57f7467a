"""Bad input of ScanNet++ and ARKitScenes, through the ingest of a shard: the scan is dropped by name."""

import numpy as np
import pytest

from scenes.bad import edit_json, ingested, png
from scenes.test_arkitscenes import VIDEO, write_video
from scenes.test_scannetpp import REF as PHONE
from scenes.test_scannetpp import root as phone_root  # noqa: F401 - a fixture


def dropped(dataset, root, out, scene_id):
    rows = ingested(root, out, dataset, max_drop_share=1.0)
    assert rows["scenes"] == rows["objects"] == rows["frames"] == rows["maps"] == []
    (row,) = [row for row in rows["scenes_dropped"] if row["scene_id"] == scene_id]
    return row["file"], row["reason"]


def poses(change):
    def damage(path):
        edit_json(path, lambda entries: [change(entries, name) for name in list(entries)])

    return damage


PHONE_DAMAGE = {
    "no video": ("iphone/rgb.mkv", lambda p: p.write_bytes(bytes(5000)), "cannot be opened as a video"),
    "longer poses": (
        "iphone/pose_intrinsic_imu.json",
        poses(lambda entries, name: entries.update({"frame_000200": entries[name]})),
        "ends after 9 frames, the poses after 201",
    ),
    "no valid pose": (
        "iphone/pose_intrinsic_imu.json",
        poses(lambda entries, name: entries[name].update(aligned_pose=[[-np.inf] * 4] * 4)),
        "no frame of the video has a valid pose",
    ),
    "no intrinsics": (
        "iphone/pose_intrinsic_imu.json",
        poses(lambda entries, name: entries[name].update(intrinsic=[[0, 0, 0]] * 3)),
        "no camera's",
    ),
    "other segments": (
        "scans/segments_anno.json",
        lambda p: edit_json(p, lambda c: [g.update(segments=[10**6]) for g in c["segGroups"]]),
        "names no segment of the mesh",
    ),
}


@pytest.mark.parametrize("kind", PHONE_DAMAGE)
def test_scannetpp(phone_root, tmp_path, kind):  # noqa: F811
    file, damage, says = PHONE_DAMAGE[kind]
    damage(phone_root / "data" / PHONE.scene_id / file)
    found, reason = dropped("scannetpp", phone_root, tmp_path / "out", PHONE.scene_id)
    at_fault = "iphone/rgb.mkv" if kind == "longer poses" else file
    assert found == f"data/{PHONE.scene_id}/{at_fault}" and says in reason


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def of_another_size(path):
    path.write_bytes(png(np.zeros((24, 32, 3), np.uint8)))


def far_away(path):
    edit_json(path, lambda c: [i["segments"]["obbAligned"].update(centroid=[50, 50, 0]) for i in c["data"]])


FIRST = f"{VIDEO}_3403.391"
ARKIT_DAMAGE = {
    "corrupt picture": (f"vga_wide/{FIRST}.png", cut, "cannot be decoded"),
    "another size": (f"vga_wide/{VIDEO}_3403.491.png", of_another_size, "32x24 pixels"),
    "no intrinsics": (f"vga_wide_intrinsics/{FIRST}.pincam", lambda p: p.write_text("64 48 nan 50 31 23"), "camera's"),
    "no picture of it": (f"vga_wide_intrinsics/{FIRST}.pincam", lambda p: p.write_text("0 0 50 50 31 23"), "0x0"),
    "no valid pose": ("lowres_wide.traj", lambda p: p.write_text("1.0 0 0 0 0 0 0\n"), "valid pose"),
    "broken poses": ("lowres_wide.traj", lambda p: p.write_text("1.0 0 0 0 0 0\n"), "seven finite numbers"),
    "other boxes": (f"{VIDEO}_3dod_annotation.json", far_away, "no vertex of the mesh is in any box"),
    "truncated": (f"{VIDEO}_3dod_annotation.json", cut, "truncated"),
    "truncated mesh": (f"{VIDEO}_3dod_mesh.ply", cut, "does not fit"),
}


@pytest.mark.parametrize("kind", ARKIT_DAMAGE)
def test_arkitscenes(tmp_path, kind):
    file, damage, says = ARKIT_DAMAGE[kind]
    folder = write_video(tmp_path / "root")
    damage(folder / file)
    found, reason = dropped("arkitscenes", tmp_path / "root", tmp_path / "out", VIDEO)
    assert found == f"raw/Training/{VIDEO}/{file}" and says in reason, (found, reason)
