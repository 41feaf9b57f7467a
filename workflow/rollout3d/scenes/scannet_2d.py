"""ScanNet's optional pictures of instances, `<id>_2d-instance-filt.zip`: the release's own projection of its labels.

Members: instance-filt/<n>.png, n the index of the frame in the `.sens` file without leading zeros, 8 bits, the size of
the colour picture; 0 = nothing, else objectId + 1.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np

from rollout3d.scenes.scan import ScanError

_MOST_BYTES = 1 << 26


def instance_picture(path: Path, index: int) -> np.ndarray | None:
    """objectId of each pixel of a frame (H,W) i64, -1 = none; None if the archive lacks the frame. Raises `ScanError`.

    The one member is read by its name; nothing is extracted to a path.
    """
    name = f"instance-filt/{index}.png"
    try:
        with zipfile.ZipFile(path) as archive:
            if name not in archive.namelist():
                return None
            if archive.getinfo(name).file_size > _MOST_BYTES:
                raise ScanError(path, f"{name} claims {archive.getinfo(name).file_size} bytes")
            data = archive.read(name)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise ScanError(path, f"{name} cannot be read ({error})") from error
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    if picture is None or picture.ndim != 2 or picture.dtype != np.uint8:
        raise ScanError(path, f"{name} is no picture of one channel of 8 bits")
    return picture.astype(np.int64) - 1


def label_overlap(
    instances: np.ndarray, owner: np.ndarray, faces: np.ndarray, members: dict[int, np.ndarray], share: float
) -> list[float]:
    """IoU of each object's pixels in an instance picture (H,W) and in what the mesh shows, `raster.rasterise`'s owner
    (h,w), scaled to it; of objects with at least `share` of the mesh's picture. `members`: vertices by objectId."""
    height, width = owner.shape
    ids = cv2.resize(instances.astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST).astype(np.int64)
    of_vertex = np.full(int(faces.max()) + 1, -1)
    for object_id, index in members.items():
        of_vertex[index[index < len(of_vertex)]] = object_id
    shown = np.where(owner >= 0, of_vertex[faces[owner.clip(0), 0]], -1)
    found, counts = np.unique(shown, return_counts=True)
    large = found[(found >= 0) & (counts >= share * owner.size)]
    return [float(((shown == k) & (ids == k)).sum() / ((shown == k) | (ids == k)).sum()) for k in large]
