"""What the generators see of a scan: categories, boxes, distances, first appearances and walkable floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np

from rollout3d import tables
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.distance import BoxPoints, Method, min_distance
from rollout3d.geometry.topdown import Walkable, unpack_grid
from rollout3d.questions.evidence import Json, joined, rounded
from rollout3d.questions.templates import lettered
from rollout3d.tables.rows import MapRow, ObjectRow, QuestionRow, SceneRow

Distance = Method | Literal["points"]
"""How far two objects are apart: by their boxes, or by the nearest vertices of their point clouds."""

Result = tuple[list[QuestionRow], Counter[str]]
"""What a generator returns: question rows, and how many candidates each reason kept out."""


@dataclass(frozen=True)
class Item:
    """One annotated object of a category; `points` holds its box and, once needed, the points sampled on it."""

    object_id: int
    points: BoxPoints

    @property
    def box(self) -> OrientedBox:
        return self.points.box


@dataclass
class SceneView:
    """One scan as the question generators see it.

    `counts` is the scene's instances per category in the table's order and decides what is unique and what is
    counted; `items` holds the boxes per category, which may be fewer (VSI-Bench's metadata disagrees in 12 places).
    `appearances`: first time, seconds, that each category is visible; empty and `walkable` None without a map row.
    `clouds`: distance of the point clouds of two objects, metres, smaller id first; None if any was not measured.
    `by_frame`: true if `appearances` are first frames, as SpaceR and Spatial-R1 have them; `order_approximate`: what
    stands in for the label pictures that they should come from, None: nothing does.
    """

    scene_id: str
    space_id: str
    dataset: str
    split: str
    room_size_m2: float | None
    counts: dict[str, int]
    items: dict[str, tuple[Item, ...]]
    appearances: dict[str, float] = field(default_factory=dict)
    walkable: Walkable | None = None
    fps: float | None = None
    floor_area_m2: float | None = None
    clouds: dict[tuple[int, int], float] | None = None
    by_frame: bool = False
    order_approximate: str | None = None
    _distances: dict[tuple[str, str, str], float] = field(default_factory=dict, repr=False)
    _places: dict[str, Json] = field(default_factory=dict, repr=False)
    _mentions: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    @classmethod
    def from_rows(cls, scene: SceneRow, objects: Iterable[ObjectRow], maps: MapRow | None = None) -> SceneView:
        """The view of one row of `scenes`, its rows of `objects` and its row of `maps` (of which images are unused)."""
        items: dict[str, list[Item]] = {}
        clouds: dict[tuple[int, int], float] | None = {}
        for row in sorted(objects, key=lambda row: row["object_id"]):
            if row["category"] is not None:
                item = Item(row["object_id"], BoxPoints(OrientedBox.from_row(row)))
                items.setdefault(row["category"], []).append(item)
                measured = row.get("point_distances")
                if measured is None or clouds is None:
                    clouds = None
                else:
                    clouds |= {(row["object_id"], each["object_id"]): each["metres"] for each in measured}
        view = cls(
            scene_id=scene["scene_id"],
            space_id=scene["space_id"],
            dataset=scene["dataset"],
            split=scene["split"],
            room_size_m2=scene["room_size_m2"],
            counts={entry["category"]: entry["n"] for entry in scene["object_counts"]},
            items={category: tuple(found) for category, found in items.items()},
            fps=scene.get("fps"),
            floor_area_m2=scene.get("floor_area_m2"),
            clouds=clouds,
        )
        if maps is not None:
            cols, rows = maps["grid_size"]
            grid = unpack_grid(maps["walkable"], cols, rows)
            view.walkable = Walkable(grid, np.array(maps["grid_origin"], np.float64), maps["cell_m"])
            view.appearances = {entry["category"]: entry["first_seen_s"] for entry in maps["appearances"]}
        return view

    @cached_property
    def located(self) -> tuple[str, ...]:
        """Categories with a box for every instance counted, in the table's order: only these can be measured."""
        return tuple(c for c, n in self.counts.items() if n > 0 and len(self.items.get(c, ())) == n)

    @cached_property
    def unique(self) -> tuple[str, ...]:
        """Located categories with one instance, which "the chair" can mean."""
        return tuple(c for c in self.located if self.counts[c] == 1)

    @property
    def unlocated(self) -> int:
        """Return how many categories are counted but not located."""
        return sum(n > 0 for n in self.counts.values()) - len(self.located)

    def box(self, category: str) -> OrientedBox:
        """Return the box of a unique category; the first one where the metadata has several for it."""
        return self.items[category][0].box

    def distance(self, a: str, b: str, method: Distance) -> float:
        """Return the smallest distance between instances of two categories, metres; computed once per pair.

        Raises ValueError for "points" where `clouds` is None.
        """
        key = (a, b, method) if a <= b else (b, a, method)
        if key not in self._distances:
            one, other = (self.items[c] for c in key[:2])
            if method != "points":
                found = min_distance((i.points for i in one), (i.points for i in other), method)
            elif self.clouds is None:
                raise ValueError(f"{self.scene_id}: the table objects holds no distances of point clouds")
            else:
                pairs = (sorted((i.object_id, j.object_id)) for i in one for j in other)
                found = min(self.clouds[i, j] for i, j in pairs)
            self._distances[key] = found
        return self._distances[key]

    @cached_property
    def _centres_json(self) -> Json:
        return Json(tables.canonical_json(self.centres))

    @cached_property
    def centres(self) -> dict[str, list[list[float]]]:
        """Box centres (x, y), metres to two decimals, of every instance: what a cognitive map is drawn from."""
        return {c: [rounded(item.box.centroid[:2], 2) for item in items] for c, items in sorted(self.items.items())}

    def place(self, category: str) -> Json:
        """Return a unique category for the evidence: its name, box centre (metres) and side lengths (metres)."""
        if category not in self._places:
            box = self.box(category)
            place = {"category": category, "position": rounded(box.centroid), "sides_m": rounded(box.axes_lengths)}
            self._places[category] = Json(tables.canonical_json(place))
        return self._places[category]

    def _mention(self, category: str) -> dict[str, Any]:
        if category not in self._mentions:
            ids = [item.object_id for item in self.items.get(category, ())]
            self._mentions[category] = {"category": category, "object_ids": ids}
        return self._mentions[category]

    def row(
        self,
        question_type: str,
        question: str,
        truth: str,
        categories: Sequence[str],
        evidence: Mapping[str, Any],
        options: Sequence[str] | None = None,
    ) -> QuestionRow:
        """Return a row of the questions table, without the marks of the gate.

        `truth` is the number as text, or with `options` (texts without letters) the text of the right one.
        `categories` are those that the question names; `evidence`, by names that JSON need not escape, is stored as
        canonical JSON together with the centres of every category.
        """
        row = {
            "scene_id": self.scene_id,
            "space_id": self.space_id,
            "split": self.split,
            "dataset": self.dataset,
            "question_type": question_type,
            "answer_type": "number" if options is None else "choice",
            "question": question,
            "options": None if options is None else lettered(options),
            "ground_truth": truth if options is None else "ABCD"[list(options).index(truth)],
            "objects": [self._mention(category) for category in categories],
            "media": None,
            "source": "generated",
            "evidence": joined({"centres": self._centres_json, **evidence}),
        }
        row["question_id"] = tables.question_id(row)
        return cast(QuestionRow, row)
