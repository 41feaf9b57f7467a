"""Settings and fixtures of all tests.

Libraries use one core each, so that tests can run side by side and give the same numbers.
"""

import os
from pathlib import Path

import pytest

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


FIRST = ("slurm", "pipeline")
"""Marks of the tests that run first."""
NEXT = (
    *("dag/test_dag.py", "dag/test_environments.py", "dag/test_site.py", "dag/test_preflight.py"),
    *("scenes/test_agreement.py", "scenes/test_check.py", "scenes/test_raw_files.py", "scenes/test_new_dataset.py"),
    *("teacher/test_teacher_batch.py", "teacher/test_batch_stages.py", "teacher/test_stage_faults.py"),
    *("package/test_wheel.py", "planning/test_plan.py", "docs/test_commands.py"),
)
"""Files of half a minute and more that run after them."""


def pytest_collection_modifyitems(items):
    """Run long files first: a worker runs a file alone, so one at the end would leave the others without work."""

    def rank(item):
        place = item.path.relative_to(Path(__file__).parent).as_posix()
        late = len(FIRST) + (NEXT.index(place) if place in NEXT else len(NEXT))
        return min((rank for rank, mark in enumerate(FIRST) if mark in item.keywords), default=late)

    items.sort(key=rank)


@pytest.fixture(scope="session")
def qwen_files():
    """Return the folder of tokenizer.json and tokenizer_config.json of Qwen2.5; skip if they cannot be fetched."""
    import qwen_tokenizer

    try:
        return qwen_tokenizer.fetch()
    except qwen_tokenizer.Unavailable as error:
        pytest.skip(f"the tokenizer of Qwen2.5 cannot be fetched: {error}")


@pytest.fixture(scope="session")
def tokenizer():
    """A small tokeniser trained on a few sentences."""
    from toyworld.model.architecture import tiny_tokenizer

    sentences = [
        "These are frames of a video. How many chair(s) are in this room?",
        "Please answer the question using a single word or phrase.",
        "Answer with the option's letter from the given choices directly.",
        "<think> The sofa is left of the table. </think> <answer>3</answer>",
    ]
    return tiny_tokenizer(sentences * 4, 450)
