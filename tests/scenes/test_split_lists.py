"""Where split lists are found: in the release, as in its repository, beside it, or where `site.splits` says."""

import pytest

from rollout3d import fingerprint
from rollout3d.releases import MissingData
from rollout3d.scenes.datasets import arkitscenes, scannet, scannetpp
from rollout3d.scenes.ingest import shard_scans
from rollout3d.scenes.release import label_table, missing, missing_lists, outside
from scenes import mini
from scenes.conftest import settings


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "data" / "scannet"
    (root / "scans" / "scene0007_01").mkdir(parents=True)
    return root


def ids(refs):
    return [ref.scene_id for ref in refs]


@pytest.mark.parametrize(
    "place", [".", "Tasks/Benchmark", "splits", "meta_data", "..", "../Tasks/Benchmark", "../ScanNet/Tasks/Benchmark"]
)
def test_scannets_lists_are_found_in_and_beside_the_release(root, place):
    mini.write_bytes(root / place / "scannetv2_train.txt", b"scene0007_01\n")
    assert ids(scannet.list_scans(root, ["train"])) == ["scene0007_01"]
    assert not [text for text in missing_lists(scannet.RELEASE, root, ["train"]) if "split file" in text]


def test_the_release_goes_before_its_surroundings_and_version_2_before_version_1(root):
    mini.write_bytes(root / "scannetv1_train.txt", b"scene0001_00\n")
    assert ids(scannet.list_scans(root, ["train"])) == ["scene0001_00"]
    mini.write_bytes(root.parent / "scannetv2_train.txt", b"scene0002_00\n")
    assert ids(scannet.list_scans(root, ["train"])) == ["scene0002_00"]
    mini.write_bytes(root / "scannetv2_train.txt", b"scene0003_00\n")
    assert ids(scannet.list_scans(root, ["train"])) == ["scene0003_00"]


def test_a_given_folder_is_the_only_one(root, tmp_path):
    mini.write_bytes(root / "scannetv2_train.txt", b"scene0003_00\n")
    mini.write_bytes(tmp_path / "lists" / "scannetv2_train.txt", b"scene0007_01\n")
    datasets = {"scannet": {"splits": {"train": ["train"], "test": []}}}
    config = settings(site={"splits": {"scannet": str(tmp_path / "lists")}}, datasets=datasets)
    assert ids(shard_scans("scannet", root, 0, 1, config)) == ["scene0007_01"]
    given = tmp_path / "lists" / "scannetv2_train.txt"
    assert ids(scannet.list_scans(root, ["train"], given)) == ["scene0007_01"], "a file stands for its folder"
    with pytest.raises(MissingData, match=r"lists/scannetv2_val\.txt.*site\.splits\.scannet = "):
        scannet.list_scans(root, ["val"], tmp_path / "lists")


def test_without_a_list_every_place_and_the_key_are_named(root):
    with pytest.raises(MissingData) as caught:
        scannet.list_scans(root, ["train"])
    said = str(caught.value)
    for part in (str(root / "scannetv2_train.txt"), "scannetv1_train.txt", "Tasks/Benchmark", str(root.parent)):
        assert part in said
    assert "site.splits.scannet" in said


def test_scannetpp_lists_may_lie_in_the_root_or_beside(tmp_path):
    root = tmp_path / "scannetpp"
    (root / "data" / "7b6477cb95").mkdir(parents=True)
    mini.write_bytes(tmp_path / "splits" / "nvs_sem_train.txt", b"0a5c013435")
    assert ids(scannetpp.list_scans(root, ["train"])) == ["0a5c013435"]
    mini.write_bytes(root / "nvs_sem_train.txt", b"7b6477cb95")
    assert ids(scannetpp.list_scans(root, ["train"])) == ["7b6477cb95"]


def test_arkitscenes_tables_may_be_given(tmp_path):
    root = tmp_path / "arkitscenes"
    (root / "raw" / "Training" / "41048190").mkdir(parents=True)
    table = b"video_id,visit_id,fold\n41048190,420673,Training\n"
    mini.write_bytes(tmp_path / "tables" / "metadata.csv", table)
    assert [ref.space_id for ref in arkitscenes.list_scans(root, ["train"])] == ["41048190"]
    assert [ref.space_id for ref in arkitscenes.list_scans(root, ["train"], tmp_path / "tables")] == ["420673"]
    with pytest.raises(MissingData, match=r"site\.splits\.arkitscenes = .*metadata\.csv"):
        arkitscenes.list_scans(root, ["train"], tmp_path)


def test_the_label_table_may_lie_beside_too(root):
    assert label_table(scannet.RELEASE, root) is None and any(
        "no scannetv2-labels" in t for t in missing_lists(scannet.RELEASE, root, [])
    )
    mini.write_tsv(root.parent / "scannetv2-labels.combined.tsv")
    assert label_table(scannet.RELEASE, root) == root.parent / "scannetv2-labels.combined.tsv"
    assert missing_lists(scannet.RELEASE, root, []) == []


def test_scans_may_lie_in_folders_by_split(tmp_path):
    for name in ("scans_train/scene0000_00", "scans_val/scene0001_00"):
        (tmp_path / name).mkdir(parents=True)
    mini.write_bytes(tmp_path / "scannetv2_train.txt", b"scene0000_00\n")
    mini.write_bytes(tmp_path / "scannetv2_val.txt", b"scene0001_00\n")
    refs = scannet.list_scans(tmp_path, ["train", "val"])
    assert [ref.present for ref in refs] == [True, True]
    assert scannet.folders(tmp_path, refs[1]) == [tmp_path / "scans_val" / "scene0001_00"]


def test_a_root_one_level_too_deep_is_recognised(root):
    assert "name the one above it" in missing(scannet.RELEASE, root / "scans")
    assert missing(scannet.RELEASE, root) is None


def test_lists_outside_the_release_are_recorded_with_the_files_that_were_read(root):
    beside = root.parent / "scannetv2_train.txt"
    mini.write_bytes(beside, b"scene0007_01\n")
    (root.parent / "notes.txt").write_text("not a list")
    with fingerprint.Recorder({"roots.scannet": root}, outside(scannet.RELEASE, root)) as recorder:
        scannet.list_scans(root, ["train"])
        (root.parent / "notes.txt").read_text()
    found = {row["path"]: row["kind"] for row in recorder.rows()}
    assert found["../scannetv2_train.txt"] == "file" and "../notes.txt" not in found
    assert found["scannetv2_train.txt"] == "absent", "a list that comes to lie there would go first"
    beside.write_bytes(b"scene0007_01\nscene0007_00\n")
    differences = fingerprint.compare(recorder.rows(), {"roots.scannet": root})
    assert [(each.path, each.what) for each in differences] == [("../scannetv2_train.txt", "changed")]


def test_lists_of_the_other_version_are_not_compared(root):
    """Each version of ScanNet divides its scans in its own way."""
    mini.write_bytes(root / "scannetv2_train.txt", b"scene0001_00\n")
    mini.write_bytes(root / "scannetv1_val.txt", b"scene0001_00\n")
    assert ids(scannet.list_scans(root, ["train"])) == ["scene0001_00"]
    assert ids(scannet.list_scans(root, ["val"])) == ["scene0001_00"]
    mini.write_bytes(root.parent / "scannetv2_val.txt", b"scene0001_00\n")
    with pytest.raises(MissingData, match=r"scannetv2_train\.txt and .*scannetv2_val\.txt share 1 scans"):
        scannet.list_scans(root, ["train"])


def test_wanted_lists_are_of_one_version_where_it_has_them(root):
    mini.write_bytes(root / "scannetv1_train.txt", b"scene0001_00\n")
    mini.write_bytes(root / "scannetv1_val.txt", b"scene0002_00\n")
    mini.write_bytes(root / "scannetv2_val.txt", b"scene0001_00\n")
    assert ids(scannet.list_scans(root, ["train", "val"])) == ["scene0001_00", "scene0002_00"]


def test_a_damaged_list_that_nobody_wants_is_a_warning(root, caplog):
    mini.write_bytes(root / "scannetv2_train.txt", b"scene0001_00\n")
    mini.write_bytes(root / "scannetv2_test.txt", b"scans/scene0707_00\n")
    assert ids(scannet.list_scans(root, ["train"])) == ["scene0001_00"]
    assert "scannetv2_test.txt: line 1" in caplog.text and "this run does not need it" in caplog.text
    with pytest.raises(MissingData, match="line 1"):
        scannet.list_scans(root, ["test"])


def test_given_tables_of_arkitscenes_are_recorded_with_the_files_that_were_read(tmp_path):
    root, table = tmp_path / "arkitscenes", tmp_path / "tables" / "metadata.csv"
    (root / "raw" / "Training" / "41048190").mkdir(parents=True)
    mini.write_bytes(table, b"video_id,visit_id,fold\n41048190,420673,Training\n")
    roots = {"roots.arkitscenes": root}
    with fingerprint.Recorder(roots, outside(arkitscenes.RELEASE, root, table.parent)) as recorder:
        arkitscenes.list_scans(root, ["train"], table.parent)
    found = {row["path"]: row["kind"] for row in recorder.rows()}
    assert found["../tables/metadata.csv"] == "file" and found["../tables/raw/metadata.csv"] == "absent"
    table.write_bytes(b"video_id,visit_id,fold\n41048190,4206730,Training\n")
    differences = fingerprint.compare(recorder.rows(), roots)
    assert [(each.path, each.what) for each in differences] == [("../tables/metadata.csv", "changed")]
    assert outside(arkitscenes.RELEASE, root) == outside(arkitscenes.RELEASE, root, root) == []
