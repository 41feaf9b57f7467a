import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import training_world


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Tables and an untrained model."""
    return training_world.build(tmp_path_factory.mktemp("training_world"))


@pytest.fixture(scope="session")
def taught(files, tmp_path_factory):
    """A model.json whose model answers in the asked-for format now and then."""
    return training_world.teach(files, tmp_path_factory.mktemp("taught"))
