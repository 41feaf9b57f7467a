"""What labels mean."""

import csv

import pytest

from rollout3d.releases import MissingData
from rollout3d.scenes.categories import RESOURCES
from rollout3d.scenes.datasets import _arkit_labels, _scannet_labels, _scannetpp_labels
from scenes import mini

# The categories that occur in VSI-Bench's published annotations.
SCANNET = [
    "chair", "table", "door", "window", "pillow", "monitor", "backpack", "bed", "lamp", "mirror", "sofa",
    "bookshelf", "towel", "refrigerator", "tv", "counter", "radiator", "printer", "nightstand", "plant", "telephone",
    "keyboard", "microwave", "clock", "closet", "fan", "oven", "mattress", "guitar", "piano",
]  # fmt: skip
SCANNET += ["trash bin", "washing machine", "computer mouse"]
SCANNETPP = [
    "chair", "ceiling light", "table", "door", "monitor", "computer tower", "keyboard", "heater", "whiteboard",
    "computer mouse", "trash can", "plant", "telephone", "pillow", "cup", "shoes", "sofa", "bookshelf", "crate",
    "power strip", "exhaust fan", "toilet", "laptop", "microwave", "bed", "bucket", "refrigerator", "printer", "basket",
    "blanket", "suitcase", "tv", "cushion", "kettle", "coat hanger", "cutting board", "pan", "clock", "bowl",
    "headphones", "shoe rack", "table lamp", "paper bag",
]  # fmt: skip
ARKIT = [
    "bathtub", "bed", "chair", "dishwasher", "fireplace", "refrigerator", "sofa", "stool", "stove", "table",
    "toilet", "tv", "washer",
]  # fmt: skip


def categories(name):
    with open(RESOURCES / f"{name}.csv", newline="") as file:
        return {row["category"] for row in csv.DictReader(file)} - {""}


def test_lists_hold_every_category_that_the_benchmark_uses():
    assert len(SCANNET) == 33 and categories("scannet") == {*SCANNET, "bicycle"}
    absent = {"picture", "file folder", "rack", "slippers", "stapler"}
    assert len(SCANNETPP) == 43 and categories("scannetpp") == {*SCANNETPP, *absent}
    assert categories("arkitscenes") == set(ARKIT)


@pytest.fixture
def scannet(tmp_path):
    mini.write_tsv(tmp_path / "labels.tsv")
    return _scannet_labels.meanings(tmp_path / "labels.tsv")


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("couch", "sofa"),
        ("chair", "chair"),
        ("stack of chairs", "chair"),  # shares its id with "chair": rows go by name
        ("office chair", "chair"),
        ("trash can", "trash bin"),
        ("pillows", "pillow"),
        ("desk", "table"),
        ("mouse", "computer mouse"),
        ("table lamp", "lamp"),
        ("mattress", "mattress"),  # a name of ScanNet200 that is asked about goes before NYU40's bed
        ("window", "window"),
        ("kitchen cabinet", None),
        ('the "big" box', None),
        ("trashcan", None),
    ],
)
def test_scannet_label(scannet, label, category):
    assert scannet(label).category == category
    assert scannet(label).perturbable
    assert scannet(label).known == (label != "trashcan")


def test_structure_and_marks_are_not_perturbable(scannet):
    for label in ("wall", "closet wall", "floor", "remove", "split", "REMOVE"):
        assert not scannet(label).perturbable
    for labels in (_scannetpp_labels.meanings(None), _arkit_labels.meanings()):
        assert not labels("SPLIT").perturbable and not labels("ceiling").perturbable
        assert labels("box").perturbable and labels("box").category is None


def test_first_version_of_the_label_table_is_understood(tmp_path):
    path = tmp_path / "v1.tsv"
    path.write_text("id\tcategory\tcount\tnyu40id\n1\tcouch\t5\t6\n2\tlamp\t5\t35\n3\tnothing\t5\t\n")
    labels = _scannet_labels.meanings(path)
    assert [labels(name).category for name in ("couch", "lamp", "nothing")] == ["sofa", "lamp", None]


def test_label_table_of_another_kind_is_named(tmp_path):
    path = tmp_path / "odd.tsv"
    path.write_text("a\tb\n1\t2\n")
    with pytest.raises(MissingData, match=r"odd\.tsv: has no column raw_category or category, only a, b"):
        _scannet_labels.meanings(path)


def test_scannetpp_labels_are_renamed_dropped_or_kept(tmp_path):
    plain = _scannetpp_labels.meanings(None)
    names = ("office chair", "ceiling lamp", "mouse", "trash can", "cabinet", "office visitor chair")
    assert [plain(n).category for n in names] == ["chair", "ceiling light", "computer mouse", "trash can", None, None]
    path = tmp_path / "map_benchmark.csv"
    path.write_text(
        "class,count,semantic_map_to,instance_map_to\noffice visitor chair,9,x,office chair\ntable,9,,\nbed,1,,None\n"
    )
    mapped = _scannetpp_labels.meanings(path)
    assert mapped("office visitor chair").category == "chair"
    assert mapped("table").category == "table"
    assert mapped("bed").category is None and mapped("bed").perturbable


def test_arkitscenes_labels_are_normalised():
    labels = _arkit_labels.meanings()
    assert labels("tv/monitor").category == labels("tv_monitor").category == labels("TV-monitor").category == "tv"
    assert labels("shelf").category is None and labels("shelf").perturbable


def test_names_that_share_an_id_with_others_keep_their_meaning(tmp_path):
    """A table keyed by id, where the last row wins, loses these classes; so it must be keyed by raw name."""
    wanted = {
        "chair": (5, "chair"), "bookshelf": (10, "bookshelf"), "pillow": (18, "pillow"), "door": (8, "door"),
        "lamp": (35, "lamp"), "towel": (27, "towel"), "washing machine": (40, "washing machine"), "couch": (6, "sofa"),
    }  # fmt: skip
    lines = ["\t".join(mini.TSV_COLUMNS)]
    for number, (raw, (nyu40, _)) in enumerate(wanted.items(), 1):
        for name in (raw, f"stack of {raw}s"):
            cells = dict.fromkeys(mini.TSV_COLUMNS, "")
            cells |= {"id": number, "raw_category": name, "category": raw, "nyu40id": nyu40}
            lines.append("\t".join(str(cells[column]) for column in mini.TSV_COLUMNS))
    (tmp_path / "ids.tsv").write_text("\n".join(lines) + "\n")
    labels = _scannet_labels.meanings(tmp_path / "ids.tsv")
    for raw, (_, category) in wanted.items():
        assert labels(raw).category == category, raw
        assert labels(f"stack of {raw}s").category == category, "which the category column normalises"


def test_names_are_not_harmonised_across_datasets(scannet):
    assert scannet("trash can").category == "trash bin"
    assert _scannetpp_labels.meanings(None)("trash can").category == "trash can"
    assert (scannet("desk").category, _scannetpp_labels.meanings(None)("desk").category) == ("table", None)


def test_labels_that_the_benchmark_drops_are_known_perturbable_and_never_asked_about():
    dropped = (
        "binder|poster|blinds|curtain|window|backpack|bag|book|bottle|box|container|jacket|jar|light switch|marker|"
    )
    dropped += (
        "painting|paper towel|plant pot|pot|shelf|sink|smoke detector|soap dispenser|socket|speaker|spray bottle|"
    )
    dropped += (
        "tap|tissue box|toilet brush|toilet paper|towel|whiteboard eraser|cabinet|kitchen cabinet|storage cabinet"
    )
    for label in dropped.split("|"):
        assert _scannetpp_labels.meanings(None)(label) == (None, True, True), label


def test_the_seventeen_labels_of_arkitscenes_are_known_in_any_spelling():
    names = (
        "cabinet refrigerator shelf stove bed sink washer toilet bathtub oven dishwasher fireplace stool chair table "
    )
    for name in (names + "tv_monitor sofa").split():
        for joint in "_ -/":
            assert _arkit_labels.meanings()(name.replace("_", joint)).known
    assert not _arkit_labels.meanings()("hammock").known
