"""One scan's tables as one interactive page: points, boxes, cameras, frames and their regions.

The page uses three.js and not rerun, because tables lie on a cluster's head node without a display, the reader has a
laptop that may be offline, and one file must be enough. rerun-sdk fits our pins (numpy >= 2, pyarrow >= 18), but its
`.rrd` opens only in a viewer of the same version (0.41: 170 MB to download, 0.5 GB installed) on the laptop or behind
a server, and it has no run-length masks per object. The page needs only a browser with WebGL; without
WebGL its frames and masks still work. three.js travels inside it (`viewer/three`, MIT).

Everything shown is what the tables hold: `maps.points` are the scan's points (at most 20,000), so no scan is read. The
frames are the stored JPEGs, untouched. Needs the extras `scenes` and `report`.
"""

from __future__ import annotations

import base64
import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import jinja2
import numpy as np

from rollout3d import tables
from rollout3d.errors import UserError
from rollout3d.geometry.boxes import OrientedBox
from rollout3d.geometry.camera import sample_indices
from rollout3d.geometry.masks import rle_area
from rollout3d.geometry.topdown import floor_level
from rollout3d.report.drawn_map import DrawnMap, drawn_maps
from rollout3d.tables.rows import ObjectRow

Row = Mapping[str, Any]
R = TypeVar("R", bound=Mapping[str, Any])

ASSETS = Path(__file__).parent / "viewer"
MAX_MB = 8.0
"""Default limit of the page. The library takes 1.1 MB, 20,000 points 0.4 MB; frames and masks take the rest."""

_NEAR_MATCHES = 6
_FEWEST_POINTS = 100
_RELATIVE = re.compile(r"""(from\s*|import\s*)(["'])\.{1,2}/(?:[\w.-]+/)*([\w.]+\.js)\2""")


class ViewError(UserError, ValueError):
    """Error about a scan that cannot be shown; the message names it and says what to do."""


@dataclass(frozen=True)
class Located:
    """A scan's row of `scenes`, and the folder of its shard's tables."""

    row: Row
    folder: Path


def shards(results: Path) -> list[Path]:
    """Return the folders of the scene tables below a results directory, in order. Raises ViewError if there are
    none."""
    found = sorted(path.parent for path in results.glob("scenes/*/*/scenes.parquet"))
    if not found:
        raise ViewError(
            f"{results}: no scene tables (scenes/DATASET/SHARD/scenes.parquet). Run the ingest stage, or name the "
            "directory with --results, or one shard's folder with --tables"
        )
    return found


def locate(scene_id: str, folders: Iterable[Path]) -> Located:
    """Find a scan by its id among shards. Raises ViewError, naming similar ids, if there is none or more than one."""
    known: list[str] = []
    found: list[Located] = []
    for folder in folders:
        path = folder / "scenes.parquet"
        ids = [row["scene_id"] for row in tables.read(tables.SCENES, path, ["scene_id"])]
        known += ids
        if scene_id in ids:
            found.append(Located(tables.read(tables.SCENES, path)[ids.index(scene_id)], folder))
    if not found:
        raise ViewError(f"no scene {scene_id!r} among {len(known)}: {_near(scene_id, known)}")
    if len(found) > 1:
        where = ", ".join(str(one.folder) for one in found)
        raise ViewError(f"scene {scene_id!r} lies in several folders: {where}. Choose one with --tables")
    return found[0]


def _near(scene_id: str, known: Sequence[str]) -> str:
    """Return a hint for an unknown id: ids that contain it, else ids spelt like it, else the first ones."""
    inside = [name for name in known if scene_id.lower() in name.lower()] if scene_id else []
    near = inside[:_NEAR_MATCHES] or difflib.get_close_matches(scene_id, known, n=_NEAR_MATCHES, cutoff=0.75)
    if near:
        return f"did you mean {', '.join(near)}?"
    return f"there are {', '.join(sorted(known)[:_NEAR_MATCHES])}{', ...' if len(known) > _NEAR_MATCHES else ''}"


@dataclass
class View:
    """Contents of a scan's page as JSON values, with notes on missing tables."""

    scene: dict[str, Any]
    objects: list[dict[str, Any]]
    frames: list[dict[str, Any]]
    regions: dict[str, dict[str, list[list[Any]]]]
    map: dict[str, Any] | None
    points: dict[str, Any] | None
    floor: float | None
    bounds: list[list[float | None]]
    notes: list[str] = field(default_factory=list)
    drawn: DrawnMap | None = None
    """The scan's cognitive map; it is drawn in the page and not part of the payload."""

    def payload(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "drawn"}


def collect(located: Located, max_mb: float = MAX_MB) -> View:
    """Collect one scan's rows for a page of at most `max_mb` million bytes.

    A table that is absent, or has no row of the scan, is named in `notes` and the rest is shown. If the pictures do not
    fit, those of frames with regions come first and the rest are spread evenly; frames without one keep their camera.
    Raises ViewError if `max_mb` is too little for the page without any picture, TableError for a damaged table.
    """
    scene_id, notes = located.row["scene_id"], []
    objects = [_object(row, notes) for row in rows_of(tables.OBJECTS, located, "objects", notes)]
    maps = rows_of(tables.MAPS, located, "maps", notes)
    rows = sorted(rows_of(tables.FRAMES, located, "frames", notes), key=lambda row: row["frame_index"])
    row = maps[0] if maps else None
    points = points_of(row["points"]) if row and row["points"] else None
    if row and points is None:
        notes.append("The maps table holds no points of this scan.")
    for entry in row["appearances"] or [] if row else []:
        for one in objects:
            if one["category"] == entry["category"]:
                one["first_seen_s"] = _number(entry["first_seen_s"])
    low, high, floor = _extent(points, objects, row["floor_rect"] if row else None)
    view = View(
        scene={name: value for name, value in located.row.items() if name != "to_aligned"},
        objects=objects,
        frames=[_frame(frame) for frame in rows],
        regions=_regions(located, rows, objects, notes),
        map=_map(row) if row else None,
        points=_packed(points) if points is not None else None,
        floor=floor,
        bounds=[low, high],
        notes=notes,
        drawn=_drawn(located, notes),
    )
    view.scene["room_size_m2"] = _number(view.scene["room_size_m2"])
    view.scene["room_center"] = _numbers(view.scene["room_center"])
    assert view.scene["scene_id"] == scene_id
    _bound(view, rows, int(max_mb * 1e6))
    return view


def _drawn(located: Located, notes: list[str]) -> DrawnMap | None:
    """Return the drawing of a scan's cognitive map; None where its shard has none, with a note if the scan lacks it."""
    folder = located.folder.resolve()
    path = folder.parents[2] / "maps" / folder.parent.name / f"{folder.name}.parquet"
    if not path.exists():
        return None
    found = drawn_maps([path]).get(located.row["scene_id"])
    if found is None:
        notes.append(
            f"There is no cognitive map of this scan: {path.stem}_dropped.parquet beside the maps has the reason."
        )
    return found


def rows_of(table: tables.Table[R], located: Located, name: str, notes: list[str]) -> list[R]:
    """Return a scan's rows of a table of its shard; none, and a note, where the file is absent or lacks the scan."""
    path = located.folder / f"{name}.parquet"
    if not path.exists():
        notes.append(f"There is no {name} table: {path.name} is not in the shard's folder.")
        return []
    scene_id = located.row["scene_id"]
    found = tables.SceneReader(table, [path]).rows(scene_id) if table.per_scene else _of(table, path, scene_id)
    if not found:
        notes.append(f"{path.name} has no row of this scan.")
    return found


def _of(table: tables.Table[R], path: Path, scene_id: str) -> list[R]:
    return [row for row in tables.read(table, path) if row["scene_id"] == scene_id]


def _object(row: ObjectRow, notes: list[str]) -> dict[str, Any]:
    """Return an object with both of its boxes; corners in the order of OrientedBox.corners."""
    low, high = row["aabb_min"], row["aabb_max"]
    corners = [[(low, high)[bit][axis] for axis, bit in enumerate(bits)] for bits in np.ndindex(2, 2, 2)]
    try:
        oriented = OrientedBox.from_row(row).corners().tolist()
    except ValueError as error:
        notes.append(f"Object {row['object_id']} ({row['label']}): {error}. Its axis-aligned box is shown instead.")
        oriented = corners
    return {
        "id": row["object_id"],
        "label": row["label"],
        "category": row["category"],
        "perturbable": row["perturbable"],
        "sides": _numbers(row["axes_lengths"]),
        "n_points": row["n_points"],
        "first_seen_s": None,
        "obb": [_numbers(corner) for corner in oriented],
        "aabb": [_numbers(corner) for corner in corners],
    }


def _frame(row: Row) -> dict[str, Any]:
    return {
        "index": row["frame_index"],
        "time": _number(row["timestamp_s"]),
        "sets": row["sets"],
        "width": row["width"],
        "height": row["height"],
        "K": _numbers(row["K"], 6),
        "pose": _numbers(row["pose"], 6),
        "jpeg": None,
    }


def _regions(
    located: Located, frames: Sequence[Row], objects: Sequence[Row], notes: list[str]
) -> dict[str, dict[str, list[list[Any]]]]:
    """Return region mode -> frame index as text -> [object id, pixels, run lengths in base64], largest first."""
    files = [p for p in sorted(located.folder.glob("regions.*.parquet")) if not p.stem.endswith("_raw_files")]
    if not files:
        notes.append("There is no regions table (regions.MODE.parquet): frames are shown without masks.")
    pixels = {row["frame_index"]: row["width"] * row["height"] for row in frames}
    known = {row["id"] for row in objects}
    found: dict[str, dict[str, list[list[Any]]]] = {}
    for path in files:
        mode, strays = path.name.split(".")[1], 0
        masks: dict[str, list[list[Any]]] = {}
        for row in tables.SceneReader(tables.REGIONS, [path]).rows(located.row["scene_id"]):
            index, runs = row["frame_index"], row["mask"]
            if len(runs) % 4 or row["object_id"] not in known or np.frombuffer(runs, "<u4").sum() != pixels.get(index):
                strays += 1
                continue
            masks.setdefault(str(index), []).append([row["object_id"], rle_area(runs), _base64(runs)])
        for of_frame in masks.values():
            of_frame.sort(key=lambda mask: (-mask[1], mask[0]))
        if strays:
            notes.append(f"{path.name}: {strays} masks fit no frame or object of this scan and are left out.")
        if masks:
            found[mode] = masks
        else:
            notes.append(f"{path.name} has no region of this scan.")
    return found


def _map(row: Row) -> dict[str, Any]:
    return {
        "png": _base64(row["bev"]["bytes"]),
        **{name: _number(row[name], 6) for name in ("m_per_px", "x0", "y0", "cell_m")},
        **{name: _numbers(row[name]) for name in ("floor_rect", "grid_origin")},
        "grid_size": row["grid_size"],
        "walkable": _base64(row["walkable"]),
    }


def points_of(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Return xyz (N,3) float32 in metres and rgb (N,3) uint8, without points that are not finite."""
    xyz = np.array([[row[axis] for axis in "xyz"] for row in rows], np.float32)
    rgb = np.array([[row[name] for name in ("red", "green", "blue")] for row in rows], np.uint8)
    kept = np.isfinite(xyz).all(axis=1)
    return xyz[kept], rgb[kept]


def _packed(points: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    xyz, rgb = points
    return {"n": len(xyz), "xyz": _base64(xyz.astype("<f4").tobytes()), "rgb": _base64(rgb.tobytes())}


def _extent(
    points: tuple[np.ndarray, np.ndarray] | None, objects: Sequence[Row], floor_rect: Sequence[float] | None
) -> tuple[list[float | None], list[float | None], float | None]:
    """Return the lowest and highest corner of the region to show, and the floor's height, in metres.

    Sideways the floor's rectangle decides where there is one: points seen through windows lie far outside.
    """
    if points is not None and len(points[0]) >= _FEWEST_POINTS:
        low, high = np.percentile(points[0], [0.5, 99.5], axis=0)
        floor = floor_level(points[0])
    else:
        corners = np.array([corner for one in objects for corner in one["aabb"]] or [[-1, -1, 0], [1, 1, 1]], float)
        corners = corners[np.isfinite(corners).all(axis=1)]
        low, high = corners.min(axis=0), corners.max(axis=0)
        floor = float(low[2])
    if floor_rect and floor_rect[0] < floor_rect[2] and floor_rect[1] < floor_rect[3]:
        low[:2], high[:2] = floor_rect[:2], floor_rect[2:]
    return [_number(value) for value in low], [_number(value) for value in high], _number(floor)


def _bound(view: View, rows: Sequence[Row], limit: int) -> None:
    """Add pictures to frames as far as the page's limit allows; frames without one lose their masks."""
    masks = view.regions
    view.regions = {mode: {} for mode in masks}
    bare = len(render(view).encode())
    if bare > limit:
        raise ViewError(f"the page takes {bare / 1e6:.1f} MB without any frame: --max-mb must be more")
    cost = {
        row["frame_index"]: 4 * (len(row["image"]["bytes"]) + 2) // 3
        + sum(len(json.dumps(of_mode.get(str(row["frame_index"]), []))) + 16 for of_mode in masks.values())
        for row in rows
    }
    shown = _fitting(list(cost), cost, {int(i) for of_mode in masks.values() for i in of_mode}, limit - bare - 1000)
    for frame, row in zip(view.frames, rows):
        if frame["index"] in shown:
            frame["jpeg"] = _base64(row["image"]["bytes"])
    view.regions = {
        mode: {index: of_frame for index, of_frame in of_mode.items() if int(index) in shown}
        for mode, of_mode in masks.items()
    }
    if len(shown) < len(rows):
        view.notes.append(
            f"{len(shown)} of {len(rows)} frames have their picture here: the page is limited to {limit / 1e6:g} MB "
            "(--max-mb)."
        )


def _fitting(frames: list[int], cost: Mapping[int, int], first: set[int], budget: int) -> set[int]:
    """Return the frames whose pictures fit: those in `first`, then the others; where not all fit, fewer, spread
    evenly."""
    chosen: set[int] = set()
    for pool in ([index for index in frames if index in first], [index for index in frames if index not in first]):
        some = _most(pool, cost, budget - sum(cost[index] for index in chosen))
        chosen |= some
        if len(some) < len(pool):
            break
    return chosen


def _most(pool: list[int], cost: Mapping[int, int], budget: int) -> set[int]:
    """Return the largest evenly spread part of a pool of frames whose pictures fit."""
    for n in range(len(pool), 0, -1):
        some = {pool[i] for i in sample_indices(len(pool), n)}
        if sum(cost[index] for index in some) <= budget:
            return some
    return set()


def render(view: View) -> str:
    """Return the page as HTML that loads nothing from elsewhere; the same tables give the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    payload = json.dumps(view.payload(), separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return environment.get_template("view.html.j2").render(
        scene=view.scene,
        drawn=view.drawn,
        style=(ASSETS / "style.css").read_text(),
        modules=json.dumps({"imports": _modules()}),
        # A label may hold anything, "</script>" too.
        payload=payload.replace("<", "\\u003c"),
    )


def _modules() -> dict[str, str]:
    """Return module name -> data URL for the page's import map; relative imports, which fail there, become names."""
    imports = {}
    for path in sorted((*ASSETS.glob("*.js"), *(ASSETS / "three").glob("*.js"))):
        source = _RELATIVE.sub(r"\1\2\3\2", path.read_text())
        name = "three" if path.name == "three.module.min.js" else path.name
        imports[name] = "data:text/javascript;base64," + _base64(source.encode())
    return imports


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _number(value: float | None, digits: int = 4) -> float | None:
    """Return a rounded number; None for NaN and infinity, which JSON lacks."""
    return round(float(value), digits) if value is not None and np.isfinite(value) else None


def _numbers(values: Iterable[float] | None, digits: int = 4) -> list[float | None] | None:
    return None if values is None else [_number(value, digits) for value in values]
