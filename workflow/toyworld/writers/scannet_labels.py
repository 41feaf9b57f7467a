"""Write the label tables of a rendered ScanNet release: `scannetv2-labels.combined.tsv` and the first version's.

The rows are our own, since the released table may not be redistributed. They have its form: 17 tab-separated columns,
`raw_category` unique, `id` shared by all raw names of one `category`. The first version has 15 columns, no
`raw_category`, and the raw name as `category`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from toyworld.rooms.vocabulary import CATEGORIES

COLUMNS = (
    "id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class", "eigen13class",
    "ModelNet40", "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid", "wnsynsetkey", "mpcat40",
    "mpcat40index",
)  # fmt: skip
"""Columns of version 2."""

COLUMNS_1 = (
    "id", "category", "count", "nyuId", "nyu40id", "eigen13id", "nyuClass", "nyu40class", "eigen13class", "ModelNet40",
    "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid", "wnsynsetkey",
)  # fmt: skip
"""Columns of the first version."""

NYU40 = (
    "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor_mat", "clothes",
    "ceiling", "books", "refrigerator", "television", "paper", "towel", "shower_curtain", "box", "whiteboard",
    "person", "night_stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture",
    "otherprop",
)  # fmt: skip
"""The forty classes of NYU in order: nyu40id = position + 1."""

_CATEGORIES = {
    # category: (nyu40 class, raw names)
    "wall": ("wall", ("wall",)),
    "floor": ("floor", ("floor",)),
    "ceiling": ("ceiling", ("ceiling",)),
    "chair": ("chair", ("chair", "stack of chairs")),
    "office chair": ("chair", ("office chair",)),
    "armchair": ("chair", ("armchair",)),
    "stool": ("otherfurniture", ("stool",)),
    "couch": ("sofa", ("couch", "sofa")),
    "table": ("table", ("table",)),
    "coffee table": ("table", ("coffee table",)),
    "end table": ("table", ("end table",)),
    "dining table": ("table", ("dining table",)),
    "side table": ("table", ("side table",)),
    "desk": ("desk", ("desk",)),
    "bed": ("bed", ("bed",)),
    "nightstand": ("night_stand", ("nightstand",)),
    "dresser": ("dresser", ("dresser",)),
    "cabinet": ("cabinet", ("cabinet",)),
    "kitchen cabinet": ("cabinet", ("kitchen cabinet", "kitchen cabinets")),
    "file cabinet": ("cabinet", ("file cabinet",)),
    "closet": ("cabinet", ("closet",)),
    "wardrobe": ("cabinet", ("wardrobe", "wardrobe closet")),
    "bookshelf": ("bookshelf", ("bookshelf", "bookshelves")),
    "shelf": ("shelves", ("shelf",)),
    "counter": ("counter", ("counter", "kitchen counter")),
    "door": ("door", ("door",)),
    "window": ("window", ("window",)),
    "curtain": ("curtain", ("curtain",)),
    "picture": ("picture", ("picture", "painting", "poster")),
    "mirror": ("mirror", ("mirror",)),
    "tv": ("television", ("tv", "television")),
    "monitor": ("otherprop", ("monitor", "computer monitor")),
    "keyboard": ("otherprop", ("keyboard",)),
    "mouse": ("otherprop", ("mouse", "computer mouse")),
    "laptop": ("otherprop", ("laptop",)),
    "computer tower": ("otherprop", ("computer tower",)),
    "printer": ("otherprop", ("printer",)),
    "telephone": ("otherprop", ("telephone",)),
    "lamp": ("lamp", ("lamp", "table lamp", "floor lamp", "desk lamp")),
    "ceiling light": ("otherprop", ("ceiling light", "ceiling lamp", "light")),
    "refrigerator": ("refrigerator", ("refrigerator", "fridge", "mini fridge")),
    "microwave": ("otherprop", ("microwave",)),
    "oven": ("otherprop", ("oven",)),
    "stove": ("otherfurniture", ("stove",)),
    "dishwasher": ("otherprop", ("dishwasher",)),
    "washing machine": ("otherfurniture", ("washing machine", "washer")),
    "sink": ("sink", ("sink", "kitchen sink", "bathroom sink")),
    "toilet": ("toilet", ("toilet",)),
    "bathtub": ("bathtub", ("bathtub", "tub")),
    "trash can": ("otherprop", ("trash can", "trash bin", "recycling bin", "garbage bin")),
    "pillow": ("pillow", ("pillow", "cushion")),
    "blanket": ("otherprop", ("blanket",)),
    "towel": ("towel", ("towel",)),
    "backpack": ("bag", ("backpack",)),
    "bag": ("bag", ("bag", "paper bag")),
    "suitcase": ("otherprop", ("suitcase",)),
    "box": ("box", ("box", "crate")),
    "bucket": ("otherprop", ("bucket",)),
    "basket": ("otherprop", ("basket",)),
    "book": ("books", ("book", "books")),
    "whiteboard": ("whiteboard", ("whiteboard",)),
    "plant": ("otherprop", ("plant", "potted plant")),
    "radiator": ("otherprop", ("radiator",)),
    "heater": ("otherprop", ("heater",)),
    "fireplace": ("otherstructure", ("fireplace",)),
    "fan": ("otherprop", ("fan",)),
    "clock": ("otherprop", ("clock",)),
    "cup": ("otherprop", ("cup",)),
    "bowl": ("otherprop", ("bowl",)),
    "bottle": ("otherprop", ("bottle",)),
    "kettle": ("otherprop", ("kettle",)),
    "piano": ("otherfurniture", ("piano",)),
    "guitar": ("otherprop", ("guitar",)),
    "bicycle": ("otherprop", ("bicycle",)),
    "shoes": ("otherprop", ("shoes", "shoe")),
    "object": ("otherprop", ("object",)),
}

UNLISTED = "dishrack"
"""A raw label that annotators use and the table lacks."""


def label_ids() -> dict[str, int]:
    """Return `id` by raw name, as in the table of version 2."""
    return {name: number for number, (_, names) in enumerate(_CATEGORIES.values(), start=1) for name in names}


def write_labels(path: Path, version: Literal[1, 2] = 2) -> None:
    """Write the table of a version, with a `count` of 1 for every raw name.

    Raises ValueError if the vocabulary has a ScanNet label without a row, which readers would silently drop.
    """
    columns, rows, raw_names = {1: COLUMNS_1, 2: COLUMNS}[version], [], set()
    for number, (category, (nyu40, names)) in enumerate(_CATEGORIES.items(), start=1):
        shown = nyu40.replace("_", " ")
        for name in names:
            raw_names.add(name)
            named = {"raw_category": name, "category": category} if version == 2 else {"category": name}
            row = {"id": number if version == 2 else len(raw_names), "count": 1, **named}
            row |= {"nyu40id": NYU40.index(nyu40) + 1, "nyuClass": category, "nyu40class": shown}
            rows.append([str(row.get(column, "")) for column in columns])
    used = {label for each in CATEGORIES.values() for label in each.labels.get("scannet", ())}
    missing = sorted(used - raw_names)
    if missing:
        raise ValueError(f"no row for the ScanNet labels {missing}: add them to scannet_labels._CATEGORIES")
    path.write_text("".join("\t".join(row) + "\n" for row in [columns, *rows]))
