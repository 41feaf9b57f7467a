"""ARKitScenes in the layouts that people have: other assets, archives, names of the first release."""

import shutil
import zipfile

import cv2
import numpy as np
import pytest

from rollout3d import fingerprint
from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import arkitscenes
from rollout3d.scenes.ingest import ingest_scan
from rollout3d.scenes.inventory import inspect_scan
from rollout3d.scenes.reading import ScanError
from scenes.conftest import settings
from scenes.test_arkitscenes import REF, VIDEO, write_video


def raw(root):
    return root / "raw" / "Training" / VIDEO


@pytest.fixture
def root(tmp_path):
    write_video(tmp_path)
    return tmp_path


def flags(root):
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        return scan.room.flags


def size(root):
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        scan.frame(0), scan.camera(0)
        return scan.source.width, scan.source.height


def pack(folder, prefix=True):
    """Replace a folder by <folder>.zip, as it is downloaded; `prefix`: members lie in a folder of its name."""
    with zipfile.ZipFile(folder.with_name(folder.name + ".zip"), "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                inside = path.relative_to(folder.parent if prefix else folder)
                archive.writestr(zipfile.ZipInfo(inside.as_posix()), path.read_bytes())
    shutil.rmtree(folder)


def add_lowres(root, asset="lowres_wide", scale=0.5):
    """A second asset, smaller, with intrinsics of its own."""
    folder = raw(root)
    shutil.rmtree(folder / f"{asset}_intrinsics", ignore_errors=True)
    for kind in (asset, f"{asset}_intrinsics"):
        (folder / kind).mkdir(exist_ok=True)
    for path in (folder / "vga_wide").iterdir():
        small = cv2.resize(cv2.imread(str(path)), None, fx=scale, fy=scale)
        cv2.imwrite(str(folder / asset / path.name), small)
    for path in (folder / "vga_wide_intrinsics").iterdir():
        numbers = [float(word) * scale for word in path.read_text().split()]
        text = " ".join([f"{numbers[0]:.0f} {numbers[1]:.0f}", *map(str, numbers[2:])])
        (folder / f"{asset}_intrinsics" / path.name).write_text(text + "\n")


def test_vga_wide_without_intrinsics_gives_way_to_a_whole_lowres_wide(root):
    add_lowres(root)
    assert size(root) == (64, 48) and flags(root) == []
    shutil.rmtree(raw(root) / "vga_wide_intrinsics")
    assert size(root) == (32, 24) and flags(root) == ["incomplete:vga_wide"]
    (raw(root) / "vga_wide_intrinsics").mkdir()
    assert size(root) == (32, 24) and flags(root) == ["damaged:vga_wide_intrinsics"]


def test_an_empty_folder_gives_way_too(root):
    add_lowres(root)
    for path in (raw(root) / "vga_wide").iterdir():
        path.unlink()
    assert size(root) == (32, 24) and flags(root) == ["damaged:vga_wide"]


def test_wide_serves_with_a_flag(root):
    for kind in ("", "_intrinsics"):
        (raw(root) / f"vga_wide{kind}").rename(raw(root) / f"wide{kind}")
    assert size(root) == (64, 48) and flags(root) == ["video:wide"]
    add = raw(root) / "lowres_wide"
    shutil.copytree(raw(root) / "wide", add)
    assert flags(root) == [], "lowres_wide goes before wide"


def test_names_of_the_first_release(root):
    """color, color_intrinsics, color.traj, depth_densified, and files named by their time alone."""
    folder = raw(root)
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        expected = [(scan.frame(i), scan.camera(i), scan.depth(i)) for i in (0, 4)]
    shutil.rmtree(folder / "lowres_wide_intrinsics")
    for old, new in (
        ("vga_wide", "color"),
        ("vga_wide_intrinsics", "color_intrinsics"),
        ("lowres_depth", "depth_densified"),
        ("lowres_wide.traj", "color.traj"),
    ):
        (folder / old).rename(folder / new)
    for name in ("color", "color_intrinsics", "depth_densified"):
        for path in list((folder / name).iterdir()):
            path.rename(path.with_name(path.name.removeprefix(f"{VIDEO}_")))
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        assert {"video:color", "trajectory:color.traj"} <= set(scan.room.flags)
        for index, (picture, (K, pose), depth) in zip((0, 4), expected):
            assert np.array_equal(scan.frame(index), picture) and np.array_equal(scan.depth(index), depth)
            assert np.allclose(scan.camera(index)[0], K) and np.allclose(scan.camera(index)[1], pose)


@pytest.mark.parametrize("prefix", [True, False])
def test_packed_assets_give_the_same_tables(root, prefix):
    expected = ingest_scan(arkitscenes, root, REF, settings())
    for name in ("vga_wide", "vga_wide_intrinsics", "lowres_depth", "lowres_wide_intrinsics"):
        pack(raw(root) / name, prefix)
    assert ingest_scan(arkitscenes, root, REF, settings()) == expected


def test_members_that_are_spelled_with_a_dot_are_read(root):
    expected = ingest_scan(arkitscenes, root, REF, settings())
    folder = raw(root)
    with zipfile.ZipFile(folder.with_name(f"{VIDEO}.zip"), "w") as archive:
        archive.writestr("./", "")
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            archive.writestr(f"./{path.relative_to(folder.parent).as_posix()}", path.read_bytes())
    shutil.rmtree(folder)
    assert ingest_scan(arkitscenes, root, REF, settings()) == expected


def test_a_member_that_is_spelled_in_two_ways_is_refused(root):
    shutil.rmtree(raw(root))
    with zipfile.ZipFile(raw(root).with_name(f"{VIDEO}.zip"), "w") as archive:
        archive.writestr(f"{VIDEO}/a.png", b"1")
        archive.writestr(f"./{VIDEO}/a.png", b"2")
    with pytest.raises(ScanError, match="is listed twice"):
        arkitscenes.read_room(root, REF)


def test_archives_that_were_looked_for_are_recorded_as_absent(root):
    shutil.rmtree(raw(root) / "lowres_depth")
    with fingerprint.Recorder({"roots.arkitscenes": root}) as recorder:
        datasets.read_scan(arkitscenes, root, REF)
    absent = {row["path"] for row in recorder.rows() if row["kind"] == "absent"}
    assert {f"3dod/Training/{VIDEO}.zip", f"raw/Training/{VIDEO}/lowres_depth.zip"} <= absent


def test_a_packed_video_of_3dod_gives_the_same_tables(tmp_path):
    folder = write_video(tmp_path, "3dod")
    expected = ingest_scan(arkitscenes, tmp_path, REF, settings())
    pack(folder)
    (ref,) = arkitscenes.list_scans(tmp_path, ["train"])
    assert (ref.scene_id, ref.present) == (VIDEO, True)
    assert ingest_scan(arkitscenes, tmp_path, REF, settings()) == expected


def test_a_folder_goes_before_its_archive_unless_it_is_empty(root):
    shutil.copytree(raw(root) / "vga_wide", raw(root) / "copy")
    pack(raw(root) / "vga_wide")
    (raw(root) / "vga_wide").mkdir()
    assert size(root) == (64, 48)
    shutil.rmtree(raw(root) / "vga_wide")
    (raw(root) / "copy").rename(raw(root) / "vga_wide")
    (raw(root) / "vga_wide.zip").write_bytes(b"damaged, and not looked at")
    assert size(root) == (64, 48) and flags(root) == []


def test_a_damaged_archive_gives_way_or_is_named(root):
    add_lowres(root)
    pack(raw(root) / "vga_wide")
    path = raw(root) / "vga_wide.zip"
    path.write_bytes(path.read_bytes()[:-200])
    assert size(root) == (32, 24) and flags(root) == ["damaged:vga_wide.zip"]
    shutil.rmtree(raw(root) / "lowres_wide")
    with pytest.raises(ScanError, match="no readable zip archive") as caught:
        datasets.read_scan(arkitscenes, root, REF)
    assert caught.value.path == path


def test_a_damaged_archive_of_a_whole_video_is_named(tmp_path):
    path = write_video(tmp_path, "3dod").with_suffix(".zip")
    shutil.rmtree(path.with_suffix(""))
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(ScanError, match="no readable zip archive") as caught:
        datasets.read_scan(arkitscenes, tmp_path, REF)
    assert caught.value.path == path


def test_mesh_and_annotation_may_be_in_the_other_download(root):
    write_video(root, "3dod")
    for name in (f"{VIDEO}_3dod_annotation.json", f"{VIDEO}_3dod_mesh.ply", "lowres_wide.traj"):
        (raw(root) / name).unlink()
    assert size(root) == (64, 48) and flags(root) == []


def spoil_archive(folder):
    pack(folder)
    path = folder.with_name("lowres_depth.zip")
    path.write_bytes(path.read_bytes()[:-200])


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (spoil_archive, "lowres_depth.zip"),
        (lambda folder: (folder / "Thumbs (1).png").write_bytes(b""), "Thumbs (1).png"),
    ],
)
def test_damaged_depth_costs_the_depth_and_not_the_scan(root, spoil, name):
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        expected = scan.depth(2)
    spoil(raw(root) / "lowres_depth")
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        assert scan.room.flags == [f"damaged:{name}"]
        assert scan.depth_K(2) is None and scan.depth(2) is None and scan.frame(2).shape == (48, 64, 3)
    write_video(root, "3dod")
    with datasets.read_scan(arkitscenes, root, REF) as scan:
        assert scan.room.flags == [f"damaged:{name}"] and np.array_equal(scan.depth(2), expected)


@pytest.mark.parametrize("name", [f"{VIDEO}_3dod_annotation.json", f"{VIDEO}_3dod_mesh.ply"])
def test_a_cut_mesh_or_annotation_gives_way_to_that_of_the_other_download(root, name):
    expected = arkitscenes.read_room(root, REF)
    other = write_video(root, "3dod") / name
    path = raw(root) / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    room = arkitscenes.read_room(root, REF)
    assert room.flags == [f"damaged:{name}"] and np.array_equal(room.vertices, expected.vertices)
    assert [o.object_id for o in room.objects] == [o.object_id for o in expected.objects]
    other.unlink()
    with pytest.raises(ScanError) as caught:
        arkitscenes.read_room(root, REF)
    assert caught.value.path == path


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 and nothing more"])
def test_a_damaged_archive_beside_a_whole_folder_is_a_flag(root, data):
    archive = root / "3dod" / "Training" / f"{VIDEO}.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(data)
    assert size(root) == (64, 48) and flags(root) == [f"damaged:{VIDEO}.zip"]
    assert inspect_scan("arkitscenes", root, REF)["state"] == "usable"
    (raw(root) / f"{VIDEO}_3dod_mesh.ply").unlink()
    with pytest.raises(ScanError, match=rf"no such file.*or {VIDEO}\.zip again, which is damaged"):
        arkitscenes.read_room(root, REF)
    shutil.rmtree(raw(root))
    raw(root).mkdir()
    with pytest.raises(ScanError, match="no readable zip archive") as caught:
        arkitscenes.read_room(root, REF)
    assert caught.value.path == archive


def test_an_error_page_instead_of_a_trajectory_gives_way_or_is_named(root):
    page = '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'
    (raw(root) / "lowres_wide.traj").write_text(page)
    with pytest.raises(ScanError, match="a server's error page instead of a trajectory; download it again"):
        datasets.read_scan(arkitscenes, root, REF)
    write_video(root, "3dod")
    assert flags(root) == ["damaged:lowres_wide.traj"]


def test_without_any_video_the_message_says_what_is_there_and_what_to_do(root):
    for name in ("vga_wide", "vga_wide_intrinsics"):
        shutil.rmtree(raw(root) / name)
    with pytest.raises(ScanError) as caught:
        datasets.read_scan(arkitscenes, root, REF)
    for said in ("no such file", "lowres_wide", "wide", "holds", "lowres_depth/"):
        assert said in caught.value.reason
    assert "download vga_wide and vga_wide_intrinsics" in caught.value.reason


def test_archives_are_recorded_among_the_files_that_were_read(root):
    pack(raw(root) / "vga_wide")
    with fingerprint.Recorder({"roots.arkitscenes": root}) as recorder:
        datasets.read_scan(arkitscenes, root, REF)
        datasets.read_scan(arkitscenes, root, REF)
    kinds = {row["path"]: row["kind"] for row in recorder.rows()}
    base = f"raw/Training/{VIDEO}"
    assert kinds[f"{base}/vga_wide.zip"] == "file" and kinds[f"{base}/vga_wide"] == "absent"
    assert not [path for path in kinds if ".zip/" in path]
