"""Verdicts on scans that contradict themselves: figures of `scenes.agreement` against limits, when tables are read.

Ingest stores figures and applies no limit, so a change of `scenes.agreement` or of a limit needs no new ingest. A
figure beyond its gross limit drops the scan: no question is about it. Beyond the softer limit the scan is flagged. The
limits were set on synthetic scans, so the gross ones lie where only damaged scans were measured. Figures of 48 good
scans (of the presets demo and tiny and of the tests, all formats), of poor ones (noisy depth, changing light, blur,
grain, a mesh painted by class, without colours or with holes, poses off by 5 cm and 3 degrees), and of damages to scans
of the tests:

| figure        | good         | poor         | damaged                                                               |
|---------------|--------------|--------------|-----------------------------------------------------------------------|
| gravity       | 0.96 to 0.98 | 0.96         | poses identity 0.00; y up in mesh and poses 0.40, 0.47; inverted 0.46 |
| path          | 0.01 to 0.18 | 0.19         | poses shuffled 0.95 to 1.3                                            |
| height_m      | 1.45 to 1.55 | 1.52         | mesh in feet 5.0, mesh y up 5.3 and 7.9, poses in mm -23 and 1788     |
| in_room       | 1.00         | 1.00         | poses in mm or cm 0.00 and 0.05, mesh mirrored 0.00 and 0.79          |
| in_view       | 0.83 to 0.99 | 0.17         | poses in mm or cm 0.00 and 0.05, mesh in mm 0.00                      |
| colour        | 0.12 to 0.43 | 0.59 to 0.75 | wrong poses 0.93 to 1.05; half of the video out of step 0.21 to 0.54  |
| colour_misfit | 0.00         | 0.00 to 0.05 | wrong poses 0.45 to 0.80; half of the video out of step 0.31 to 0.59  |
| offset_s      | 0            | 0            | video late or early by 0.25, 0.5, 1 or 2 s: exactly that              |
| depth_m       | 0.00 to 0.01 | 0.08 to 0.17 | wrong poses 0.4 to 2.7; depth in another unit from 1.6                |
| depth_scale   | 1.00         | 0.99 to 1.04 | mesh in feet 0.32; depth of another unit: exactly that                |
| depth_misfit  | 0.00         | 0.00 to 0.04 | wrong poses 0.45 to 0.82                                              |
| boxes_in_room | 1.00         | 1.00         | boxes of another world 0.25 to 0.58                                   |
| boxes_hold    | 1.00         | 1.00         | ScanNet++, boxes of another world 0.00                                |
| boxes_filled  | 1.00         | 1.00         | boxes of another world 0.08 to 0.25; mesh in feet or y up 0.00        |

The shares of frames with a pose and of upright frames drop no scan: such a scan is poor, and a phone may be held in any
direction.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from rollout3d.errors import UserError
from rollout3d.scenes.damage import more_than_chance
from rollout3d.tables.rows import SceneRow

Mode = Literal["drop", "flag", "off"]
"""Values of the configuration's `scenes.agreement`."""
Fate = Literal["unchecked", "good", "flagged", "dropped"]

CONTRADICTS = "its scan contradicts itself"
"""Beginning of the reason of every question that is dropped with its scan."""

_log = logging.getLogger(__name__)
_NAMED = 5


@dataclass(frozen=True)
class Limits:
    """Limits of one figure."""

    what: str
    """Meaning of the figure, for messages."""
    flag: tuple[float | None, float | None]
    """Lowest and highest value without a flag; None = no limit."""
    drop: tuple[float | None, float | None] = (None, None)
    """Lowest and highest value of scans that are not dropped; None = no limit."""


LIMITS: dict[str, Limits] = {
    "poses": Limits("share of frames with a pose", (0.5, None)),
    "upright": Limits("share of upright frames", (0.5, None)),
    "gravity": Limits("cosine between the world's up and the pictures'", (0.7, None), (0.5, None)),
    "path": Limits("step of the camera over its spread", (None, 0.5), (None, 0.85)),
    "height_m": Limits("height of the camera above the floor, metres", (0.3, 2.5), (0.05, 4.0)),
    "floor_m": Limits("height of the floor that should be at 0, metres", (-0.3, 0.3)),
    "in_room": Limits("share of cameras in the room", (0.8, None), (0.5, None)),
    "in_view": Limits("share of the pictures that the mesh fills", (0.3, None), (0.1, None)),
    "colour": Limits("colours: difference from the mesh at their own poses over others'", (None, 0.8)),
    "colour_misfit": Limits("share of other poses that fit a frame's colours better", (None, 0.1), (None, 0.25)),
    "offset_s": Limits("seconds from frames to the poses that they fit", (-0.2, 0.2), (-0.9, 0.9)),
    "depth_m": Limits("difference of measured depth and the mesh's, metres", (None, 0.3)),
    "depth_scale": Limits("measured depth over the mesh's", (0.93, 1.07), (0.7, 1.4)),
    "depth_misfit": Limits("share of other poses that fit a frame's depth better", (None, 0.1), (None, 0.3)),
    "boxes_in_room": Limits("share of boxes in the room", (0.9, None), (0.5, None)),
    "boxes_hold": Limits("share of boxes that hold their object's mesh", (0.9, None), (0.5, None)),
    "boxes_filled": Limits("share of boxes that the mesh fills", (0.6, None), (0.3, None)),
    "boxes_agree": Limits("share of boxes that agree with the box stated beside them", (0.9, None)),
}
"""Figure -> its limits, in the order of `scenes.agreement`. The definition of each: `scenes.agreement.Figures`."""


@dataclass(frozen=True)
class Verdict:
    """Fate of one scan."""

    fate: Fate
    reasons: tuple[str, ...] = ()
    """The figures that are beyond their limits, as text."""

    @property
    def text(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)


def judge(scene: SceneRow, mode: Mode) -> Verdict:
    """Judge a row of `scenes` by its column `agreement`.

    unchecked: `mode` is off, or nothing was measured (scenes read from boxes alone, tables of an older version).
    dropped: a figure is beyond its gross limit and `mode` is drop. flagged: a figure is beyond one of its limits.
    """
    figures = cast("dict[str, float | None]", scene.get("agreement") or {})  # read by name, as LIMITS has them
    if mode == "off" or all(value is None for value in figures.values()):
        return Verdict("unchecked")
    beyond = {name: _beyond(name, figures.get(name)) for name in LIMITS}
    gross = tuple(text for text, is_gross in filter(None, beyond.values()) if is_gross)
    if gross and mode == "drop":
        return Verdict("dropped", gross)
    reasons = tuple(text for text, _ in filter(None, beyond.values()))
    return Verdict("flagged", reasons) if reasons else Verdict("good")


def _beyond(name: str, value: float | None) -> tuple[str, bool] | None:
    """Return a text about a figure beyond one of its limits, and whether that limit is the gross one; else None."""
    if value is None:
        return None
    limits = LIMITS[name]
    for (low, high), gross in ((limits.drop, True), (limits.flag, False)):
        if low is not None and value < low:
            return f"{limits.what} ({name}) is {value:g}, below {low:g}", gross
        if high is not None and value > high:
            return f"{limits.what} ({name}) is {value:g}, above {high:g}", gross
    return None


class TooManyContradictions(UserError, RuntimeError):
    """More scans of a shard contradict themselves than the configuration allows; the message lists the first ones."""


def judge_all(scenes: Sequence[SceneRow], mode: Mode, max_share: float) -> dict[str, Verdict]:
    """Judge the rows of `scenes` of one shard, by scene_id; log flagged and dropped scans.

    Raises `TooManyContradictions` where more checked scans would be dropped than a random shard may have if `max_share`
    of the dataset were damaged (`site.max_drop_share`). The release was then moved or converted wrongly, and dropping
    would leave a study without scans.
    """
    found = {scene["scene_id"]: judge(scene, mode) for scene in scenes}
    n_checked = sum(verdict.fate != "unchecked" for verdict in found.values())
    for fate in ("flagged", "dropped"):
        mine = {scene_id: verdict for scene_id, verdict in found.items() if verdict.fate == fate}
        if fate == "dropped" and more_than_chance(len(mine), n_checked, max_share):
            raise TooManyContradictions(_complaint(mine, n_checked, max_share))
        if mine:
            _log.warning("%s\n  %s", _sentence(fate, len(mine), n_checked), "\n  ".join(_first(mine)))
    return found


def counts(verdicts: Iterable[Verdict]) -> str:
    """Return the numbers of scans that were checked, flagged and dropped, in one line."""
    n = Counter(verdict.fate for verdict in verdicts)
    checked = n.total() - n["unchecked"]
    rest = f"; {n['unchecked']:,} not checked" if n["unchecked"] else ""
    return f"scans checked: {checked:,}, flagged: {n['flagged']:,}, dropped: {n['dropped']:,}{rest}"


def _sentence(fate: Fate, n: int, n_checked: int) -> str:
    if fate == "flagged":
        return f"{n} of {n_checked} checked scans are flagged, and used; look at one with rollout3d check-scan:"
    return (
        f"{n} of {n_checked} checked scans contradict themselves and are dropped; look at one with rollout3d "
        "check-scan, or set scenes.agreement: flag to use them nevertheless:"
    )


def _first(found: Mapping[str, Verdict]) -> list[str]:
    some = [f"{scene_id}: {verdict.text}" for scene_id, verdict in sorted(found.items())[:_NAMED]]
    return [*some, "..."] if len(found) > _NAMED else some


def _complaint(dropped: Mapping[str, Verdict], n_checked: int, max_share: float) -> str:
    listed = "\n  ".join(_first(dropped))
    return (
        f"{len(dropped)} of the shard's {n_checked} checked scans contradict themselves, too many for a random shard "
        f"if site.max_drop_share = {max_share} of the dataset are damaged. The first ones:\n  {listed}\n"
        "Look at one of them with `rollout3d check-scan DATASET SCAN_FOLDER --out look.png`. If poses, axes or units "
        "are wrong, repair the release and ingest it again. To use the scans as they are, set scenes.agreement: flag. "
        "To continue without them, raise site.max_drop_share (both in config/local.yaml). No scan is ingested again"
    )
