"""Settings and fixtures of all tests.

Libraries use one core each, so that tests can run side by side and give the same numbers.
"""

import os

import pytest

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items):
    """Run long tests first, so that with several workers none starts a whole pipeline when the others are done."""
    items.sort(
        key=lambda item: min(
            (rank for rank, mark in enumerate(("slurm", "pipeline")) if mark in item.keywords), default=2
        )
    )


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
