"""A clone's configuration, read from what a user wrote."""

import shutil
from pathlib import Path

import pytest

from rollout3d.config import ConfigError, read
from toyworld.settings import StudyConfig

ROOT = Path(__file__).parents[2]


class Study:
    """The configuration of a clone in the working directory."""

    def __call__(self, local=None, *arguments, files=()):
        """Read it with this local.yaml (text or bytes), these --config arguments and --configfile files."""
        if local is not None:
            Path("config/local.yaml").write_bytes(local if isinstance(local, bytes) else local.encode())
        return read.read_study(arguments, files, model=StudyConfig)

    def refused(self, *arguments, **more):
        """The message with which it is refused."""
        with pytest.raises(ConfigError) as caught:
            self(*arguments, **more)
        return str(caught.value)


@pytest.fixture
def study(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "config", tmp_path / "config", ignore=shutil.ignore_patterns("local.y*ml"))
    monkeypatch.chdir(tmp_path)
    return Study()
