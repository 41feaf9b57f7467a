"""Every oddity of ARKitScenes that the synthetic release holds, in the files' bytes and through the reader."""

from __future__ import annotations

import numpy as np
import pytest

from rollout3d.scenes import datasets
from rollout3d.scenes.datasets import arkitscenes
from rollout3d.scenes.reading import ScanError
from scenes.conftest import SEED, SYNTHETIC
from scenes.quirk_files import load
from toyworld.writers import release


@pytest.fixture
def made(releases):
    return releases["arkitscenes"]


def video_of(made, plan):
    """(folder of the annotation, folder of the frames, asset) of a video, as the reader prefers them."""
    fold = "Training" if plan.split == "train" else "Validation"
    raw, small = (made.root / layout / fold / plan.scene_id for layout in ("raw", "3dod"))
    if raw.is_dir():
        return raw, raw, "vga_wide"
    return small, small / f"{plan.scene_id}_frames", "lowres_wide"


def test_pictures_stand_upright_in_all_four_orientations_and_both_layouts(made):
    turns, layouts = set(), set()
    for plan in made.plans():
        turns.add(plan.quirks.rotation_deg)
        layouts.add(plan.quirks.layouts)
        with made.open(plan) as scan:
            assert scan.source.rotation_deg == plan.quirks.rotation_deg
            for index, (rgb, _, _) in enumerate(made.film(plan).frames()):
                if index in (0, 11):
                    assert np.array_equal(scan.frame(index), rgb)
    assert turns == {0, 90, 180, 270} and layouts == {("raw",), ("3dod",), ("raw", "3dod")}


def test_trajectory_is_more_precise_than_the_names_and_pincams_are_a_millisecond_off(made):
    for plan in made.plans():
        _, frames, asset = video_of(made, plan)
        stamps = [line.split()[0] for line in (frames / "lowres_wide.traj").read_text().splitlines()]
        names = sorted(path.stem.split("_")[1] for path in (frames / asset).glob("*.png"))
        assert all(len(stamp.split(".")[1]) == 8 for stamp in stamps)
        assert all(len(name.split(".")[1]) == 3 for name in names) and not set(names) & set(stamps)
        pincams = {path.stem.split("_")[1] for path in (frames / f"{asset}_intrinsics").glob("*.pincam")}
        assert len(set(names) - pincams) == 2
        recording = made.film(plan)
        with made.open(plan) as scan:
            for index in range(len(names)):
                K, pose = scan.camera(index)
                assert np.allclose(K, recording.K, atol=1e-6) and (pose is None) == (index in recording.lost)
        assert recording.lost and len(stamps) == len(names) - len(recording.lost)


def test_box_in_the_other_frame_is_not_the_one_that_is_read(made):
    for plan in made.plans():
        folder, _, _ = video_of(made, plan)
        rows = {row["object_id"]: row for row in made.of("objects", plan.scene_id)}
        for entry in load(folder / f"{plan.scene_id}_3dod_annotation.json")["data"]:
            right, wrong = entry["segments"]["obbAligned"], entry["segments"]["obb"]
            row = rows[entry["objectId"]]
            assert (row["centroid"], row["axes_lengths"]) == (right["centroid"], right["axesLengths"])
            assert not np.allclose(np.array(wrong["centroid"]) / 100, right["centroid"], atol=0.02)
            assert np.allclose(np.array(wrong["axesLengths"]) / 100, right["axesLengths"])
            assert row["n_points"] > 0


def test_video_that_the_annotators_skipped_is_an_expected_drop(made):
    (aside,) = (scan for scan in release.plan("arkitscenes", SYNTHETIC, SEED) if scan.aside)
    ref = next(r for r in arkitscenes.list_scans(made.root, ["train"]) if r.scene_id == aside.scene_id)
    with pytest.raises(ScanError, match="skipped") as caught:
        datasets.read_scan(arkitscenes, made.root, ref)
    assert caught.value.expected
    assert [row["scene_id"] for row in made.rows["scenes_dropped"]] == [aside.scene_id]


def test_visit_na_is_a_space_of_its_own(made):
    lines = (made.root / "raw" / "metadata.csv").read_text().splitlines()
    (alone,) = (line.split(",")[0] for line in lines if ",NA," in line)
    refs = arkitscenes.list_scans(made.root, ["train", "val"])
    assert {ref.space_id for ref in refs if ref.scene_id == alone} == {alone}
    shared = [ref.space_id for ref in refs if ref.scene_id != alone]
    assert len(shared) > len(set(shared)) and all(space.isdigit() for space in shared)


def test_sky_direction_is_sometimes_wrong_and_never_trusted(made):
    lines = [line.split(",") for line in (made.root / "raw" / "metadata.csv").read_text().splitlines()]
    told = {line[0]: line[lines[0].index("sky_direction")] for line in lines[1:]}
    turn = {"Up": 0, "Left": 90, "Down": 180, "Right": 270}
    found = {scene["scene_id"]: scene["rotation_deg"] for scene in made.rows["scenes"]}
    assert any(turn[told[scene_id]] != degrees for scene_id, degrees in found.items())
    for plan in made.plans():
        assert found[plan.scene_id] == plan.quirks.rotation_deg


def test_words_of_a_label_are_joined_in_four_ways(made):
    assert {plan.quirks.delimiter for plan in made.plans()} == {"_", " ", "/", "-"}
