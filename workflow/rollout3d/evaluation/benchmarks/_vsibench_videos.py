"""VSI-Bench's videos: `<dataset>/<scene>.mp4`, or members of `<dataset>.zip` as downloaded."""

from __future__ import annotations

import logging
import zipfile
from functools import cache
from pathlib import Path, PurePosixPath

from rollout3d.evaluation.benchmarks._common import BenchmarkError
from rollout3d.evaluation.benchmarks._videos import Packed, Source, members

LOG = logging.getLogger(__name__)


def find(root: Path, datasets: dict[str, str], how: str) -> dict[str, Source]:
    """Find the video of each scene; `datasets`: scene -> dataset. A file goes before a member of an archive.

    Raises BenchmarkError if videos are missing, naming some, and for an archive that is needed and cannot be read.
    """
    archive_of = cache(lambda dataset: _members(root / f"{dataset}.zip", dataset, how))
    found: dict[str, Source] = {}
    missing: list[Path] = []
    faults: dict[str, BenchmarkError] = {}
    for scene, dataset in sorted(datasets.items(), key=lambda item: (item[1], item[0])):
        file = root / dataset / f"{scene}.mp4"
        packed_ones: dict[str, zipfile.ZipInfo] = {}
        if dataset not in faults:
            try:
                packed_ones = archive_of(dataset)
            except BenchmarkError as error:
                faults[dataset] = error
        unpacked = file.is_file()
        if not unpacked and dataset in faults:
            raise faults[dataset]
        if unpacked or scene in packed_ones:
            packed = Packed(root / f"{dataset}.zip", packed_ones[scene]) if scene in packed_ones else None
            found[scene] = Source(file if unpacked else None, packed)
        else:
            missing.append(file)
    for dataset in faults:
        LOG.warning("%s; its unpacked videos are read, without a check of their checksums", faults[dataset])
    if missing:
        names = ", ".join(str(path) for path in missing[:3])
        raise BenchmarkError(
            f"{len(missing)} of {len(datasets)} videos are missing, such as {names}, and are in no archive beside "
            f"their folder ({', '.join(sorted({f'{path.parent.name}.zip' for path in missing}))}); {how}, or name the "
            "parts that are whole in evaluation.datasets, and every score says so"
        )
    return found


def _members(path: Path, dataset: str, how: str) -> dict[str, zipfile.ZipInfo]:
    """List the videos of an archive by scene, none where there is no archive. Names must stay within the archive."""
    if not path.is_file():
        return {}
    found: dict[str, list[tuple[PurePosixPath, zipfile.ZipInfo]]] = {}
    for name, entry in members(path, how, (".mp4",)):
        found.setdefault(name.stem, []).append((name, entry))
    chosen = {}
    for scene, named in found.items():
        own = [entry for name, entry in named if name.parent.name == dataset] if len(named) > 1 else [named[0][1]]
        if len(own) != 1:
            raise BenchmarkError(f"{path}: {len(named)} members are the video {scene}.mp4; {how}")
        chosen[scene] = own[0]
    return chosen
