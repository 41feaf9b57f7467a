"""The real engine on a CPU, in the environment of `make test-vllm`; elsewhere these tests are skipped."""

import importlib.util
import os
import runpy
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SHIM = HERE / "shim"
sys.path[:0] = [str(HERE), str(HERE.parent / "training")]

# Where vLLM is not installed its name finds this very directory, which has no origin.
FOUND = importlib.util.find_spec("vllm")
INSTALLED = FOUND is not None and FOUND.origin is not None
if INSTALLED:
    # Before torchvision, transformers and vLLM are imported, here and in the processes that these tests start.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SHIM), os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    # Compiling takes minutes on a slow machine and changes no answer.
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    SHIMMED = runpy.run_path(str(SHIM / "sitecustomize.py"))

from model.conftest import frames  # noqa: E402, F401 (a fixture)


def pytest_collection_modifyitems(items):
    if not INSTALLED:
        for item in items:
            if item.path.is_relative_to(HERE):
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed: make test-vllm"))
