"""The physical space of a scan."""

import pytest

from rollout3d.scenes.datasets import space_of
from rollout3d.scenes.datasets.arkitscenes import visit_of


@pytest.mark.parametrize(
    ("dataset", "scene_id", "space"),
    [
        ("scannet", "scene0207_02", "scene0207"),
        ("scannet", "scene0207", "scene0207"),
        ("scannet", "my_room_1", "my_room"),
        ("scannet", "my_house_1", "my_house"),
        ("scannetpp", "09c1414f1b", "09c1414f1b"),
        ("scannetpp", "09c1414f1b_1", "09c1414f1b_1"),
        ("arkitscenes", "41069025", "41069025"),
    ],
)
def test_the_space_follows_from_the_name(dataset, scene_id, space):
    assert space_of(dataset, scene_id) == space


@pytest.mark.parametrize("cell", ["420673", " 420673 ", "420673.0", "420673.00"])
def test_a_visit_is_one_space_however_a_table_spells_it(cell):
    assert space_of("arkitscenes", "41069025", cell) == "420673"


@pytest.mark.parametrize("cell", ["", " ", "NA", "nan", "N/A", "None", "null", "-", None])
def test_a_video_without_a_visit_is_a_space_of_its_own(cell):
    assert visit_of(cell) is None and space_of("arkitscenes", "41069025", cell) == "41069025"


def test_only_arkitscenes_has_visits():
    assert space_of("scannet", "scene0207_02", "420673") == "scene0207"
    assert space_of("scannetpp", "09c1414f1b", "420673") == "09c1414f1b"


def test_a_scan_of_an_unknown_dataset_is_a_space_of_its_own():
    assert space_of("matterport", "scene0207_02") == "scene0207_02"
