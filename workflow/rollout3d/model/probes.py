"""Probes: altered twins of a question's video, and how each is made from the stored frames.

Most cannot answer the question: a model that uses its video scores less on them; one that guesses from the text does
not. `drowned_context` can: a model that also looks at objects which the question does not name answers it differently.
Evaluation and the probes during training both read this. Light: no picture is decoded here, `model/twins.py` does that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rollout3d import tables
from rollout3d.geometry.camera import sample_indices
from rollout3d.geometry.frames import frame_set
from rollout3d.model.regions import Regions
from rollout3d.questions import types
from rollout3d.seeding import generator, stable_hash
from rollout3d.tables.frame_sets import of_set
from rollout3d.tables.rows import FrameRow, ProbeRow, QuestionRow

NO_SCENE = "about no scene"
TEXT_ALONE = "shows nothing"
SPARED = "not among evaluation.probe_share"
NO_REGIONS = "no regions of objects are known"
SETS_DRAWN = 64
"""Sets of other objects that `drowned_context` chooses from. [assumed]"""


class Shown:
    """Which frames of a scene a frame set shows, read from frames tables without their pictures."""

    def __init__(self, frames: Iterable[Path | str], name: str):
        self._reader = tables.SceneReader(tables.FRAMES, frames)
        self.name = name
        self._kept: tuple[str, list[FrameRow]] = ("", [])

    def __contains__(self, scene_id: str) -> bool:
        return scene_id in self._reader

    def rows(self, scene_id: str) -> list[FrameRow]:
        """Return frame rows (frame_index) in the order shown, some repeated where the video is shorter than the set."""
        if self._kept[0] != scene_id:
            found = of_set(self._reader.rows(scene_id, ["frame_index", "sets"]), self.name)
            n = frame_set(self.name).n_shown
            self._kept = scene_id, found if n is None else [found[i] for i in sample_indices(len(found), n)]
        return self._kept[1]


@dataclass(frozen=True)
class Twin:
    """How a video is altered: which scene's frames, in which order, with which objects drowned; or why that fails."""

    scene_id: str | None = None
    order: list[int] | None = None
    """Places among the frames shown; None leaves them as they are."""
    objects: list[int] | None = None
    reason: str | None = None


@dataclass(frozen=True)
class World:
    """Data that the twins of one benchmark are made from. `spaces`: scene -> physical space, of all its questions."""

    shown: Shown
    spaces: Mapping[str, str]
    regions: Regions | None
    seed: int


def probe_rows(
    questions: Sequence[QuestionRow],
    frames: Iterable[Path | str],
    name: str,
    probes: Sequence[str],
    seed: int,
    regions: tuple[Sequence[Path | str], Sequence[Path | str]] | None = None,
    share: float = 1.0,
) -> Iterator[ProbeRow]:
    """Yield probe rows: every question with each of `probes`, in that order.

    `frames`: frames tables that hold the frame set `name`. `regions`: files of the tables objects and of the tables
    regions, without which no object can be drowned or left out. A twin that cannot be made, or that is not wanted since
    only a `share` of the questions is asked with probes, keeps its row, with the reason. Draws depend on `seed` and the
    question's id or scene only. Raises ValueError for a scene without frames of the set.
    """
    shown = Shown(frames, name)
    spaces = {row["scene_id"]: row["space_id"] or row["scene_id"] for row in questions if row["scene_id"]}
    for scene in spaces:
        if not shown.rows(scene):
            raise ValueError(f"scene {scene} has no frames of set '{name}'")
    world = World(shown, spaces, Regions(*regions, shown.rows) if regions else None, seed)
    some = round(share * len(questions))
    asked = probed(questions, some, by_task=some < len(questions))  # all are all, by whatever
    for row in questions:
        for probe in probes:
            twin = TWINS[probe](row, world) if row["question_id"] in asked else Twin(reason=SPARED)
            yield {
                "question_id": row["question_id"],
                "probe": probe,
                "sets": [name],
                "scene_id": twin.scene_id,
                "order": twin.order,
                "objects": twin.objects,
                "reason": twin.reason,
            }


def probed(questions: Iterable[QuestionRow], n: int, *drawn_by: object, by_task: bool = True) -> set[str]:
    """Return the ids of `n` of the questions, or of all if there are fewer: those that are asked with probes.

    Each task has as many of them, as far as it has questions: overall is the mean of the tasks, so one with few probes
    would decide alone how wide its interval is. Within a task the hash of the id and of `drawn_by` (a seed) decides.
    `by_task=False`: each question type has as many, without importing the types, whose geometry an environment that
    trains need not have.
    """
    of_task: dict[str, list[tuple[int, str]]] = {}
    for row in questions:
        of_type = types.known(row["question_type"]) if by_task else None
        task = of_type.scored_as.name if of_type else row["question_type"]
        of_task.setdefault(task, []).append((stable_hash("probed", *drawn_by, row["question_id"]), row["question_id"]))
    ranked = sorted((rank, *each) for found in of_task.values() for rank, each in enumerate(sorted(found)))
    return {name for _, _, name in ranked[:n]}


def black(row: QuestionRow, world: World) -> Twin:
    """Return the twin whose pixels are all black; none of a text alone, which has no pixels."""
    return Twin(row["scene_id"]) if row["scene_id"] or row["media"] else Twin(reason=TEXT_ALONE)


def shuffled(row: QuestionRow, world: World) -> Twin:
    """Return the twin with the same frames in another order, drawn per question."""
    if not row["scene_id"]:
        return Twin(reason=NO_SCENE)
    n = len(world.shown.rows(row["scene_id"]))
    if n < 2:
        return Twin(reason="fewer than two frames")
    rng = generator(world.seed, "shuffled", row["question_id"])
    order = np.arange(n)
    while np.array_equal(order, np.arange(n)):
        order = rng.permutation(n)
    return Twin(row["scene_id"], order.tolist())


def other_room(row: QuestionRow, world: World) -> Twin:
    """Return the video of another physical space, the same for all questions of a scene."""
    if not row["scene_id"]:
        return Twin(reason=NO_SCENE)
    own = world.spaces[row["scene_id"]]
    others = sorted(scene for scene, space in world.spaces.items() if space != own)
    if not others:
        return Twin(reason="no scene of another room in this table")
    rng = generator(world.seed, "other_room", row["scene_id"])
    return Twin(others[int(rng.integers(len(others)))])


def drowned(row: QuestionRow, world: World) -> Twin:
    """Return the twin with noise over every object that the question names, in every frame; outlines stay."""
    named, reason = _named(row, world)
    return Twin(reason=reason) if reason else Twin(row["scene_id"], objects=named)


def removed(row: QuestionRow, world: World) -> Twin:
    """Return the twin of only those frames that show none of the objects that the question names, some repeated."""
    named, reason = _named(row, world)
    if reason or world.regions is None or not row["scene_id"]:
        return Twin(reason=reason)
    hiding = world.regions.frames(row["scene_id"], named)
    frames = [each["frame_index"] for each in world.shown.rows(row["scene_id"])]
    left = [place for place, index in enumerate(frames) if index not in hiding]
    if not left:
        return Twin(reason="every frame shows one of its objects")
    return Twin(row["scene_id"], [left[i] for i in sample_indices(len(left), len(frames))])


def drowned_context(row: QuestionRow, world: World) -> Twin:
    """Return the twin with noise over as many objects as `drowned` has, none of which the question names.

    They are the control of `drowned`: equally much noise elsewhere. Of `SETS_DRAWN` sets drawn by seed, it is the one
    whose visible area, in pixels over the frames shown, has the ratio to that of the named objects that is nearest to
    1; without a set as large there is no twin. An object of a category that the question names is never among them,
    and pixels of the named objects stay as they are (`model/twins.py`), so that they do not count in the area. Pixels
    where other objects' masks overlap count for each.
    """
    named, reason = _named(row, world)
    if reason or world.regions is None or not row["scene_id"]:
        return Twin(reason=reason)
    spared = {object_id for mention in row["objects"] for object_id in mention["object_ids"]}
    area = world.regions.areas(row["scene_id"], spared)
    others = sorted(each for each in area.keys() - spared if area[each])
    if len(others) < len(named):
        return Twin(reason="shows fewer other objects than named ones")
    rng = generator(world.seed, "drowned_context", row["question_id"])
    sets = [rng.choice(others, len(named), replace=False).tolist() for _ in range(SETS_DRAWN)]
    nearest = min(sets, key=lambda each: abs(_log_area(each, area) - _log_area(named, area)))
    return Twin(row["scene_id"], objects=sorted(nearest))


def drowned_all(row: QuestionRow, world: World) -> Twin:
    """Return the twin with noise over every object that the frames show; walls, floor and ceiling stay."""
    if not row["scene_id"]:
        return Twin(reason=NO_SCENE)
    if world.regions is None or row["scene_id"] not in world.regions:
        return Twin(reason=NO_REGIONS)
    found = world.regions.objects(row["scene_id"])
    return Twin(row["scene_id"], objects=found) if found else Twin(reason="no object is in the frames")


def _log_area(objects: Sequence[int], area: Mapping[int, int]) -> float:
    return math.log(max(1, sum(area[each] for each in objects)))


def _named(row: QuestionRow, world: World) -> tuple[list[int], str | None]:
    """Return the objects that the question names and the frames show, or the reason why there is none."""
    if not row["scene_id"]:
        return [], NO_SCENE
    if world.regions is None or row["scene_id"] not in world.regions:
        return [], NO_REGIONS
    named = {object_id for mention in row["objects"] for object_id in mention["object_ids"]}
    if not named:
        return [], "names no object"
    found = sorted(named & set(world.regions.objects(row["scene_id"])))
    return found, None if found else "none of its objects is in the frames"


TWINS: dict[str, Callable[[QuestionRow, World], Twin]] = {
    each.__name__: each for each in (black, shuffled, other_room, drowned, removed, drowned_context, drowned_all)
}
"""Name of a probe (`config.choices.PROBES`) -> its twin of a question's video."""
