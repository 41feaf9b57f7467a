"""The rules of OCR, SpaceR and Spatial-R1, by which the generators of `types` answer (`questions.rules`).

OCR asks VSI-Bench's questions by the rules of its generator. SpaceR (section 3, Appendix A) and Spatial-R1 (section
2.2) state their own for ScanNet. `Rules` says where a paper differs, and the generators read it. docs/rules.md compares
the three with examples.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, cast

import numpy as np

from rollout3d.config.frames import WHOLE_VIDEO
from rollout3d.config.question_types import NOT_ASKED, RuleSet
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.distance import Method
from rollout3d.questions.noise import is_noise
from rollout3d.questions.scene import Distance, SceneView
from rollout3d.tables.rows import MapRow, ObjectRow, SceneRow, VisibilityRow

MIN_SIDE_M = 0.1
"""Longest side below which an object is too small to identify. [assumed; SpaceR, Appendix A: no number]"""
TIE_M = 0.001
"""Distances that differ by at most this are equal: no option is the closest then. [assumed]"""

_NAME = re.compile(r"[\w][\w' /&.-]*")
"""Names that a question can list: commas and brackets would end the list."""

POINTS_BY_BOXES = "distance of boxes instead of point clouds"
FLOOR_BY_OUTLINE = "outline of all points instead of the floor's triangles"
FRAMES_BY_MESH = "first frames projected from the mesh, four per second"
FRAMES_BY_CATEGORY = "first frames of categories, depth-tested, instead of label pictures"
"""Values of `approximate` in the evidence: what stands in for data that a paper's rule reads and a table lacks."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Rules of one paper, as far as they differ; the defaults are OCR's, and so VSI-Bench's."""

    own_names: bool = False
    """True: objects without a VSI-Bench category go by their raw label, without noise."""
    aligned: bool = False
    """True: boxes are axis-aligned."""
    drops_small: Literal["never", "from numbers", "always"] = "never"
    """Where objects below `MIN_SIDE_M` are left out: nowhere, in questions for a number, everywhere but in counts."""
    least_count: int = 2
    """Fewest instances that are counted."""
    abs_distance: Method | None = None
    """Distance that absolute-distance questions ask for; None: `questions.distance`."""
    rel_distance: Distance | None = None
    """Distance that decides which object is closest; None: `questions.distance`."""
    unique_options: bool = False
    """True: options of relative distance have one instance each."""
    margins: bool = True
    """True: VSI-Bench's margins between distances; false: no tie (`TIE_M`)."""
    direction: Literal["angles", "centres", "cross product"] = "angles"
    """Tests of direction triples: VSI-Bench's; none but a defined angle; or distances of centres and collinearity."""
    floor: bool = False
    """True: the room's size is the summed triangles of its floor."""
    first_frames: bool = False
    """True: order follows the first frame of every named object, in which it covers anything of the picture."""

    def too_small(self, scene: SceneView, name: str) -> bool:
        """Return whether an instance of a name is too small to ask for a number about."""
        return self.drops_small == "from numbers" and any(is_small(each.box) for each in scene.items.get(name, ()))


RULES: dict[RuleSet, Rules] = {
    "ocr": Rules(),
    "spacer": Rules(
        own_names=True,
        drops_small="from numbers",
        least_count=1,
        abs_distance="uniform",
        rel_distance="exact",
        unique_options=True,
        margins=False,
        direction="centres",
        first_frames=True,
    ),
    "spatial_r1": Rules(
        own_names=True,
        aligned=True,
        drops_small="always",
        abs_distance="uniform",
        rel_distance="points",
        margins=False,
        direction="cross product",
        floor=True,
        first_frames=True,
    ),
}
"""Value of `questions.rules` -> its rules."""


def asks(rules: RuleSet, question_type: str) -> bool:
    """Return whether the rules of a paper ask a question type."""
    return question_type not in NOT_ASKED[rules]


def is_small(box: OrientedBox) -> bool:
    """Return whether the longest side of a box is below `MIN_SIDE_M`."""
    return bool(box.axes_lengths.max() < MIN_SIDE_M)


def name_of(row: ObjectRow) -> str | None:
    """Return the name of an object under the rules of SpaceR and Spatial-R1; None for noise and unusable labels.

    It is the VSI-Bench category, which unites synonyms such as office chair and chair, else the raw label in lower
    case. [assumed; neither paper lists its categories, and SpaceR's first release has raw labels]
    """
    if row["category"] is not None:
        return row["category"]
    label = " ".join(row["label"].lower().split())
    return label if row["perturbable"] and not is_noise(label) and _NAME.fullmatch(label) else None


def view(
    scene: SceneRow,
    objects: Iterable[ObjectRow],
    maps: MapRow | None = None,
    seen: Sequence[VisibilityRow] = (),
    rules: RuleSet = "ocr",
) -> SceneView:
    """Return a scan as the generators see it under the rules of a paper.

    `seen`: its rows of `visibility`, which tell first frames. Under `drops_small: always` small objects have no boxes,
    so that no distance, size or direction is asked of them; they still count.
    """
    own = RULES[rules]
    if not own.own_names:
        return SceneView.from_rows(scene, objects, maps)
    named = [cast(ObjectRow, {**row, "category": name_of(row)}) for row in objects]
    if own.aligned:
        named = [_aligned(row) for row in named]
    stated = {entry["category"]: entry["n"] for entry in scene["object_counts"]}  # without boxes, too
    counts = Counter(row["category"] for row in named if row["category"] is not None) | Counter(stated)
    frames, approximate = _first_seen(named, maps, seen, scene.get("fps"))
    if own.drops_small == "always":
        named = [row for row in named if not is_small(OrientedBox.from_row(row))]
    entries = [{"category": name, "n": n} for name, n in sorted(counts.items())]
    found = SceneView.from_rows(cast(SceneRow, {**scene, "object_counts": entries}), named, maps)
    return replace(found, appearances=frames, by_frame=own.first_frames, order_approximate=approximate)


def _aligned(row: ObjectRow) -> ObjectRow:
    """Return an object with its axis-aligned box as its box."""
    low, high = np.array(row["aabb_min"]), np.array(row["aabb_max"])
    box = OrientedBox((low + high) / 2, high - low, np.eye(3))
    return cast(ObjectRow, {**row, **box.to_row()})


def _first_seen(
    objects: Sequence[ObjectRow], maps: MapRow | None, seen: Sequence[VisibilityRow], fps: float | None
) -> tuple[dict[str, float], str | None]:
    """Return name -> time of its first frame, seconds, and what stands in for label pictures; None: nothing does.

    Of several instances the first counts. Label pictures, of a video of `fps` frames per second, come before `seen`.
    Without either it is the first appearance of `maps`, of categories alone.
    """
    frames: dict[str, float] = {}
    for row in objects:
        name, index = row["category"], row.get("first_labelled_frame")
        if name is not None and index is not None and fps:
            frames[name] = min(index / fps, frames.get(name, math.inf))
    if frames:
        return frames, None
    names = {row["object_id"]: row["category"] for row in objects}
    for row in seen:
        name, first = names.get(row["object_id"]), row["first_faint_s"]
        if row["sampling"] == WHOLE_VIDEO and name is not None and first is not None and row["n_clear"]:
            frames[name] = min(first, frames.get(name, first))
    if frames or maps is None:
        return frames, FRAMES_BY_MESH if frames else None
    return {entry["category"]: entry["first_seen_s"] for entry in maps["appearances"]}, FRAMES_BY_CATEGORY
