"""check-scan: passes on every synthetic scan, and fails loudly on one whose poses or boxes are wrong on disk."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from rollout3d.scenes.check import check_scan
from rollout3d.scenes.check_picture import draw
from rollout3d.scenes.locate import UnusableScan, locate
from rollout3d.stages import check_scan as stage
from scenes import mini
from scenes.damages import change_mesh, change_poses, copied, folders

COLOURS, DEPTH, PATH = "colours: own pose / others'", "depth against the mesh", "path of the camera"


def verdicts(report):
    return {check.name: check.passed for check in report.checks}


def wrong(report):
    return {name for name, passed in verdicts(report).items() if passed is False}


def test_every_synthetic_scan_passes(made):
    for path in folders(made):
        report = check_scan(made.dataset, path)
        assert report.passed, report.text()
        assert {COLOURS, DEPTH, PATH} <= {name for name, passed in verdicts(report).items() if passed}


def test_shuffled_poses_fail(made, tmp_path, capsys):
    folder = copied(made, tmp_path)
    change_poses(made.dataset, folder, lambda poses: poses)
    assert check_scan(made.dataset, folder).passed, "rewriting as such changes nothing"
    shuffle = np.random.default_rng(0).permutation
    change_poses(made.dataset, folder, lambda poses: poses[shuffle(len(poses))])
    report = check_scan(made.dataset, folder)
    assert {COLOURS, DEPTH, PATH} <= wrong(report), report.text()
    with pytest.raises(SystemExit) as stopped:
        stage.main([made.dataset, str(folder)])
    assert stopped.value.code == 1
    assert re.search(rf"FAIL +{COLOURS}", capsys.readouterr().out)


def test_inverted_poses_fail(made, tmp_path):
    folder = copied(made, tmp_path)
    change_poses(made.dataset, folder, np.linalg.inv)
    report = check_scan(made.dataset, folder)
    assert {COLOURS, DEPTH} <= wrong(report), report.text()


def test_camera_axes_of_opengl_fail(releases, tmp_path):
    folder = copied(releases["scannetpp"], tmp_path)
    change_poses("scannetpp", folder, lambda poses: poses @ np.diag([1.0, -1, -1, 1]))
    assert {COLOURS, DEPTH} <= wrong(check_scan("scannetpp", folder))


def test_scannet_poses_left_unaligned_fail(releases, tmp_path):
    """A mesh that someone has aligned already, poses as released: the meta file's matrix is then right for neither."""
    folder = copied(releases["scannet"], tmp_path)
    (line,) = re.findall("axisAlignment = (.*)", (folder / f"{folder.name}.txt").read_text())
    to_aligned = np.array(line.split(), float).reshape(4, 4)
    change_mesh(folder, lambda points: points @ to_aligned[:3, :3].T + to_aligned[:3, 3])
    report = check_scan("scannet", folder)
    assert {COLOURS, DEPTH} <= wrong(report), report.text()


def test_scannetpp_poses_left_unaligned_fail(releases, tmp_path):
    """The phone's own `pose` in place of `aligned_pose`."""
    folder = copied(releases["scannetpp"], tmp_path)
    entries = json.loads((folder / "iphone" / "pose_intrinsic_imu.json").read_text())
    raw = np.array([entry["pose"] for entry in entries.values()])
    change_poses("scannetpp", folder, lambda poses: raw)
    assert {COLOURS, DEPTH} <= wrong(check_scan("scannetpp", folder))


def test_arkitscenes_boxes_left_unaligned_fail(releases, tmp_path):
    """`obb`, in the annotation tool's frame, in place of `obbAligned`."""
    folder = copied(releases["arkitscenes"], tmp_path)
    (path,) = folder.glob("*_3dod_annotation.json")
    content = json.loads(path.read_text())
    first = content["data"][0]["segments"]
    aligned = first["obbAligned"]
    for item in content["data"]:
        item["segments"]["obbAligned"] = item["segments"]["obb"]
    first["obbAligned"] = aligned
    path.write_text(json.dumps(content))
    report = check_scan("arkitscenes", folder)
    assert wrong(report) == {"files can be read"} and "boxes cannot be this room's" in report.text()
    first["obbAligned"] = first["obb"]
    path.write_text(json.dumps(content))
    report = check_scan("arkitscenes", folder)  # no box at all holds anything: the reader refuses it
    assert wrong(report) == {"files can be read"} and "no vertex of the mesh is in any box" in report.text()


def test_scannetpp_box_axes_as_columns_fail(releases, tmp_path):
    folder = copied(releases["scannetpp"], tmp_path)
    path = folder / "scans" / "segments_anno.json"
    content = json.loads(path.read_text())
    for group in content["segGroups"]:
        group["obb"]["normalizedAxes"] = np.reshape(group["obb"]["normalizedAxes"], (3, 3)).T.ravel().tolist()
    path.write_text(json.dumps(content))
    report = check_scan("scannetpp", folder)
    # Boxes that stand upright have the same corners' bounds either way; what they hold tells.
    assert "objects inside their box" in wrong(report), report.text()


def test_swapped_world_axes_fail(releases, tmp_path):
    """A mesh and poses with y up agree with each other, but not with gravity."""
    folder = copied(releases["scannetpp"], tmp_path)
    turn = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    change_poses("scannetpp", folder, lambda poses: turn @ poses)
    change_mesh(folder, lambda points: points @ turn[:3, :3].T)
    assert "camera upright" in wrong(check_scan("scannetpp", folder))


def test_what_is_missing_is_said_and_the_rest_is_checked(releases, tmp_path, capsys):
    folder = copied(releases["scannet"], tmp_path / "a")
    (folder / f"{folder.name}.sens").unlink()
    stage.main(["scannet", str(folder)])
    shown = capsys.readouterr().out
    assert re.search(rf"missing +.*{folder.name}.sens: no such file", shown)
    assert "pass  objects inside their box" in shown and "pass  floor at z = 0" in shown
    assert re.search(rf"- +{COLOURS} +not made +no video", shown)

    folder = copied(releases["scannet"], tmp_path / "b")
    (folder / f"{folder.name}.aggregation.json").unlink()
    report = check_scan("scannet", folder)
    assert report.passed and verdicts(report)[COLOURS] and verdicts(report)["boxes in the room"] is None

    folder = copied(releases["scannetpp"], tmp_path / "c")
    (folder / "iphone" / "depth.bin").unlink()
    report = check_scan("scannetpp", folder)
    assert report.passed and verdicts(report)[DEPTH] is None and verdicts(report)[COLOURS]

    folder = copied(releases["arkitscenes"], tmp_path / "d")
    (mesh,) = folder.glob("*_3dod_mesh.ply")
    mesh.unlink()
    report = check_scan("arkitscenes", folder)
    assert report.passed and verdicts(report)["camera upright"] and verdicts(report)[COLOURS] is None
    assert draw(report).ndim == 3


def write_instances(made, folder, shift):
    """The optional archive of instance pictures, from the renderer's thing ids; objectIds moved on by `shift`."""
    recording = next(r for scene, r in made.recordings() if scene["scene_id"] == folder.name)
    of_thing = {int(k): v for k, v in made.truth(folder.name)["release"]["object_ids"].items()}
    with zipfile.ZipFile(folder / f"{folder.name}_2d-instance-filt.zip", "w") as archive:
        for index, (_, _, things) in enumerate(recording.frames()):
            picture = np.zeros(things.shape, np.uint8)
            for thing, object_id in of_thing.items():
                picture[things == thing] = object_id + 1 + shift
            archive.writestr(f"instance-filt/{index}.png", cv2.imencode(".png", picture)[1].tobytes())


def test_labels_of_the_release_are_compared_where_there_are_any(releases, tmp_path):
    name = "labels of the release"
    folder = copied(releases["scannet"], tmp_path)
    assert verdicts(check_scan("scannet", folder))[name] is None
    write_instances(releases["scannet"], folder, 0)
    report = check_scan("scannet", folder)
    assert report.passed and verdicts(report)[name]
    write_instances(releases["scannet"], folder, 1)
    assert wrong(check_scan("scannet", folder)) == {name}
    (folder / f"{folder.name}_2d-instance-filt.zip").write_bytes(b"PK")
    assert "files can be read" in wrong(check_scan("scannet", folder))


def test_damaged_file_fails_and_is_named(releases, tmp_path):
    folder = copied(releases["scannet"], tmp_path)
    path = folder / f"{folder.name}.aggregation.json"
    path.write_text("{")
    report = check_scan("scannet", folder)
    assert wrong(report) == {"files can be read"}
    assert path.name in report.text()


@pytest.mark.parametrize("case", ["nowhere", "no scan", "empty"])
def test_unusable_input_has_its_own_status(releases, tmp_path, capsys, case):
    folder = {"nowhere": tmp_path / "nothing", "no scan": tmp_path, "empty": tmp_path / "scans" / "scene0000_00"}[case]
    if case == "empty":
        folder.mkdir(parents=True)
    with pytest.raises(SystemExit) as stopped:
        stage.main(["scannet", str(folder)])
    assert stopped.value.code == 2
    assert str(folder) in capsys.readouterr().err


def test_a_mistyped_path_is_refused_before_the_imports_that_take_seconds():
    program = (
        "import sys\n"
        "from rollout3d.stages import check_scan\n"
        "try:\n"
        "    check_scan.main(['scannet', '/nowhere/scans/scene0000_00'])\n"
        "except SystemExit as ended:\n"
        "    heavy = sorted({'cv2', 'numba', 'scipy.ndimage', 'rollout3d.scenes.check'} & set(sys.modules))\n"
        "    print(ended.code, heavy)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "2 []\n"
    assert run.stderr.startswith("error: no folder /nowhere/scans/scene0000_00: name the folder of one scan")


def test_a_log_tells_what_is_being_done(releases, capsys, caplog):
    folder = folders(releases["scannet"])[0]
    with caplog.at_level("INFO"):
        stage.main(["scannet", str(folder)])
    assert f"{folder}: reading mesh, objects and video" in caplog.text
    said = capsys.readouterr()
    for what in ("poses", "frames against the mesh", "boxes"):
        assert re.search(rf"^{what} (\d+)/\1, \d:\d\d:\d\d in all$", said.err, re.M), said.err
    assert "no picture was drawn: --out look.png draws" in said.out.splitlines()[-1]


def test_the_report_is_not_lost_with_a_picture_that_cannot_be_written(releases, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file" / "look.png", tmp_path):
        with pytest.raises(SystemExit) as ended:
            stage.main(["scannet", str(folders(releases["scannet"])[0]), "--out", str(out)])
        said = capsys.readouterr()
        assert ended.value.code == 1 and "passed" in said.out
        assert f"error: {out}: the picture cannot be written" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_folder_of_a_scan_names_root_and_split(tmp_path):
    for parts, dataset, split in (
        (("scans_test", "scene0707_00"), "scannet", "test"),
        (("data", "7b6477cb95"), "scannetpp", "train"),
        (("3dod", "Validation", "41048190"), "arkitscenes", "val"),
    ):
        path = tmp_path.joinpath(*parts)
        path.mkdir(parents=True)
        root, ref = locate(dataset, path)
        assert (root, ref.scene_id, ref.split) == (tmp_path, parts[-1], split)
    with pytest.raises(UnusableScan, match="ROOT/data"):
        locate("scannetpp", path)


def test_picture_shows_frames_boxes_and_path(releases, tmp_path, capsys):
    made = releases["arkitscenes"]
    folder = folders(made)[0]
    stage.main([made.dataset, str(folder), "--out", str(tmp_path / "p.png")])
    picture = cv2.cvtColor(cv2.imread(str(tmp_path / "p.png")), cv2.COLOR_BGR2RGB)
    assert capsys.readouterr().out.endswith(f"picture: {tmp_path / 'p.png'}\n")
    assert picture.shape[1] == 1672 and picture.shape[0] > 1000
    assert (picture[:8, :8] == (44, 122, 62)).all(), "green: passed"
    assert (picture == (255, 220, 0)).all(axis=2).sum() > 200, "views in the room from above"


LOST = "annotated objects read"


def damaged_annotation(releases, dataset, tmp_path, change):
    folder = copied(releases[dataset], tmp_path)
    (path,) = folder.rglob(
        {"scannet": "*.aggregation.json", "scannetpp": "segments_anno.json"}.get(dataset, "*3dod_*.json")
    )
    content = json.loads(path.read_text())
    change(content[{"arkitscenes": "data"}.get(dataset, "segGroups")])
    path.write_text(json.dumps(content))
    return check_scan(dataset, folder)


@pytest.mark.parametrize("dataset", ["scannet", "scannetpp", "arkitscenes"])
def test_an_annotation_without_objects_fails(releases, tmp_path, dataset):
    report = damaged_annotation(releases, dataset, tmp_path, list.clear)
    assert wrong(report) == {LOST} and "annotates no object" in report.text()


@pytest.mark.parametrize("dataset", ["scannetpp", "arkitscenes"])
def test_an_annotated_object_that_reaches_no_table_fails(releases, tmp_path, dataset):
    def change(groups):
        box = groups[0]["obb"] if dataset == "scannetpp" else groups[0]["segments"]["obbAligned"]
        box["centroid"] = [500, 0, 0]
        box.pop("min", None)

    report = damaged_annotation(releases, dataset, tmp_path, change)
    assert wrong(report) == {LOST} and "refused_box:" in report.text() and "out of the mesh" in report.text()


def test_an_instance_without_segments_fails(releases, tmp_path):
    report = damaged_annotation(releases, "scannet", tmp_path, lambda groups: groups[0]["segments"].clear())
    assert wrong(report) == {LOST} and "empty_objects:1" in report.text()


def alone(releases, dataset, tmp_path):
    """A copy of a scan that lies by itself, outside of any release."""
    source = folders(releases[dataset])[0]
    return shutil.copytree(source, tmp_path / "any" / "place" / source.name)


@pytest.mark.parametrize("table", ["absent", "whole", "damaged"])
def test_a_scan_by_itself_is_checked_like_one_in_its_release(releases, tmp_path, table):
    folder, inside = alone(releases, "scannet", tmp_path), folders(releases["scannet"])[0]
    if table != "absent":
        content = (releases["scannet"].root / "scannetv2-labels.combined.tsv").read_bytes()
        (folder.parent / "scannetv2-labels.combined.tsv").write_bytes(content if table == "whole" else b"nothing")
    report, expected = check_scan("scannet", folder), verdicts(check_scan("scannet", inside))
    assert ("mesh", dict(check_scan("scannet", inside).found)["mesh"]) in report.found
    if table == "damaged":  # the table costs the objects, not the mesh
        assert "scannetv2-labels.combined.tsv" in dict(report.found)["missing"]
        assert verdicts(report)[DEPTH] and report.room.objects == []
    else:
        assert verdicts(report) == expected, report.text()


def test_a_release_without_a_label_table_still_has_meshes(releases, tmp_path):
    folder = copied(releases["scannet"], tmp_path)
    for path in folder.parents[1].glob("*.tsv"):
        path.unlink()
    report = check_scan("scannet", folder)
    assert verdicts(report)[DEPTH] and "no label table" in dict(report.found)["missing"]


def exported(folder, n=8):
    """Write the `.sens` file of a scan as its export, without depth."""
    from rollout3d.scenes.formats.sens import SensFile

    path = folder / f"{folder.name}.sens"
    sens = SensFile(path)
    K = np.eye(4)
    K[:3, :3] = sens.color_K
    mini.write_bytes(folder / "intrinsic" / "intrinsic_color.txt", text(K))
    for index in range(n):
        mini.write_bytes(folder / "color" / f"{index}.jpg", mini.jpeg(sens.color(index)))
        mini.write_bytes(folder / "pose" / f"{index}.txt", text(sens.poses[index]))
    sens.close()
    path.unlink()


def text(matrix):
    return "\n".join(" ".join(f"{value:.6f}" for value in row) for row in matrix).encode()


@pytest.mark.parametrize("dataset", ["arkitscenes", "scannet"])
def test_one_damaged_camera_is_a_failed_check(releases, tmp_path, dataset):
    folder = copied(releases[dataset], tmp_path)
    if dataset == "scannet":
        exported(folder)
        assert "cameras can be read" not in verdicts(check_scan(dataset, folder))
        path = folder / "pose" / "3.txt"
    else:
        path = sorted(folder.rglob("*.pincam"))[3]
    path.write_bytes(path.read_bytes()[:20])
    report = check_scan(dataset, folder)
    assert "cameras can be read" in wrong(report) and path.name in report.text()
    assert verdicts(report)[PATH] is None and verdicts(report)["boxes in the room"]
    assert draw(report).ndim == 3


def test_a_damaged_camera_of_the_depth_is_a_damaged_file(releases, tmp_path):
    folder = copied(releases["arkitscenes"], tmp_path)
    for path in list(folder.rglob("*.pincam")):
        mini.write_bytes(path.parent.parent / "lowres_wide_intrinsics" / path.name, b"256 192")
    report = check_scan("arkitscenes", folder)
    assert "files can be read" in wrong(report) and dict(report.found)["depth"] == "its camera cannot be read"


def flags_of(report):
    return [value for what, value in report.found if what == "flag"]


def test_the_flags_are_those_of_ingest(made):
    for scene in made.rows["scenes"]:
        folder = next(path for path in folders(made) if path.name == scene["scene_id"])
        found = flags_of(check_scan(made.dataset, folder))
        assert len(found) == len(set(found))
        # Frames are counted among the stored ones there, and in the whole video here.
        counted = ("lost_frames", "depth_missing")
        some = {flag for flag in found if not flag.startswith(counted)}
        assert some == {flag for flag in scene["flags"] if not flag.startswith(counted)}
        lost = sum(pose is None for pose in made_poses(made, scene["scene_id"]))
        assert [flag for flag in found if flag.startswith("lost_frames")] == [f"lost_frames:{lost}"] * bool(lost)


def made_poses(made, scene_id):
    (plan,) = (plan for plan in made.plans() if plan.scene_id == scene_id)
    with made.open(plan) as scan:
        return [scan.camera(index)[1] for index in range(scan.source.n_frames)]


def test_flags_of_the_video_and_of_its_depth_are_found_without_an_annotation_too(releases, tmp_path):
    folder = copied(releases["scannet"], tmp_path)
    for path in folder.glob("*.aggregation.json"):
        path.unlink()
    exported(folder)
    for index in (1, 3, 5, 7):
        (folder / "color" / f"{index}.jpg").unlink()
        (folder / "pose" / f"{index}.txt").unlink()
    mini.write_bytes(folder / "pose" / "2.txt", b"-inf " * 16)
    found = flags_of(check_scan("scannet", folder))
    assert {"video:exported", "every_nth_frame:2", "no_depth", "lost_frames:1", "no_annotation"} <= set(found)
    assert found.count("no_depth") == 1


def test_a_file_that_may_not_be_looked_at_is_a_damaged_one(releases, tmp_path, monkeypatch):
    folder, exists = copied(releases["scannet"], tmp_path), Path.exists

    def look(path, **options):
        if path.name.endswith((".aggregation.json", ".sens")):
            raise PermissionError(13, "Permission denied", str(path))
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", look)
    report = check_scan("scannet", folder)
    assert wrong(report) == {"files can be read"} and report.room is not None
    assert f"{folder.name}.sens: cannot be read (Permission denied)" in report.text()
