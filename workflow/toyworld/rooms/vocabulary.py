"""Categories of things: their sizes, two colours, places, and names in each dataset.

Colours are a code rather than a likeness: in a frame 84 pixels wide a model can still distinguish a pair of strong
colours on a typical silhouette. Rooms themselves are pale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RGB = tuple[int, int, int]
Spot = Literal["wall", "free", "edge", "corner", "top", "hung", "ceiling"]
"""Where a thing is placed. wall: its back to a wall; free: out in the room; edge: loosely along a wall; corner: in a
corner; top: on furniture; hung: on a wall above the floor; ceiling: under the ceiling."""

FORMATS = SCANNET, SCANNETPP, ARKIT = "scannet", "scannetpp", "arkitscenes"
"""Datasets in whose formats rooms can be written."""


@dataclass(frozen=True)
class Category:
    """One category of things. Sizes are (width, depth, height) in metres, drawn between `smallest` and `largest`."""

    name: str
    color: RGB
    """Main colour."""
    accent: RGB
    """Second colour."""
    smallest: tuple[float, float, float]
    largest: tuple[float, float, float]
    spot: Spot
    labels: dict[str, tuple[str, ...]]
    """Dataset -> raw labels that its annotators use, one of them per thing; without an entry they leave things of this
    category out."""
    asked_as: dict[str, str]
    """Dataset -> category to which a reader must map these labels; no entry where questions leave the category out."""
    themes: tuple[str, ...] = ()
    """Scene types in which the category is common."""
    most: int = 1
    """Largest number of things of this category per world."""
    hosts: tuple[str, ...] = ()
    """Categories on which a thing with the spot "top" stands."""
    common: float = 1.0
    """Weight in the draw of a world's contents."""
    heights: tuple[float, float] = (0.0, 0.0)
    """Range of the lower edge of a thing with the spot "hung", metres."""


def _category(
    name: str,
    colors: tuple[RGB, RGB],
    sizes: tuple[tuple[float, float, float], tuple[float, float, float]],
    spot: Spot,
    scannet: tuple[str | None, str] = (None, ""),
    scannetpp: tuple[str | None, str] = (None, ""),
    arkit: tuple[str | None, str] = (None, ""),
    **more: object,
) -> Category:
    """Make a category; each dataset as (category of its questions or None, "raw label|another")."""
    named = {SCANNET: scannet, SCANNETPP: scannetpp, ARKIT: arkit}
    labels = {dataset: tuple(raw.split("|")) for dataset, (_, raw) in named.items() if raw}
    asked_as = {dataset: asked for dataset, (asked, _) in named.items() if asked}
    return Category(name, *colors, *sizes, spot, labels, asked_as, **more)  # pyright: ignore[reportArgumentType]  # by name


_TOPS = ("table", "cabinet", "dishwasher", "washer")

_ALL = (
    # The thirteen classes of ARKitScenes.
    _category(
        "chair", ((214, 40, 40), (70, 10, 15)), ((0.46, 0.48, 0.80), (0.54, 0.56, 0.95)), "free",
        ("chair", "chair|office chair|armchair"), ("chair", "chair|office chair"), ("chair", "chair"),
        themes=("office", "kitchen", "living room", "bedroom"), common=5, most=5,
    ),
    _category(
        "table", ((150, 88, 40), (84, 45, 15)), ((1.05, 0.68, 0.70), (1.75, 0.92, 0.78)), "free",
        ("table", "table|desk|coffee table"), ("table", "table"), ("table", "table"),
        themes=("office", "kitchen", "living room", "bedroom"), common=4, most=3,
    ),
    _category(
        "sofa", ((35, 65, 200), (120, 160, 250)), ((1.55, 0.80, 0.72), (2.25, 0.95, 0.88)), "wall",
        ("sofa", "couch|sofa"), ("sofa", "sofa"), ("sofa", "sofa"),
        themes=("living room",), common=1.5, most=2,
    ),
    _category(
        "tv", ((20, 20, 28), (50, 205, 235)), ((0.95, 0.07, 0.56), (1.40, 0.10, 0.80)), "hung",
        ("tv", "tv"), ("tv", "tv"), ("tv", "tv_monitor"),
        themes=("living room", "bedroom"), common=1.5, most=2, heights=(0.95, 1.20),
    ),
    _category(
        "stool", ((250, 208, 20), (40, 40, 40)), ((0.34, 0.34, 0.44), (0.44, 0.44, 0.68)), "free",
        (None, "stool"), (None, "stool"), ("stool", "stool"),
        themes=("kitchen", "bathroom", "living room"), most=4,
    ),
    _category(
        "bed", ((130, 25, 95), (255, 165, 205)), ((1.20, 1.95, 0.42), (1.80, 2.10, 0.55)), "wall",
        ("bed", "bed"), ("bed", "bed"), ("bed", "bed"),
        themes=("bedroom",), common=1.5, most=2,
    ),
    _category(
        "toilet", ((252, 252, 252), (0, 190, 175)), ((0.40, 0.60, 0.72), (0.46, 0.70, 0.82)), "wall",
        (None, "toilet"), ("toilet", "toilet"), ("toilet", "toilet"),
        themes=("bathroom",),
    ),
    _category(
        "stove", ((62, 62, 68), (255, 96, 10)), ((0.62, 0.60, 0.86), (0.78, 0.66, 0.94)), "wall",
        (None, "stove"), (None, "stove"), ("stove", "stove"),
        themes=("kitchen",),
    ),
    _category(
        "bathtub", ((240, 250, 255), (60, 165, 250)), ((1.50, 0.70, 0.50), (1.75, 0.82, 0.60)), "wall",
        (None, "bathtub"), (None, "bathtub"), ("bathtub", "bathtub"),
        themes=("bathroom",),
    ),
    _category(
        "washer", ((178, 165, 240), (60, 30, 130)), ((0.58, 0.56, 0.82), (0.66, 0.64, 0.90)), "wall",
        ("washing machine", "washing machine"), (None, "washing machine"), ("washer", "washer"),
        themes=("bathroom", "kitchen"), most=2,
    ),
    _category(
        "refrigerator", ((80, 205, 140), (0, 80, 50)), ((0.65, 0.64, 1.60), (0.92, 0.76, 1.90)), "wall",
        ("refrigerator", "refrigerator"), ("refrigerator", "refrigerator"), ("refrigerator", "refrigerator"),
        themes=("kitchen",),
    ),
    _category(
        "fireplace", ((165, 62, 48), (255, 190, 30)), ((1.15, 0.34, 0.95), (1.55, 0.46, 1.20)), "wall",
        (None, "fireplace"), (None, "fireplace"), ("fireplace", "fireplace"),
        themes=("living room",),
    ),
    _category(
        "dishwasher", ((20, 118, 130), (175, 240, 235)), ((0.56, 0.56, 0.80), (0.62, 0.62, 0.88)), "wall",
        (None, "dishwasher"), (None, "dishwasher"), ("dishwasher", "dishwasher"),
        themes=("kitchen",),
    ),
    # What the other two know besides.
    _category(
        "cabinet", ((208, 178, 132), (120, 92, 50)), ((0.80, 0.44, 0.80), (1.30, 0.60, 0.95)), "wall",
        (None, "cabinet|kitchen cabinet"), (None, "cabinet|storage cabinet"), (None, "cabinet"),
        themes=("kitchen", "bathroom", "office", "living room"), common=0.6, most=3,
    ),
    _category(
        "bookshelf", ((110, 60, 20), (90, 200, 60)), ((0.80, 0.28, 1.50), (1.25, 0.38, 2.00)), "wall",
        ("bookshelf", "bookshelf"), ("bookshelf", "bookshelf"), (None, "shelf"),
        themes=("office", "living room", "bedroom"), most=3,
    ),
    _category(
        "nightstand", ((128, 55, 190), (225, 190, 250)), ((0.40, 0.36, 0.48), (0.52, 0.44, 0.62)), "wall",
        ("nightstand", "nightstand"), (None, "nightstand"),
        themes=("bedroom",), most=3,
    ),
    _category(
        "door", ((228, 128, 35), (255, 222, 165)), ((0.82, 0.05, 1.95), (0.98, 0.08, 2.08)), "wall",
        ("door", "door"), ("door", "door"),
        themes=("office", "kitchen", "living room", "bedroom", "bathroom"), most=3,
    ),
    _category(
        "radiator", ((245, 245, 240), (225, 45, 70)), ((0.80, 0.10, 0.50), (1.30, 0.15, 0.65)), "wall",
        ("radiator", "radiator"), ("heater", "heater"),
        themes=("office", "living room", "bedroom", "bathroom"), most=3,
    ),
    _category(
        "plant", ((35, 150, 45), (200, 95, 55)), ((0.36, 0.36, 0.75), (0.52, 0.52, 1.25)), "corner",
        ("plant", "plant"), ("plant", "plant"),
        themes=("office", "living room", "bedroom"), most=4,
    ),
    _category(
        "trash bin", ((95, 100, 110), (160, 255, 40)), ((0.26, 0.26, 0.36), (0.34, 0.34, 0.55)), "edge",
        ("trash bin", "trash can|trash bin|recycling bin"), ("trash can", "trash can"),
        themes=("office", "kitchen", "bathroom"), most=3,
    ),
    _category(
        "backpack", ((120, 130, 15), (255, 140, 0)), ((0.32, 0.22, 0.42), (0.42, 0.28, 0.54)), "edge",
        ("backpack", "backpack"), (None, "backpack"),
        themes=("office", "bedroom"), common=0.7, most=3,
    ),
    _category(
        "pillow", ((255, 70, 165), (255, 255, 255)), ((0.42, 0.30, 0.13), (0.55, 0.38, 0.18)), "top",
        ("pillow", "pillow"), ("pillow", "pillow"),
        themes=("bedroom",), most=4, hosts=("bed",),
    ),
    _category(
        "lamp", ((255, 232, 110), (25, 25, 120)), ((0.26, 0.26, 0.42), (0.36, 0.36, 0.60)), "top",
        ("lamp", "lamp"), ("table lamp", "table lamp"),
        themes=("bedroom", "living room", "office"), most=3, hosts=("nightstand", *_TOPS),
    ),
    _category(
        "monitor", ((45, 45, 55), (110, 255, 70)), ((0.48, 0.14, 0.36), (0.64, 0.19, 0.46)), "top",
        ("monitor", "monitor"), ("monitor", "monitor"),
        themes=("office",), common=3, most=4, hosts=("table", "cabinet"),
    ),
    _category(
        "keyboard", ((75, 25, 120), (250, 250, 250)), ((0.40, 0.15, 0.03), (0.48, 0.19, 0.05)), "top",
        ("keyboard", "keyboard"), ("keyboard", "keyboard"),
        themes=("office",), common=2, most=3, hosts=("table",),
    ),
    _category(
        "computer mouse", ((0, 225, 255), (10, 10, 60)), ((0.09, 0.13, 0.05), (0.12, 0.17, 0.07)), "top",
        ("computer mouse", "mouse"), ("computer mouse", "mouse"),
        themes=("office",), most=3, hosts=("table",),
    ),
    _category(
        "printer", ((232, 232, 222), (205, 0, 125)), ((0.40, 0.36, 0.24), (0.52, 0.46, 0.36)), "top",
        ("printer", "printer"), ("printer", "printer"),
        themes=("office",), most=2, hosts=_TOPS,
    ),
    _category(
        "microwave", ((112, 140, 185), (15, 55, 15)), ((0.46, 0.34, 0.27), (0.56, 0.42, 0.33)), "top",
        ("microwave", "microwave"), ("microwave", "microwave"),
        themes=("kitchen",), most=2, hosts=_TOPS,
    ),
    _category(
        "clock", ((15, 15, 15), (255, 250, 150)), ((0.30, 0.05, 0.30), (0.42, 0.07, 0.42)), "hung",
        ("clock", "clock"), ("clock", "clock"),
        themes=("office", "kitchen", "living room"), common=0.7, most=2, heights=(1.40, 1.80),
    ),
    _category(
        "ceiling light", ((255, 250, 190), (255, 165, 0)), ((0.40, 0.40, 0.28), (0.60, 0.60, 0.42)), "ceiling",
        (None, "ceiling light"), ("ceiling light", "ceiling lamp"),
        themes=("office", "kitchen", "bathroom", "bedroom", "living room"), common=0.5, most=4,
    ),
)  # fmt: skip

CATEGORIES: dict[str, Category] = {category.name: category for category in _ALL}
"""All categories, by name, in a fixed order."""

THEMES = ("bedroom", "living room", "kitchen", "bathroom", "office")
"""Scene types of a single room; a flat is an "apartment"."""
