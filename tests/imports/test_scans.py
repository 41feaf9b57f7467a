"""The scan of a record, from fields and from paths of every form."""

import pytest

from rollout3d.imports.records import Unusable
from rollout3d.imports.scans import scan_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("scannet/scene0000_00.mp4", ("scannet", "scene0000_00")),
        ("./data/scannet/videos/scene0000_00/frame_00012.jpg", ("scannet", "scene0000_00")),
        ("/mnt/data/ScanNet/video/scene0025_01.mp4", ("scannet", "scene0025_01")),
        ("C:\\data\\ScanNet\\scene0025_01.mp4", ("scannet", "scene0025_01")),
        ("D:\\scans\\scene0025_01\\color\\12.jpg", ("scannet", "scene0025_01")),
        ("videos/scene0025_01_vh_clean.mp4", ("scannet", "scene0025_01")),
        ("videos/Scene0025_01.MP4", ("scannet", "scene0025_01")),
        ("https://host.org/a%20b/scene0025_01.mp4?download=true#t=3", ("scannet", "scene0025_01")),
        ("file:///x/scene0025_01.mp4", ("scannet", "scene0025_01")),
        ("scannetpp/videos/train/09c1414f1b.mp4", ("scannetpp", "09c1414f1b")),
        ("ScanNet++/data/09c1414f1b/iphone/rgb.mkv", ("scannetpp", "09c1414f1b")),
        ("scannetppv2/0123456789.mp4", ("scannetpp", "0123456789")),
        ("scannetpp_v2/09c1414f1b/dslr/DSC00012.JPG", ("scannetpp", "09c1414f1b")),
        ("videos/09c1414f1b.mp4", ("scannetpp", "09c1414f1b")),
        ("arkitscenes/41069025.mp4", ("arkitscenes", "41069025")),
        ("ARKitScenes\\Training\\41069025\\41069025_frames\\41069025_3079.372.png", ("arkitscenes", "41069025")),
        ("videos/47115543.mp4", ("arkitscenes", "47115543")),
        ("ARKitScenes_scannet_like/train/scene45261725_00/frame_processed/277.jpg", ("arkitscenes", "45261725")),
        ("/mnt/x/scannetpp/train/scene410c470782_00/frame_processed/1004.jpg", ("scannetpp", "410c470782")),
        ("/home/me/scannet_project/arkitscenes/41069025.mp4", None),
    ],
)
def test_paths_of_every_form(path, expected):
    if expected is None:  # two datasets named: the form decides
        expected = ("arkitscenes", "41069025")
    assert scan_of({"video": path}) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"dataset": "arkitscenes", "scene_name": 41069025}, ("arkitscenes", "41069025")),
        ({"dataset": "ScanNet++", "scene_name": "09c1414f1b"}, ("scannetpp", "09c1414f1b")),
        ({"data_source": "scannetpp", "video": "videos/room7.mp4"}, ("scannetpp", "room7")),
        ({"data_source": "SR_dataset", "path": "./x/scene0001_00.mp4"}, ("scannet", "scene0001_00")),
        ({"images": ["scannet/scene0001_00/1.jpg", "scannet/scene0001_00/2.jpg"]}, ("scannet", "scene0001_00")),
        ({"scene_name": "scene0001_00", "video": "scannet/videos/scene0001_00.mp4"}, ("scannet", "scene0001_00")),
        ({"video_id": "scene0001_00"}, ("scannet", "scene0001_00")),
    ],
)
def test_fields_of_every_shape(record, expected):
    assert scan_of(record) == expected


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({}, "unknown scan: no scene_name, video or path"),
        ({"video": "videos/clip.mp4"}, "unknown scan: clip: of which dataset"),
        ({"video": "scannet/41069025.mp4"}, "unknown scan: 41069025: of which dataset"),
        ({"video": "videos/1234567890.mp4"}, "unknown scan: 1234567890: of which dataset"),
        ({"video": "videos/20250131.mp4"}, "unknown scan: 20250131: of which dataset"),
        ({"data_source": "scannetpp", "video": "videos/two words.mp4"}, "unknown scan"),
        ({"scene_name": "scene0001_00", "video": "scannet/scene0002_00.mp4"}, "ambiguous scan: .*0001.*0002"),
        ({"images": ["scene0001_00/1.jpg", "scene0002_00/1.jpg"]}, "ambiguous scan"),
    ],
)
def test_no_scan_or_two_are_refused(record, reason):
    with pytest.raises(Unusable, match=reason):
        scan_of(record)
