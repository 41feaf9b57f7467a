"""What numba has compiled, shared between the clone and copies of it: compiling everything takes 20 s and more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def share(source: Path, target: Path) -> None:
    """Copy what numba has compiled below a folder `source` to `target`, which holds the same modules.

    Numba takes a compiled function only where time and size of its module's file are those at which it was compiled.
    """
    for index in source.rglob("__pycache__/*.nbi"):
        cache = target / index.parent.relative_to(source)
        if not cache.parent.is_dir() or (cache / index.name).exists():
            continue
        cache.mkdir(exist_ok=True)
        # The index last: it names the files.
        for path in (*index.parent.glob(f"{index.name.removesuffix('nbi')}*.nbc"), index):
            aside = cache / f".{path.name}.{os.getpid()}"
            shutil.copy2(path, aside)
            os.replace(aside, cache / path.name)
