"""First frames by ScanNet's archives of label pictures: read where a study's rules ask for them, and where they are."""

import dataclasses
import struct
import zipfile
import zlib

import pyarrow as pa
import pytest

from rollout3d import tables
from rollout3d.questions import variants
from rollout3d.releases import MissingData
from rollout3d.scenes.datasets import _scannet_projected as projected
from rollout3d.scenes.datasets import scannet
from rollout3d.scenes.datasets._scannet_labels import label_ids
from rollout3d.scenes.ingest import ingest_scan
from rollout3d.scenes.reading import ScanError
from rollout3d.scenes.release import ScanRef
from scenes import mini
from scenes.conftest import settings

SCENE = "scene0007_00"
REF = ScanRef(SCENE, "scene0007", "train")
SIZE = (64, 48)
COUCH, CHAIR, PILLOW, MATTRESS = 6, 2, 13, 27


# --- a writer that knows the release's description alone, and no code of the reader -----------------------------------


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def label_png(boxes, size=SIZE, bits=16):
    """A grey PNG of 16 or 8 bits: `boxes` are (id, left, top, right, bottom), of which later ones lie on top."""
    width, height = size
    values = [[0] * width for _ in range(height)]
    for identity, left, top, right, bottom in boxes:
        for y in range(top, bottom):
            values[y][left:right] = [identity] * (right - left)
    form = ">H" if bits == 16 else ">B"
    lines = b"".join(b"\0" + b"".join(struct.pack(form, value) for value in line) for line in values)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def write_archive(path, frames, folder="label-filt", **form):
    """`frames`: number of a frame -> the boxes of its picture, in the order in which they are stored."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, boxes in frames.items():
            archive.writestr(f"{folder}/{number}.png", label_png(boxes, **form))
    return path


def table(path, rows):
    path.write_text("\n".join(["id\traw_category\tcategory\tnyu40id", *("\t".join(map(str, row)) for row in rows)]))
    return path


NAMES = [(COUCH, "couch", "couch", 6), (CHAIR, "chair", "chair", 5), (CHAIR, "stack of chairs", "chair", 5)]
NAMES += [(PILLOW, "pillow", "pillow", 18), (MATTRESS, "mattress", "mattress", 4), (40000, "rare", "rare", 40)]


def dot(identity):
    return (identity, 63, 47, 64, 48)


def first(tmp_path, frames, labels, numbers=None, n_frames=12, **form):
    path = write_archive(tmp_path / "a.zip", frames, **form)
    names = table(tmp_path / "labels.tsv", NAMES)
    numbers = range(n_frames) if numbers is None else numbers
    return projected.first_frames(path, SIZE, n_frames, numbers, names, labels)


# --- the archive ------------------------------------------------------------------------------------------------------


def test_the_first_frame_is_by_number_and_not_by_name_or_place_in_the_archive(tmp_path):
    """As text 10.png comes before 9.png, and it is stored first here."""
    frames = {10: [dot(COUCH)], 11: [dot(PILLOW)], 9: [dot(COUCH)], 2: [], 0: [], 1: [dot(PILLOW)]}
    found = first(tmp_path, frames, {"couch", "pillow"})
    assert found.index == {"couch": 9, "pillow": 1} and found.n_lacking == 6


def test_one_pixel_counts_and_values_have_16_bits(tmp_path):
    """40000 mod 256 is 64; 518 mod 256 is the couch's 6."""
    frames = {0: [(518, 0, 0, 9, 9)], 1: [dot(40000)], 2: [dot(COUCH)], **{k: [] for k in range(3, 12)}}
    assert first(tmp_path, frames, {"couch", "rare"}).index == {"couch": 2, "rare": 1}


def test_what_is_covered_in_the_picture_has_not_appeared(tmp_path):
    frames = {
        0: [(COUCH, 4, 4, 8, 8), (PILLOW, 0, 0, 20, 20)],
        1: [(COUCH, 4, 4, 8, 8)],
        **{k: [] for k in range(2, 12)},
    }
    assert first(tmp_path, frames, {"couch", "pillow"}).index == {"couch": 1, "pillow": 0}


def test_labels_of_one_id_share_pictures_and_others_have_no_first_frame(tmp_path):
    frames = {3: [dot(CHAIR)], 5: [dot(0)]}
    found = first(tmp_path, frames, {"chair", "Stack  of chairs", "mattress", "unknown"})
    assert found.index == {"chair": 3, "Stack  of chairs": 3}


def test_frames_are_those_of_an_export_with_every_third_picture(tmp_path):
    frames = {k: [dot(COUCH)] if k in (4, 9) else [] for k in range(12)}
    assert first(tmp_path, frames, {"couch"}, numbers=[0, 3, 6, 9]).index == {"couch": 3}


def test_reading_ends_with_the_last_label_and_not_with_the_archive(tmp_path, monkeypatch):
    read = []
    picture = projected.LabelPictures.picture
    monkeypatch.setattr(projected.LabelPictures, "picture", lambda self, k: read.append(k) or picture(self, k))
    frames = {k: [dot(COUCH)] * (k == 1) + [(PILLOW, 0, 0, 2, 2)] * (k >= 3) for k in range(12)}
    assert first(tmp_path, frames, {"couch", "pillow"}).index == {"couch": 1, "pillow": 3}
    assert read == [0, *range(4)], "the first is read when the archive is opened"
    read.clear()
    assert first(tmp_path, frames, {"unknown"}).index == {} and read == [0]


def test_without_an_archive_or_a_table_of_ids_there_are_no_first_frames(tmp_path):
    names = table(tmp_path / "labels.tsv", NAMES)
    ask = (SIZE, 2, range(2))
    assert projected.first_frames(tmp_path / "a.zip", *ask, names, {"couch"}) is None
    path = write_archive(tmp_path / "a.zip", {0: [dot(COUCH)]})
    assert projected.first_frames(path, *ask, None, {"couch"}) is None
    assert projected.first_frames(path, *ask, names, {"couch"}).index == {"couch": 0}
    older = tmp_path / "version1.tsv"
    older.write_text("category\tnyu40id\ncouch\t6\n")
    assert projected.first_frames(path, *ask, older, {"couch"}) is None


@pytest.mark.parametrize("identity", ["", "six", "0", "70000", "-1"])
def test_an_id_that_no_picture_can_have_is_an_error_of_the_table(tmp_path, identity):
    with pytest.raises(MissingData, match=r"labels\.tsv: id .* download the table again"):
        label_ids(table(tmp_path / "labels.tsv", [(identity, "couch", "couch", 6)]))


BAD = {
    "truncated": (lambda data: data[:-30], "no readable zip"),
    "scrambled": (lambda data: data[:60] + bytes(8) + data[68:], "cannot be read"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_damaged_archive_is_named_with_the_remedy(tmp_path, fault):
    damage, says = BAD[fault]
    path = write_archive(tmp_path / "a.zip", {0: [dot(COUCH)]})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ScanError, match=rf"a\.zip: .*{says}.*remove it, or download it again"):
        projected.first_frames(path, SIZE, 1, range(1), table(tmp_path / "labels.tsv", NAMES), {"couch"})


@pytest.mark.parametrize(
    ("frames", "form", "says"),
    [
        ({0: []}, {"size": (32, 24)}, "32x24, expected 64x48"),
        ({0: []}, {"bits": 8}, "one channel of 16 bits"),
        ({0: [], 12: []}, {}, "frame 12, the video has 12"),
        ({0: []}, {"folder": "instance-filt"}, "holds no label-filt"),
    ],
    ids=["wrong size", "8 bits", "longer video", "other names"],
)
def test_an_archive_of_something_else_is_named_with_the_remedy(tmp_path, frames, form, says):
    with pytest.raises(ScanError, match=rf"a\.zip: .*{says}.*remove it, or download it again"):
        first(tmp_path, frames, {"couch"}, **form)


def test_first_frames_of_a_synthetic_release_are_those_that_its_renderer_drew(releases):
    made = releases["scannet"]
    (path,) = made.root.glob("scans/*/*_2d-label-filt.zip")
    recording = next(r for scene, r in made.recordings() if scene["scene_id"] == path.parent.name)
    shown = [set(things.ravel().tolist()) for _, _, things in recording.frames()]
    of_thing = {v: int(k) for k, v in made.truth(path.parent.name)["release"]["object_ids"].items()}
    names = made.root / "scannetv2-labels.combined.tsv"
    columns, *lines = [line.split("\t") for line in names.read_text().splitlines()]
    ids = {line[columns.index("raw_category")]: line[columns.index("id")] for line in lines}
    expected: dict[str, int] = {}
    for row in (row for row in made.rows["objects"] if row["scene_id"] == path.parent.name and row["label"] in ids):
        frames = [k for k, things in enumerate(shown) if of_thing.get(row["object_id"]) in things]
        if frames:
            identity = ids[row["label"]]
            expected[identity] = min(frames[0], expected.get(identity, frames[0]))
    size = recording.width, recording.height
    found = projected.first_frames(path, size, len(shown), range(len(shown)), names, set(ids))
    assert len(set(expected.values())) > 2
    assert {identity: found.index[label] for label, identity in ids.items() if identity in expected} == expected


# --- a scan -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    mini.write_tsv(tmp_path / "scannetv2-labels.combined.tsv")
    (tmp_path / "scannetv2_train.txt").write_text(f"{SCENE}\n")
    mini.write_scannet(tmp_path / "scans" / SCENE, SCENE)
    return tmp_path


def archive_of(root, frames):
    return write_archive(root / "scans" / SCENE / f"{SCENE}_2d-label-filt.zip", frames)


def ingested(root, rules):
    return ingest_scan(scannet, root, REF, settings(questions={"rules": rules}))


def of_labels(found):
    return {row["label"]: row["first_labelled_frame"] for row in found["objects"]}


@pytest.mark.parametrize("rules", ["spatial_r1", "spacer"])
def test_ingest_reads_the_archive_for_the_rules_that_order_by_first_frames(root, rules):
    archive_of(root, {0: [], 1: [], 2: [dot(COUCH), (3, 0, 0, 9, 9)]})
    found = ingested(root, rules)
    # The floor is no thing that a question names; the raw label trashcan is not in the label table.
    assert of_labels(found) == {"couch": 2, "floor": None, "trashcan": None}
    assert not any(flag.startswith("frames_without_labels") for flag in found["scenes"][0]["flags"])


def test_frames_without_a_picture_are_flagged(root):
    archive_of(root, {2: [dot(COUCH)]})
    assert "frames_without_labels:2" in ingested(root, "spatial_r1")["scenes"][0]["flags"]


def test_ocrs_rules_never_open_the_archive(root):
    (root / "scans" / SCENE / f"{SCENE}_2d-label-filt.zip").write_bytes(b"PK")
    assert set(of_labels(ingested(root, "ocr")).values()) == {None}
    with pytest.raises(ScanError, match=r"2d-label-filt\.zip: no readable zip.*remove it, or download it again"):
        ingested(root, "spatial_r1")


def test_without_an_archive_nothing_is_known(root):
    assert set(of_labels(ingested(root, "spatial_r1")).values()) == {None}


def test_a_file_of_the_version_before_is_read_without_first_frames(root, tmp_path):
    objects = ingested(root, "spatial_r1")["objects"]
    columns = [field for field in tables.OBJECTS.schema if field.name != "first_labelled_frame"]
    older = dataclasses.replace(
        tables.OBJECTS, version=2, schema=pa.schema(columns), added=("point_distances",), by_version=(), optional=()
    )
    rows = [{key: value for key, value in row.items() if key != "first_labelled_frame"} for row in objects]
    tables.write(older, tmp_path / "objects.parquet", rows, tables.Lineage("ingest"))
    found = tables.read(tables.OBJECTS, tmp_path / "objects.parquet")
    assert found == [row | {"first_labelled_frame": None} for row in objects]
    assert any(row["point_distances"] for row in found)


# --- the questions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("archived", [True, False])
def test_a_row_from_the_archive_is_not_approximate(root, archived):
    """Without one the first frames are projected, and flagged."""
    if archived:
        archive_of(root, {0: [], 1: [dot(COUCH)], 2: []})
    found = ingested(root, "spatial_r1")
    view = variants.view(
        found["scenes"][0], found["objects"], found["maps"][0], found["visibility"], rules="spatial_r1"
    )
    assert view.by_frame
    if archived:
        assert view.order_approximate is None and view.appearances == {"sofa": pytest.approx(1 / 24)}
    else:
        assert view.order_approximate in (variants.FRAMES_BY_MESH, variants.FRAMES_BY_CATEGORY)
