"""The viewer's page in a real browser: what is drawn, what a click does, and whether it stands right side up."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from report import browser
from report.view_rows import HEIGHT, OBJECTS, WIDTH, K, mask_of, pose_of, shown, write
from rollout3d.geometry.camera import project
from rollout3d.geometry.masks import rle_encode
from rollout3d.report.view import _base64, render

pytestmark = pytest.mark.skipif(not browser.EXECUTABLE, reason="chromium is not installed: apt-get install chromium")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    shard = write(folder / "tables")
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


def test_maps_lie_where_the_room_is(opened):
    opened.click_on("[data-view=top]")
    for layer in ("points", "obb", "labels", "cameras", "path", "walkable"):
        opened.click_on(f"[data-layer={layer}]")
    opened.wait("document.body.dataset.labels === '0' && document.body.dataset.drawn === 'top'")
    metre = float(opened.js("parseFloat(document.getElementById('scale').style.width)"))
    left, top, width, height = opened.js(
        "(b => [b.left, b.top, b.width, b.height])(document.getElementById('canvas').getBoundingClientRect())"
    )
    picture = cv2.imdecode(np.frombuffer(opened.picture(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(int)

    def at(x, y):
        """Colour at a place of the room, whose middle (2, 2) is the window's."""
        return picture[round(top + height / 2 - (y - 2) * metre), round(left + width / 2 + (x - 2) * metre)]

    assert at(0.2, 3.8).tolist() == at(1.9, 2.1).tolist() == [255, 0, 0]
    assert at(2.1, 2.1).tolist() == at(3.8, 3.8).tolist() == at(0.2, 1.1).tolist() == [120, 120, 120]
    for x in (0.2, 3.8):
        assert at(x, 0.2)[1] == at(x, 0.9)[1] > 140, "walkable: green over grey"
    assert at(4.2, 2).tolist() == at(2, -0.2).tolist() == [0x12, 0x16, 0x1B]
    assert opened.errors == []


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


def test_run_lengths_are_read_as_they_were_written(opened):
    rng = np.random.default_rng(3)
    given = [rng.random((7, 11)) < share for share in (0, 0.1, 0.5, 0.9, 1)]
    texts = json.dumps([_base64(rle_encode(mask)) for mask in given])
    script = f"import('state.js').then(s => {texts}.map(t => Array.from(s.decodeMask(t, 77))))"
    for mask, read in zip(given, opened.js(script)):
        assert np.array_equal(np.array(read, bool).reshape(7, 11), mask)


def test_address_brings_back_what_was_chosen(opened):
    opened.open("about:blank", "true")
    opened.open(f"{opened.url}#view=camera&frame=30&object=2", "document.body?.dataset.drawn === 'camera'")
    assert told(opened)["masks"] == "3" and "lamp" in opened.js("chosen.textContent")
    assert opened.errors == []


def test_without_webgl_frames_and_masks_still_work(page, tmp_path):
    with browser.Browser(tmp_path, "--disable-3d-apis") as flat:
        flat.open(page.url, "document.querySelectorAll('#film button').length === 8")
        flat.wait("document.getElementById('hint').textContent.includes('no 3D')")
        flat.click_on('[data-frame="0"]')
        flat.wait("document.body.dataset.masks === '3'")


def test_clicking_in_the_room_chooses_the_smallest_box_and_the_nearest_camera(opened):
    opened.click_on("[data-view=top]")
    opened.wait("document.body.dataset.drawn === 'top'")
    middle = opened.js(
        "[...document.querySelectorAll('.label')].filter(l => l.textContent === 'lamp')"
        ".map(l => (b => [b.left + b.width / 2, b.bottom])(l.getBoundingClientRect()))[0]"
    )
    # Just below the name, which stands at the box's middle from above: inside the lamp, and inside the floor.
    opened.click(middle[0], middle[1] + 4)
    opened.wait("location.hash.includes('object=2')")
    metre = float(opened.js("parseFloat(document.getElementById('scale').style.width)"))
    # The lamp stands at (3.4, 3.2); the camera of frame 35 at (4, 0.5).
    opened.click(middle[0] + 0.6 * metre, middle[1] + 2.7 * metre)
    opened.wait("location.hash.includes('frame=35')")
    assert opened.errors == []


@pytest.mark.parametrize(
    "absent",
    [("frames", "maps", "regions_aabb_none", "regions_instance_depth"), ("objects", "maps"), ("objects", "frames")],
)
def test_page_of_a_scan_with_missing_tables_shows_the_rest(page, tmp_path, absent):
    (tmp_path / "page.html").write_text(render(shown(write(tmp_path, **dict.fromkeys(absent)))))
    page.open((tmp_path / "page.html").as_uri(), "document.body?.dataset.drawn === 'orbit'")
    counts = told(page)
    assert counts["boxes"] == ("0" if "objects" in absent else str(len(OBJECTS)))
    assert counts["cameras"] == ("0" if "frames" in absent else "7")
    assert "missing" in page.js("notes.textContent") and page.js("notes.querySelectorAll('li').length") >= 2
    page.click_on("[data-view=camera]")
    page.click_on("#reset")
    assert page.errors == []
