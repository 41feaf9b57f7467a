"""Build DeepSpeed's extensions in a folder of each start, so that no start waits for a build that was killed.

Torch marks a build by a file `lock` in a folder that all programs of a user share. A killed build leaves the file
behind, and every later start waits for it silently and for ever (pytorch issue 189245). The file names no process, so
removing it may break a build that is running. Instead every start builds in a new folder, from a copy of the last
finished build, and puts its result in place by renaming. Locks of other programs are neither read nor removed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import torch
from torch.utils.cpp_extension import get_default_build_root

from rollout3d.training import lock
from rollout3d.training.world import World

log = logging.getLogger(__name__)

VARIABLE = "TORCH_EXTENSIONS_DIR"
"""Environment variable of the folder in which torch builds."""
PREFIX = "rollout3d-extensions-"
"""Prefix of the name of a folder in which one start builds."""
HOLDER = "holder.json"
"""File of such a folder that names the process it belongs to."""


@contextmanager
def built_aside(world: World) -> Iterator[None]:
    """Let torch build its extensions in a folder of this start, shared by the processes of one node.

    All processes enter and leave together. The finished build is kept for later starts below `TORCH_EXTENSIONS_DIR`, or
    torch's own cache folder; where nothing can be written there, every start compiles in the temporary folder.
    """
    here = int(os.environ.get("LOCAL_RANK", 0))
    before = os.environ.get(VARIABLE)
    root = Path(before or get_default_build_root()) / "rollout3d"
    kept = root / _tag()
    folder = None
    try:
        if here == 0:
            folder = _open(root / "starts", kept)
        # torchrun numbers the processes of a node one after the other.
        os.environ[VARIABLE] = str(world.everywhere(folder)[world.rank - here])
        found = _libraries(folder)
        yield
        world.barrier()
        if folder is not None and _libraries(folder) != found:
            _keep(folder, kept)
    finally:
        if before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = before
        if folder is not None:  # loaded libraries stay in memory
            shutil.rmtree(folder, ignore_errors=True)


def _open(starts: Path, kept: Path) -> Path:
    """Create a folder of this process in `starts`, or else in the temporary folder, with a copy of the build `kept`."""
    for place in (starts, Path(tempfile.gettempdir())):
        _remove_dead(place)
    try:
        starts.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=starts))
    except OSError as error:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        log.warning("%s: cannot be written (%s), so what DeepSpeed compiles is not kept there", starts, error)
    (folder / HOLDER).write_text(json.dumps(asdict(lock.Holder.me())))
    try:
        # With the times of the files, by which ninja sees that there is nothing to compile.
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        log.info("%s: DeepSpeed's compiled extensions, copied to %s", kept, folder)
    except OSError:  # none there, or another start is just replacing it
        for copied in folder.glob("*/"):
            shutil.rmtree(copied)
        log.info("DeepSpeed compiles its extensions in %s, which may take a minute", folder)
    return folder


def _keep(folder: Path, kept: Path) -> None:
    """Rename `folder` to `kept`, in place of an older build."""
    (folder / HOLDER).unlink(missing_ok=True)
    old = folder.with_name(f"{folder.name}.old")
    try:
        with suppress(FileNotFoundError):
            kept.rename(old)
        folder.rename(kept)
        log.info("%s: kept for later starts", kept)
    except OSError as error:  # another file system, or another start was faster
        log.info("%s: this start's build is not kept there (%s)", kept, error)
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _remove_dead(place: Path) -> None:
    """Remove folders whose process has certainly ended: it was killed during its build."""
    with suppress(OSError):
        for holder in place.glob(f"{PREFIX}*/{HOLDER}"):
            owner = lock.read(holder)
            if owner is not None and not lock.alive(owner):
                log.warning("%s: removed, %s was killed while it compiled", holder.parent, owner)
                shutil.rmtree(holder.parent, ignore_errors=True)


def _libraries(folder: Path | None) -> set[tuple[str, int]]:
    """Return the built libraries of a folder, with their times of change (ns)."""
    return set() if folder is None else {(str(path), path.stat().st_mtime_ns) for path in folder.glob("*/*.so")}


def _tag() -> str:
    """Return the name of a build for this environment and this processor, for which DeepSpeed compiles."""
    try:
        about = Path("/proc/cpuinfo").read_text()
        processor = re.findall(r"^(?:model name|flags|CPU part|Features)\s*:.*$", about.split("\n\n")[0], re.MULTILINE)
    except OSError:
        processor = [platform.processor()]
    digest = hashlib.sha256("\n".join([sys.prefix, platform.machine(), *processor]).encode()).hexdigest()[:8]
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    return f"{python}-torch{torch.__version__}-deepspeed{version('deepspeed')}-{digest}"
