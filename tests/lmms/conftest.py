"""lmms-eval itself, in the environment of `make test-lmms`; elsewhere these tests are skipped."""

import importlib.util
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    if importlib.util.find_spec("lmms_eval") is None:
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="lmms-eval is not installed: make test-lmms"))
