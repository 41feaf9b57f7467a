"""Figures of agreement: what damages a scan drops it, what only makes it poor does not, and good scans pass."""

import copy
import dataclasses

import cv2
import numpy as np
import pytest

from rollout3d import tables
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.scenes import agreement, datasets
from rollout3d.scenes.agreement import FIGURES, box_tests, measure
from rollout3d.scenes.ingest import ingest_scan
from rollout3d.scenes.locate import locate
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.scan import Annotated, Room
from rollout3d.scenes.verdict import LIMITS, judge
from scenes.conftest import settings
from scenes.damages import change_boxes, change_mesh, change_poses, copied, folders
from toyworld.rooms.vocabulary import FORMATS
from toyworld.writers.placement import yaw_matrix

ELSEWHERE = yaw_matrix(70, (1.5, -1.0, 0.2))
FOOT = 3.28


def test_names_are_those_of_the_table_and_of_the_limits():
    stored = tables.SCENES.schema.field("agreement").type
    assert FIGURES == tuple(LIMITS) == tuple(stored.field(i).name for i in range(stored.num_fields))


def test_good_scans_are_neither_dropped_nor_flagged(made):
    assert made.rows["scenes"]
    for scene in made.rows["scenes"]:
        assert judge(scene, "drop").fate == "good", judge(scene, "drop").text
        absent = {"boxes_agree"} if made.dataset != "scannetpp" else set()
        absent |= {"floor_m"} if made.dataset != "scannet" else set()
        assert {name for name, value in scene["agreement"].items() if value is None} == absent


def scaled(factor):
    def change(poses):
        poses = poses.copy()
        poses[:, :3, 3] *= factor
        return poses

    return change


def transposed(poses):
    poses = poses.copy()
    poses[:, :3, :3] = poses[:, :3, :3].transpose(0, 2, 1)
    return poses


def mirrored(poses):
    flip = np.diag([1.0, -1, 1, 1])
    return flip @ poses @ flip


POSES = {
    "inverted": np.linalg.inv,
    "identity": lambda poses: np.tile(np.eye(4), (len(poses), 1, 1)),
    "millimetres": scaled(1000),
    "centimetres": scaled(100),
    "metres read as centimetres": scaled(0.01),
    "feet": scaled(FOOT),
    "another world": lambda poses: ELSEWHERE @ poses,
    "rotation transposed": transposed,
    "OpenGL axes": lambda poses: poses @ np.diag([1.0, -1, -1, 1]),
    "left-handed world": mirrored,
    "shuffled": lambda poses: poses[np.random.default_rng(0).permutation(len(poses))],
    "another part of the video": lambda poses: np.roll(poses, len(poses) // 2, axis=0),
    "backwards": lambda poses: poses[::-1],
    "half of the video backwards": lambda poses: np.concatenate(
        [poses[: len(poses) // 2], poses[: len(poses) // 2 - 1 : -1]]
    ),
    "a second late": lambda poses: np.roll(poses, round(len(poses) / 4), axis=0),
}
MESHES = {
    "in feet": lambda points: FOOT * points,
    "y up": lambda points: points[:, [0, 2, 1]] * [1, 1, -1],
    "mirrored": lambda points: points * [1, -1, 1],
}


def figures(made, folder):
    """The row of `scenes` as far as it is judged, read from the damaged folder."""
    root, ref = locate(made.dataset, folder)
    with datasets.read_scan(datasets.load(made.dataset), root, ref) as scan:
        return {"agreement": measure(scan).row()}


def dropped_by(row):
    """Figures beyond their gross limits."""
    verdict = judge(row, "drop")
    assert verdict.fate == "dropped", row
    return {name for name in LIMITS if f"({name})" in verdict.text}


def cases(names, everywhere):
    """Dataset and name: the first `everywhere` names in all formats, the others in one format each, in turn."""
    names = list(names)
    found = [(dataset, name) for name in names[:everywhere] for dataset in FORMATS]
    return found + [(FORMATS[k % 3], name) for k, name in enumerate(names[everywhere:])]


@pytest.mark.parametrize(("dataset", "damage"), cases(POSES, 4))
def test_wrong_poses_drop_a_scan(releases, tmp_path, dataset, damage):
    folder = copied(releases[dataset], tmp_path)
    change_poses(dataset, folder, POSES[damage])
    found = dropped_by(figures(releases[dataset], folder))
    assert found & {"colour_misfit", "depth_misfit", "depth_scale", "in_room", "in_view"}, found


@pytest.mark.parametrize("damage", MESHES)
def test_a_mesh_in_another_frame_drops_a_scan(made, tmp_path, damage):
    folder = copied(made, tmp_path)
    change_mesh(folder, MESHES[damage])
    try:
        found = dropped_by(figures(made, folder))
    except ScanError as error:  # the boxes stated beside it hold none of it, or lie outside: the reader drops it
        assert made.dataset != "scannet"
        assert "no vertex of the mesh is in any box" in str(error) or "boxes cannot be this room's" in str(error)
        return
    assert found & {"colour_misfit", "depth_misfit", "depth_scale", "in_room"}, found


@pytest.mark.parametrize("dataset", ["scannetpp", "arkitscenes"])
def test_boxes_of_another_world_drop_a_scan(releases, tmp_path, dataset):
    folder = copied(releases[dataset], tmp_path)
    change_boxes(dataset, folder, ELSEWHERE)
    assert "boxes_filled" in dropped_by(figures(releases[dataset], folder))


def test_a_trajectory_of_another_recording_drops_a_scan(releases, tmp_path):
    made = releases["arkitscenes"]
    folder, other = copied(made, tmp_path), next(f for f in folders(made)[2:] if list(f.rglob("lowres_wide.traj")))
    (path,), (theirs,) = folder.rglob("lowres_wide.traj"), other.rglob("lowres_wide.traj")
    mine, rows = np.loadtxt(path), np.loadtxt(theirs)
    rows = rows[np.rint(np.linspace(0, len(rows) - 1, len(mine))).astype(int)]
    rows[:, 0] = mine[:, 0]
    np.savetxt(path, rows, "%.9f")
    assert "colour_misfit" in dropped_by(figures(made, folder))


def test_ingest_keeps_a_damaged_scan_with_its_figures(releases, tmp_path):
    """Judging is for readers: the scan is ingested, whatever scenes.agreement says."""
    made = releases["scannetpp"]
    folder = copied(made, tmp_path)
    change_poses("scannetpp", folder, np.linalg.inv)
    root, ref = locate("scannetpp", folder)
    (scene,) = ingest_scan(datasets.load("scannetpp"), root, ref, settings(scenes={"agreement": "drop"}))["scenes"]
    assert scene["agreement"] == figures(made, folder)["agreement"]
    assert judge(scene, "drop").fate == "dropped"


class Changed:
    """A video with other frames, depth pictures or poses. `frame` and `depth` take index and picture."""

    def __init__(self, source, frame=None, depth=None, index=None, pose=None, no_depth=False):
        self._source, self._frame, self._depth, self._index, self._pose = source, frame, depth, index, pose
        self._no_depth = no_depth

    def __getattr__(self, name):
        return getattr(self._source, name)

    def camera(self, index):
        K, pose = self._source.camera(index)
        return K, self._pose(index, pose) if self._pose and pose is not None else pose

    def frame(self, index):
        picture = self._source.frame(self._index(index) if self._index else index)
        return self._frame(index, picture) if self._frame else picture

    def depth_K(self, index):
        return None if self._no_depth else self._source.depth_K(index)

    def depth(self, index):
        picture = self._source.depth(index)
        return self._depth(index, picture) if self._depth and picture is not None else picture


@pytest.fixture(params=["arkitscenes"])
def scan(request, releases):
    made = releases[request.param]
    with made.open(made.plans()[0]) as found:
        yield found


def with_video(scan, **changes):
    return dataclasses.replace(scan, source=Changed(scan.source, **changes), _small={})


def with_room(scan, **changes):
    room = copy.copy(scan.room)
    for name, value in changes.items():
        setattr(room, name, value)
    return dataclasses.replace(scan, room=room, _small={})


def noise(index, shape, size):
    return np.random.default_rng(index).normal(0, size, shape)


def grain(index, picture):
    return np.clip(picture + noise(index, picture.shape, 50), 0, 255).astype(np.uint8)


def other_light(index, picture):
    light = 0.35 + 0.9 * np.random.default_rng(index).random()
    return np.clip(light * picture + noise(index, 3, 25), 0, 255).astype(np.uint8)


def painted(scan):
    """Colours by class in place of photographed ones."""
    owner = np.zeros(len(scan.room.vertices), int)
    for item in scan.room.objects:
        owner[item.vertex_index] = 1 + item.object_id % 30
    return np.random.default_rng(5).integers(0, 256, (31, 3)).astype(np.uint8)[owner]


POOR = {
    "noisy depth": lambda scan: with_video(scan, depth=lambda i, d: np.where(d > 0, d + noise(i, d.shape, 0.3), 0)),
    "no depth": lambda scan: with_video(scan, no_depth=True),
    "half of the depth unknown": lambda scan: with_video(scan, depth=lambda i, d: d * (noise(i, d.shape, 1) > 0)),
    "changing light": lambda scan: with_video(scan, frame=other_light),
    "grain": lambda scan: with_video(scan, frame=grain),
    "blur": lambda scan: with_video(scan, frame=lambda i, p: cv2.blur(p, (p.shape[1] // 6, 3))),
    "most poses lost": lambda scan: with_video(scan, pose=lambda i, pose: pose if i % 3 == 0 else None),
    "black frames": lambda scan: with_video(scan, frame=lambda i, p: 0 * p),
    "a mesh without colours": lambda scan: with_room(scan, colors=None),
    "a mesh of one colour": lambda scan: with_room(scan, colors=np.full((len(scan.room.vertices), 3), 90, np.uint8)),
    "a mesh painted by class": lambda scan: with_room(scan, colors=painted(scan)),
    "a mesh with holes": lambda scan: with_room(
        scan, faces=scan.room.faces[np.random.default_rng(0).random(len(scan.room.faces)) < 0.6]
    ),
    "no objects": lambda scan: with_room(scan, objects=[]),
}


@pytest.mark.parametrize(("scan", "kind"), cases(POOR, 2), indirect=["scan"])
def test_a_poor_scan_is_not_dropped(scan, kind):
    row = {"agreement": measure(POOR[kind](scan)).row()}
    assert judge(row, "drop").fate != "dropped", judge(row, "drop").text


def test_a_camera_that_stands_still_is_not_dropped(scan):
    still = with_video(scan, index=lambda i: 0, pose=lambda i, pose: scan.camera(0)[1], no_depth=True)
    row = measure(still).row()
    assert row["colour_misfit"] is None and row["colour"] is None and row["path"] is None
    assert judge({"agreement": row}, "drop").fate != "dropped"


@pytest.mark.parametrize("factor", [0.001, 0.5, 4])
def test_depth_in_another_unit_drops_a_scan(scan, factor):
    row = measure(with_video(scan, depth=lambda i, d: factor * d)).row()
    assert row["depth_scale"] == pytest.approx(factor, rel=0.02)
    assert "depth_scale" in dropped_by({"agreement": row})


@pytest.mark.parametrize("scan", ["scannetpp", "arkitscenes"], indirect=True)
@pytest.mark.parametrize("seconds", [-1.0, -0.5, 0.5, 1.0])
def test_a_video_ahead_or_late_is_measured_and_never_good(scan, seconds):
    """The depth keeps step with the poses: colours alone tell."""
    last, moved = scan.source.n_frames - 1, round(seconds * scan.source.fps)
    row = measure(with_video(scan, index=lambda i: min(max(i + moved, 0), last))).row()
    assert row["offset_s"] == seconds and row["depth_misfit"] == 0
    fate = judge({"agreement": row}, "drop").fate
    assert fate == "dropped" or (fate == "flagged" and abs(seconds) < 1)


def test_world_with_y_up_throughout_is_dropped_by_gravity(scan):
    turn = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    turned = with_room(scan, vertices=scan.room.vertices @ turn[:3, :3].T)
    row = measure(with_video(turned, pose=lambda i, pose: turn @ pose)).row()
    assert row["colour_misfit"] == 0 and {"gravity", "height_m"} & dropped_by({"agreement": row})


def test_without_colours_depth_tells(scan):
    bare = with_room(scan, colors=None)
    row = measure(with_video(bare, pose=lambda i, pose: np.linalg.inv(pose))).row()
    assert row["colour_misfit"] is None and judge({"agreement": row}, "drop").fate == "dropped"


def test_figures_do_not_depend_on_what_was_decoded_before(scan):
    fresh = measure(dataclasses.replace(scan, _small={})).row()
    for index in range(scan.source.n_frames):
        scan.frame(index)
    assert measure(scan).row() == fresh


def boxed(points, lengths):
    """An object whose box has its centre at the origin, in a room of these points."""
    box = OrientedBox(np.zeros(3), np.array(lengths, float), np.eye(3))
    index = np.arange(len(points))
    item = Annotated(1, "thing", "thing", True, lambda: box, *box.aabb(), len(points), index)
    return item, Room(np.array(points, float), np.empty((0, 3), np.int32), None, [item])


def test_a_box_is_filled_along_each_side_but_thin_ones():
    corners = [[x, y, 0.0] for x in (-1, 1) for y in (-0.6, 0.6)]
    for lengths, filled in (((2, 2, 0), True), ((2, 2, 0.09), True), ((2, 2, 1), False), ((2, 3, 0), False)):
        item, room = boxed(corners, lengths)
        assert box_tests(room, "scannet", "filled")(item) is filled, lengths
    item, room = boxed([[5, 5, 5]], (1, 1, 1))
    assert box_tests(room, "scannet", "filled")(item) is False


def test_frames_and_depth_that_cannot_be_read_are_left_out(scan):
    def every_third(index, picture):
        if index % 3 == 0:
            raise ScanError("video", "damaged")
        return picture

    row = measure(with_video(scan, frame=every_third, depth=every_third)).row()
    assert row["colour_misfit"] == 0 and row["depth_misfit"] == 0
    portrait = with_video(scan, frame=lambda i, p: np.rot90(p) if i % 3 == 0 else p)
    assert measure(portrait).row()["colour_misfit"] == 0


def test_few_frames_are_not_ranked():
    assert np.isnan(agreement.worse_half(np.zeros(agreement.FEWEST - 1)))
    assert agreement.worse_half(np.array([0, 0, 0, np.nan, 0.2, 0.4, 0.6])) == pytest.approx(0.4)
