"""Frames and top views of scenes and of questions, read from the tables, decoded, resized and cached."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from rollout3d import tables
from rollout3d.errors import UserError
from rollout3d.geometry.camera import sample_indices
from rollout3d.geometry.frames import frame_set
from rollout3d.model.encode import Video
from rollout3d.model.pixels import resize
from rollout3d.resize import smart_size
from rollout3d.tables.frame_sets import of_set
from rollout3d.tables.rows import FrameRow, Image, QuestionRow

T = TypeVar("T")


class MissingFrames(UserError, ValueError):
    """A scene is in none of the frames tables; the message names the files."""


def decode_image(data: bytes | None, what: str) -> np.ndarray:
    """Decode a picture to RGB (H, W, 3) uint8. Raises ValueError that names `what` if it cannot be decoded."""
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if pixels is None:
        raise ValueError(f"{what}: not a picture that can be decoded; rebuild the table that holds it")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


class FrameStore:
    """Random access to the videos (`FRAMES` tables, scans or benchmarks) and top views (`MAPS` tables) of scenes.

    The last `capacity` videos are kept decoded. Safe to share between threads. Arrays are read-only, since callers
    share them: copy before changing.
    """

    def __init__(
        self,
        frame_paths: Iterable[Path | str],
        map_paths: Iterable[Path | str] = (),
        capacity: int = 8,
    ):
        frame_paths, map_paths = list(frame_paths), list(map_paths)
        self._frames = tables.SceneReader(tables.FRAMES, frame_paths)
        self._maps = tables.SceneReader(tables.MAPS, map_paths)
        self._places = {"frames": frame_paths, "maps": map_paths}
        self._capacity = capacity
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._lock = threading.RLock()

    def __contains__(self, scene_id: str) -> bool:
        return scene_id in self._frames

    @property
    def scenes(self) -> list[str]:
        """Scenes with frames, in file order."""
        return self._frames.scenes

    def rows(self, scene_id: str, frame_set: str, n: int | None = None) -> list[FrameRow]:
        """Return the frame rows of one scene's frame set, such as `uniform16`, in time order; n of them, evenly spaced
        with both ends, or all. A scene with fewer than n frames repeats some. Raises MissingFrames."""
        with self._lock:
            found = self._keep(("rows", scene_id, frame_set), lambda: self._read_rows(scene_id, frame_set))
        return list(found) if n is None else [found[i] for i in sample_indices(len(found), n)]

    def frames(
        self, scene_id: str, frame_set: str, n: int | None = None, pixels: tuple[int, int] | None = None
    ) -> np.ndarray:
        """Return RGB frames (n, H, W, 3) uint8, read-only, at the size at which a model sees them.

        `pixels`: fewest and most per frame; sides are multiples of 28 and follow from the size of the video
        (`resize.smart_size`). None leaves frames as stored. Raises MissingFrames.
        """
        with self._lock:
            key = ("frames", scene_id, frame_set, n, pixels)
            return self._keep(key, lambda: self._read_frames(scene_id, frame_set, n, pixels))

    def video(
        self, scene_id: str, frame_set: str, n: int | None = None, pixels: tuple[int, int] | None = None
    ) -> Video:
        """Return the frames as a part of a prompt, with the true time between two of them; arguments as of `frames`."""
        times = [row["timestamp_s"] for row in self.rows(scene_id, frame_set, n)]
        return Video(self.frames(scene_id, frame_set, n, pixels), _rate(times, len(times)))

    def bev(self, scene_id: str) -> np.ndarray:
        """Return the top view (S, S, 3) uint8 RGB of a scene, read-only. Raises MissingFrames."""
        with self._lock:
            return self._keep(("bev", scene_id), lambda: self._read_bev(scene_id))

    def _read_rows(self, scene_id: str, frame_set: str) -> list[FrameRow]:
        rows = self._frames.rows(scene_id)
        found = of_set(rows, frame_set)
        if not found:
            lacks = f"no frames of set '{frame_set}'" if rows else "no frames"
            raise MissingFrames(
                f"scene {scene_id}: {lacks} in {_names(self._places['frames'])}; rerun its ingest stage"
            )
        return found

    def _read_frames(self, scene_id: str, frame_set: str, n: int | None, pixels: tuple[int, int] | None) -> np.ndarray:
        rows = self.rows(scene_id, frame_set, n)
        # A scene with too few frames repeats some of them: decode each once.
        pictures: dict[int, np.ndarray] = {}
        for row in rows:
            index = row["frame_index"]
            if index not in pictures:
                pictures[index] = decode_image(row["image"]["bytes"], f"frame {index} of scene {scene_id}")
        stacked = np.stack(list(pictures.values()))
        if pixels is not None:
            # From the video's own size, as its processor would: from the stored one, sides would be rounded down twice.
            source = rows[0]["source_height"], rows[0]["source_width"]
            stacked = resize(stacked, *smart_size(*source, *pixels))
        place = {index: i for i, index in enumerate(pictures)}
        return _frozen(stacked[[place[row["frame_index"]] for row in rows]])

    def _read_bev(self, scene_id: str) -> np.ndarray:
        rows = self._maps.rows(scene_id, ["bev"])
        if not rows:
            where = _names(self._places["maps"])
            raise MissingFrames(f"scene {scene_id}: no map in {where}; rerun the stage that writes them")
        return _frozen(decode_image(rows[0]["bev"]["bytes"], f"map of scene {scene_id}"))

    def _keep(self, key: tuple[Any, ...], read: Callable[[], T]) -> T:
        if key not in self._kept:
            value = read()
            self._kept[key] = value
            # Rows hold encoded frames and pictures decoded ones: counted together, three entries per scene at most.
            while len(self._kept) > 3 * self._capacity:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


@dataclass(frozen=True, eq=False)
class QuestionMedia:
    """What a model is shown with one question, before the words; nothing with a text alone."""

    images: tuple[np.ndarray, ...] = ()
    """Still pictures (H, W, 3) uint8 RGB, as stored."""
    video: Video | None = None
    times: tuple[float, ...] = ()
    """Seconds of each frame of the video as it was read."""
    bev: np.ndarray | None = None
    """Top view (S, S, 3) uint8 RGB."""

    @property
    def frames(self) -> np.ndarray | None:
        """Frames (n, H, W, 3) uint8 RGB of the video; None without one. Not to be changed: others may share them."""
        return None if self.video is None else self.video.frames

    def showing(self, frames: np.ndarray | None) -> QuestionMedia:
        """Return the same media with other frames in the video, evenly spread over its time; None changes nothing.

        An altered video of as many frames keeps its rate, one of fewer frames has a lower rate.
        """
        if frames is None or self.video is None:
            return self
        return replace(self, video=Video(frames, _rate(self.times, len(frames))))

    def blackened(self) -> QuestionMedia:
        """Return the same media with every picture black."""
        return replace(
            self,
            images=tuple(np.zeros_like(image) for image in self.images),
            video=None if self.video is None else replace(self.video, frames=np.zeros_like(self.video.frames)),
            bev=None if self.bev is None else np.zeros_like(self.bev),
        )


def question_media(
    row: QuestionRow,
    store: FrameStore | None,
    shown: str | None = None,
    n: int | None = None,
    pixels: tuple[int, int] | None = None,
    bev: bool = False,
) -> QuestionMedia:
    """Return the pictures and the video that a question brings along, else the video of its scene.

    A question about no scene that brings nothing (general data of text alone) is shown nothing.

    `shown`: the frame set; None for all frames of an own video. Of these n, evenly spaced with both ends, some repeated
    if there are fewer; or all. `pixels`: fewest and most of a frame, the size following from that of the video; None
    leaves frames as stored. `bev`: add the top view of the scene. Raises ValueError for a question about a scene if
    there is no store or no frame set, and if frames of an own video differ in size, cannot be decoded or are not those
    of the set.
    """
    if row["media"]:
        return _own(row, shown, n, pixels)
    scene = row["scene_id"]
    if scene is None:
        return QuestionMedia()
    if store is None or shown is None:
        raise ValueError(f"question {row['question_id']} is about scene {scene}: pass frames tables and a frame set")
    video = store.video(scene, shown, n, pixels)
    times = tuple(frame["timestamp_s"] for frame in store.rows(scene, shown, n))
    return QuestionMedia((), video, times, store.bev(scene) if bev else None)


def _own(row: QuestionRow, shown: str | None, n: int | None, pixels: tuple[int, int] | None) -> QuestionMedia:
    """Return the still pictures and the video (`tables.frame_path`) that a question brings along."""
    media = row["media"] or []
    images = tuple(
        decode_image(image["bytes"], f"picture {i} of question {row['question_id']}")
        for i, image in enumerate(media)
        if tables.frame_seconds(image["path"]) is None
    )
    frames = [image for image in media if tables.frame_seconds(image["path"]) is not None]
    if not frames:
        return QuestionMedia(images)
    chosen = _chosen(row, frames, shown, n)
    what = f"of the video of question {row['question_id']}"
    pictures = {i: decode_image(frames[i]["bytes"], f"frame {i} {what}") for i in dict.fromkeys(chosen)}
    if len({picture.shape for picture in pictures.values()}) > 1:
        raise ValueError(f"the frames {what} differ in size; rebuild the table that holds it")
    stacked = np.stack([pictures[i] for i in chosen])
    if pixels is not None:
        origin = tables.frame_origin(frames[0]["path"] or "")
        height, width = (origin.height, origin.width) if origin else stacked.shape[1:3]
        stacked = resize(stacked, *smart_size(height, width, *pixels))
    times = tuple(_seconds(frames[i]) for i in chosen)
    return QuestionMedia(images, Video(stacked, _rate(times, len(times))), times)


def _rate(times: Sequence[float], n: int) -> float:
    """Return the seconds between two of n frames that are spread over the time from the first to the last of `times`;
    0 for a single time."""
    return (times[-1] - times[0]) / max(1, n - 1)


def _seconds(frame: Image) -> float:
    """Return the seconds at which a stored frame of a video was taken."""
    seconds = tables.frame_seconds(frame["path"])
    assert seconds is not None
    return seconds


def _chosen(row: QuestionRow, frames: Sequence[Image], shown: str | None, n: int | None) -> list[int]:
    """Return the places, among the stored frames, of those to show."""
    places = list(range(len(frames)))
    if shown is not None and frames:
        found = [tables.frame_origin(image["path"] or "") for image in frames]
        origins = [origin for origin in found if origin is not None]
        if len(origins) == len(found):
            held = {origin.index: place for place, origin in enumerate(origins)}
            wanted = frame_set(shown).indices(origins[0].n_frames, origins[0].fps)
            if not set(wanted) <= held.keys():
                raise ValueError(
                    f"question {row['question_id']}: its table does not hold the frames {shown} of its video; "
                    "delete the table and run again, so that it is imported anew"
                )
            places = [held[index] for index in wanted]
        else:  # nothing else is known of the video: it is what is stored
            span = _seconds(frames[-1]) - _seconds(frames[0])
            places = frame_set(shown).indices(len(frames), (len(frames) - 1) / span if span else 1.0)
    return places if n is None or not places else [places[i] for i in sample_indices(len(places), n)]


def _frozen(array: np.ndarray) -> np.ndarray:
    array.setflags(write=False)
    return array


def _names(paths: Sequence[Path | str]) -> str:
    shown = ", ".join(str(path) for path in paths[:3])
    return (shown or "no file") + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
