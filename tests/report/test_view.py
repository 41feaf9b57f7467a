"""The viewer's page: what it holds, how large it gets, what it says is missing, and how it behaves in a browser."""

from __future__ import annotations

import hashlib
import json
import re

import cv2
import numpy as np
import pytest

from report import browser
from rollout3d import tables
from rollout3d.geometry.camera import project
from rollout3d.geometry.masks import rle_encode
from rollout3d.report.view import ASSETS, ViewError, _base64, _object, collect, locate, render, shards
from rollout3d.stages import view as stage

LINEAGE = tables.Lineage("test")
SCENE = "scene0007_00"
WIDTH, HEIGHT = 112, 84
K = [90.0, 0, 50.0, 0, 92.0, 44.0, 0, 0, 1]
LOST = 10
HOSTILE = '</script><img src=x onerror="throw 1">'


def box(number, label, category, centre, sides, turn=0.0, perturbable=True):
    axes = np.array([[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    half = np.abs(axes.T) @ np.array(sides) / 2
    return {
        "scene_id": SCENE,
        "object_id": number,
        "label": label,
        "category": category,
        "perturbable": perturbable,
        "centroid": list(centre),
        "axes_lengths": list(sides),
        "normalized_axes": axes.ravel().tolist(),
        "aabb_min": (np.array(centre) - half).tolist(),
        "aabb_max": (np.array(centre) + half).tolist(),
        "n_points": 100,
    }


OBJECTS = [
    box(1, "sofa", "sofa", (0.8, 0.8, 0.4), (1.6, 0.8, 0.8), 0.3),
    box(2, "lamp", "lamp", (3.4, 3.2, 1.5), (0.3, 0.3, 0.4)),
    box(4, "office chair", "chair", (0.8, 3.2, 0.5), (0.5, 0.5, 1.0), 0.7),
    box(9, "floor", None, (2, 2, 0), (4, 4, 0.05), perturbable=False),
    box(12, HOSTILE, None, (3.2, 0.8, 0.3), (0.4, 0.4, 0.6)),
]
SHAPES = {1: (slice(40, 80), slice(10, 60)), 2: (slice(5, 25), slice(80, 100)), 9: (slice(60, 84), slice(0, 112))}
"""Rows and columns of an object's region in every training frame."""


def mask_of(number):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[SHAPES[number]] = True
    return mask


def pose_of(i):
    """Camera at (0.5 + 0.1 i, 0.5, 1.5), looking along +y and 20 degrees down."""
    down = np.deg2rad(20)
    pose = np.eye(4)
    pose[:3, 0] = (1, 0, 0)
    pose[:3, 1] = (0, -np.sin(down), -np.cos(down))
    pose[:3, 2] = (0, np.cos(down), -np.sin(down))
    pose[:3, 3] = (0.5 + 0.1 * i, 0.5, 1.5)
    return pose.ravel().tolist()


def frame_rows():
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    return [
        {
            "scene_id": SCENE,
            "frame_index": i,
            "timestamp_s": i / 10,
            "sets": ["train16"] if i % 10 == 0 else ["eval32"],
            "image": {"bytes": jpeg, "path": f"{i}.jpg"},
            "width": WIDTH,
            "height": HEIGHT,
            "K": K,
            "pose": None if i == LOST else pose_of(i),
        }
        for i in range(0, 40, 5)
    ]


def region_rows(numbers=(1, 2, 9)):
    return [
        {
            "scene_id": SCENE,
            "frame_index": i,
            "object_id": number,
            "n_visible": int(mask_of(number).sum()),
            "box": [0, 0, 1, 1],
            "mask": rle_encode(mask_of(number)),
        }
        for i in (0, 20, 30)
        for number in numbers
    ]


def map_row():
    rng = np.random.default_rng(1)
    flat = np.c_[rng.uniform(0, 4, (900, 2)), np.zeros(900)]
    high = np.c_[rng.uniform(0, 4, (300, 2)), rng.uniform(0, 2.5, 300)]
    bev = np.zeros((432, 432, 3), np.uint8)
    bev[16:416, 16:416] = 120
    names = ("x", "y", "z", "red", "green", "blue")
    return {
        "scene_id": SCENE,
        "bev": {"bytes": cv2.imencode(".png", bev)[1].tobytes(), "path": "bev.png"},
        "m_per_px": 0.01,
        "x0": -0.155,
        "y0": 4.155,
        "floor_rect": [0.0, 0.0, 4.0, 4.0],
        "walkable": np.packbits(np.ones(64, bool)).tobytes(),
        "cell_m": 0.5,
        "grid_origin": [0.0, 0.0],
        "grid_size": [8, 8],
        "points": [dict(zip(names, (*map(float, xyz), 200, 100, 50))) for xyz in (*flat, *high)],
        "appearances": [{"category": "sofa", "first_seen_s": 0.5}],
    }


def scene_row(name=SCENE):
    return {
        "scene_id": name,
        "space_id": name[:9],
        "dataset": "scannet",
        "split": "train",
        "scene_type": "Bedroom",
        "fps": 10.0,
        "n_frames": 40,
        "width": WIDTH,
        "height": HEIGHT,
        "rotation_deg": 0,
        "to_aligned": np.eye(4).ravel().tolist(),
        "room_size_m2": 16.0,
        "room_center": None,
        "object_counts": [{"category": "sofa", "n": 1}],
        "flags": [],
    }


def write(folder, **changes):
    """A shard's tables; a name given as None is left out."""
    content = {
        "scenes": (tables.SCENES, [scene_row(name) for name in (SCENE, "scene0007_01", "scene0140_00")]),
        "objects": (tables.OBJECTS, OBJECTS),
        "frames": (tables.FRAMES, frame_rows()),
        "maps": (tables.MAPS, [map_row()]),
        "regions.aabb_none": (tables.REGIONS, region_rows()),
        "regions.instance_depth": (tables.REGIONS, region_rows((1,))),
    }
    for name, (table, rows) in content.items():
        rows = changes.get(name.replace(".", "_"), rows)
        if rows is not None:
            tables.write(table, folder / f"{name}.parquet", rows, LINEAGE)
    return folder


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    return write(tmp_path_factory.mktemp("results") / "scenes" / "scannet" / "0")


def shown(folder, **options):
    return collect(locate(SCENE, [folder]), **options)


def test_unknown_scene_is_answered_with_ids_like_it(shard):
    with pytest.raises(ViewError, match=r"no scene 'scene0007' among 3: did you mean scene0007_00, scene0007_01\?"):
        locate("scene0007", shards(shard.parents[2]))
    with pytest.raises(ViewError, match=r"did you mean scene0140_00"):
        locate("scene0104_00", [shard])
    with pytest.raises(ViewError, match=r"there are scene0007_00, scene0007_01, scene0140_00$"):
        locate("47331000", [shard])
    with pytest.raises(ViewError, match=r"lies in several folders.*--tables"):
        locate(SCENE, [shard, shard])


def test_directory_without_scene_tables_is_named(tmp_path):
    with pytest.raises(ViewError, match=r"nowhere: no scene tables.*--results.*--tables"):
        shards(tmp_path / "nowhere")


def test_everything_of_the_tables_is_in_the_page(shard):
    view = shown(shard)
    assert view.notes == []
    assert [one["id"] for one in view.objects] == [1, 2, 4, 9, 12]
    assert view.objects[0]["first_seen_s"] == 0.5 and view.objects[1]["first_seen_s"] is None
    # A 45 degree corner by hand: half the diagonal of 0.5 x 0.5 beside the centre.
    turned = box(5, "x", None, (1, 2, 3), (0.5, 0.5, 1), np.pi / 4)
    view_of = np.array(_object(turned, [])["obb"])
    assert view_of[:, 0].max() == pytest.approx(1 + np.sqrt(0.125), abs=1e-4)
    assert np.allclose(sorted(set(view_of[:, 2])), (2.5, 3.5))
    assert [frame["pose"] is None for frame in view.frames] == [False, False, True, *[False] * 5]
    assert {mode: sorted(masks) for mode, masks in view.regions.items()} == {
        "aabb_none": ["0", "20", "30"],
        "instance_depth": ["0", "20", "30"],
    }
    assert [mask[:2] for mask in view.regions["aabb_none"]["0"]] == [[9, 24 * 112], [1, 2000], [2, 400]]
    assert view.floor == pytest.approx(0) and view.bounds[0][:2] == [0, 0] and view.bounds[1][:2] == [4, 4]


def test_same_tables_give_the_same_page(shard):
    assert render(shown(shard)) == render(shown(shard))


@pytest.mark.parametrize(
    "absent, says",
    [
        ("regions", "no regions table"),
        ("frames", "no frames table"),
        ("maps", "no maps table"),
        ("objects", "no objects table"),
    ],
)
def test_missing_table_is_said_and_the_rest_is_shown(tmp_path, absent, says):
    names = ("regions_aabb_none", "regions_instance_depth") if absent == "regions" else (absent,)
    view = shown(write(tmp_path, **dict.fromkeys(names)))
    assert any(says in note for note in view.notes), view.notes
    there = {"objects": view.objects, "frames": view.frames, "maps": view.points, "regions": view.regions}
    assert not there.pop(absent)
    others = [value for name, value in there.items() if name != "regions"]
    assert all(others) and SCENE in render(view)


def test_masks_that_fit_nothing_are_counted_and_left_out(tmp_path):
    rows = region_rows()
    rows[0] = rows[0] | {"mask": rle_encode(np.ones((3, 3), bool))}
    rows[1] = rows[1] | {"object_id": 77}
    rows[2] = rows[2] | {"frame_index": 3}
    rows[3] = rows[3] | {"mask": b"abc"}
    view = shown(write(tmp_path, regions_aabb_none=rows))
    assert view.notes == ["regions.aabb_none.parquet: 4 masks fit no frame or object of this scan and are left out."]
    assert sum(map(len, view.regions["aabb_none"].values())) == len(rows) - 4


def test_box_that_is_none_is_shown_by_its_aabb(tmp_path):
    bad = OBJECTS[0] | {"normalized_axes": [float("nan")] * 9}
    view = shown(write(tmp_path, objects=[bad, *OBJECTS[1:]]))
    assert len(view.objects) == len(OBJECTS) and view.objects[0]["obb"] == view.objects[0]["aabb"]
    assert "Its axis-aligned box stands in" in view.notes[0]


def test_page_keeps_its_limit_and_frames_with_regions_go_first(shard):
    whole = shown(shard)
    size = len(render(whole).encode())
    picture = len(whole.frames[0]["jpeg"])
    small = shown(shard, max_mb=(size - 3.5 * picture) / 1e6)
    kept = [frame["index"] for frame in small.frames if frame["jpeg"]]
    assert kept == [0, 20, 30] and sorted(small.regions["aabb_none"]) == ["0", "20", "30"]
    assert len(render(small).encode()) <= size - 3.5 * picture
    assert len(small.frames) == len(whole.frames) and "3 of 8 frames" in small.notes[0]
    tiny = shown(shard, max_mb=(size - 6.5 * picture) / 1e6)
    assert 1 <= sum(frame["jpeg"] is not None for frame in tiny.frames) <= 2
    with pytest.raises(ViewError, match=r"without any frame: --max-mb must be more"):
        shown(shard, max_mb=0.5)


def test_library_is_the_published_one_and_its_licence_is_there():
    folder = ASSETS / "three"
    listed = dict(re.findall(r"^\| ([\w.]+) \|.*\| (\w{64}) \|$", (folder / "README.md").read_text(), re.M))
    assert set(listed) == {path.name for path in folder.glob("*.js")}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest, name
    assert "MIT License" in (folder / "LICENSE").read_text()


def test_stage_writes_the_page_and_says_what_was_wrong(shard, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stage.main([SCENE, "--results", str(shard.parents[2])])
    assert "5 objects, 8 frames" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [f"{SCENE}.html"]
    stage.main([SCENE, "--tables", str(shard), "--out", "deep/page.html"])
    assert (tmp_path / "deep/page.html").read_bytes() == (tmp_path / f"{SCENE}.html").read_bytes()
    with pytest.raises(SystemExit):
        stage.main(["scene0007_02", "--tables", str(shard)])
    assert "did you mean scene0007_01" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        stage.main([SCENE, "--tables", str(tmp_path)])
    assert "scenes.parquet: no such file" in capsys.readouterr().err


# --- in a browser ----------------------------------------------------------------------------------------------------

needs_chromium = pytest.mark.skipif(
    not browser.EXECUTABLE, reason="chromium is not installed: apt-get install chromium"
)


@pytest.fixture(scope="module")
def page(shard, tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    (folder / "page.html").write_text(render(shown(shard)))
    with browser.Browser(folder / "user", size=(1200, 760)) as opened:
        opened.url = (folder / "page.html").as_uri()
        yield opened


@pytest.fixture
def opened(page):
    page.open("about:blank", "true")
    page.open(page.url, "document.body?.dataset.drawn === 'orbit' && document.body.dataset.map === '432x432'")
    return page


def told(page):
    return page.js("({...document.body.dataset})")


@needs_chromium
def test_page_opens_without_errors_or_network_and_draws_every_object(opened):
    counts = told(opened)
    assert counts["boxes"] == str(len(OBJECTS)) and counts["points"] == "1200"
    assert counts["cameras"] == "7" and counts["gaps"] == "1"
    assert opened.js("document.querySelectorAll('#film .lost').length") == 1
    pixels = cv2.imdecode(np.frombuffer(opened.picture(), np.uint8), cv2.IMREAD_COLOR)[60:640, 20:850]
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 200
    assert opened.js("[...document.querySelectorAll('.member')].some(m => m.textContent.startsWith('</script>'))")
    opened.click_on("#objects input")
    opened.wait(f"document.body.dataset.boxes === '{len(OBJECTS) - 1}'")
    assert opened.errors == []


@needs_chromium
def test_clicking_a_frame_shows_its_masks_and_pointing_at_one_chooses_its_object(opened):
    assert told(opened)["masks"] == "0"
    opened.click_on('[data-frame="4"]')
    opened.wait("document.body.dataset.masks === '3' && jpeg.complete")
    assert "Frame 20" in opened.js("document.getElementById('frame-title').textContent")
    alpha = opened.js(
        "Array.from(masks.getContext('2d').getImageData(0, 0, masks.width, masks.height).data)"
        ".filter((_, i) => i % 4 == 3)"
    )
    covered = mask_of(1) | mask_of(2) | mask_of(9)
    assert np.array_equal(np.array(alpha).reshape(HEIGHT, WIDTH) > 0, covered)
    # Row 70, column 30 lies in the sofa and in the floor; the sofa is smaller.
    left, top, width, height = opened.js("(b => [b.left, b.top, b.width, b.height])(masks.getBoundingClientRect())")
    opened.click(left + width * 30.5 / WIDTH, top + height * 70.5 / HEIGHT)
    opened.wait("location.hash.includes('object=1')")
    assert "sofa" in opened.js("chosen.textContent") and "in 3 frames" in opened.js("chosen.textContent")
    opened.js("mode.selectedIndex = 1; mode.dispatchEvent(new Event('change'))")
    opened.wait("document.body.dataset.masks === '1'")
    opened.click_on('[data-frame="2"]')
    opened.wait("document.getElementById('frame-note').textContent.includes('tracking was lost')")
    assert opened.errors == []


@needs_chromium
def test_views_are_right_side_up(opened):
    def places():
        return opened.js(
            "Object.fromEntries([...document.querySelectorAll('.label')].filter(l => l.style.visibility === 'visible')"
            ".map(l => [l.textContent, (b => [b.left + b.width / 2, b.bottom])(l.getBoundingClientRect())]))"
        )

    orbit = places()
    assert orbit["lamp"][1] < orbit["sofa"][1], "what is high is high"
    opened.click_on("[data-view=top]")
    opened.wait("document.body.dataset.drawn === 'top'")
    top = places()
    # Sofa (0.8, 0.8), chair (0.8, 3.2), lamp (3.4, 3.2): +x right, +y up.
    assert top["chair"][1] < top["sofa"][1] - 50 and abs(top["chair"][0] - top["sofa"][0]) < 3
    assert top["lamp"][0] > top["chair"][0] + 50 and abs(top["lamp"][1] - top["chair"][1]) < 3
    metre = float(opened.js("parseFloat(document.getElementById('scale').style.width)"))
    assert top["lamp"][0] - top["chair"][0] == pytest.approx(2.6 * metre, abs=2)
    assert opened.errors == []


@needs_chromium
def test_looking_through_a_camera_puts_points_on_the_pixels_that_project_gives(opened):
    points = np.random.default_rng(2).uniform((0, 2, 0), (4, 4, 2.5), (20, 3))
    frame = {"width": WIDTH, "height": HEIGHT, "K": K, "pose": pose_of(20)}
    script = """(async () => {
      const { pixelProjection, placeInside } = await import("pinhole.js");
      const { PerspectiveCamera, Vector2, Vector3 } = await import("three");
      const [frame, points] = ARGUMENTS;
      return [new Vector2(900, 500), new Vector2(300, 700)].map((size) => {
        const camera = new PerspectiveCamera();
        camera.matrixAutoUpdate = false;
        pixelProjection(camera, frame, size);
        const place = placeInside(frame, size);
        return points.map((xyz) => {
          const at = new Vector3(...xyz).project(camera);
          const x = ((at.x + 1) / 2) * size.x, y = ((1 - at.y) / 2) * size.y;
          return [(x - place.left) / place.scale - 0.5, (y - place.top) / place.scale - 0.5];
        });
      });
    })()""".replace("ARGUMENTS", json.dumps([frame, points.tolist()]))
    expected, depth = project(np.reshape(K, (3, 3)), np.reshape(frame["pose"], (4, 4)), points)
    assert (depth > 0).all()
    for window in opened.js(script):
        assert np.allclose(window, expected, atol=1e-3)


@needs_chromium
def test_run_lengths_are_read_as_they_were_written(opened):
    rng = np.random.default_rng(3)
    given = [rng.random((7, 11)) < share for share in (0, 0.1, 0.5, 0.9, 1)]
    texts = json.dumps([_base64(rle_encode(mask)) for mask in given])
    script = f"import('state.js').then(s => {texts}.map(t => Array.from(s.decodeMask(t, 77))))"
    for mask, read in zip(given, opened.js(script)):
        assert np.array_equal(np.array(read, bool).reshape(7, 11), mask)


@needs_chromium
def test_address_brings_back_what_was_chosen(opened):
    opened.open("about:blank", "true")
    opened.open(f"{opened.url}#view=camera&frame=30&object=2", "document.body?.dataset.drawn === 'camera'")
    assert told(opened)["masks"] == "3" and "lamp" in opened.js("chosen.textContent")
    assert opened.errors == []


@needs_chromium
def test_without_webgl_frames_and_masks_still_work(page, tmp_path):
    with browser.Browser(tmp_path, "--disable-3d-apis") as flat:
        flat.open(page.url, "document.querySelectorAll('#film button').length === 8")
        flat.wait("document.getElementById('hint').textContent.includes('no 3D')")
        flat.click_on('[data-frame="0"]')
        flat.wait("document.body.dataset.masks === '3'")
