"""What all tests share: one core for each library, so that tests run side by side and give the same numbers."""

import os

import pytest

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


def pytest_collection_modifyitems(items):
    """Long tests first: with several workers, none of them starts a whole pipeline when the others are done."""
    items.sort(
        key=lambda item: min(
            (rank for rank, mark in enumerate(("slurm", "pipeline")) if mark in item.keywords), default=2
        )
    )


@pytest.fixture(scope="session")
def qwen_files():
    """Directory with tokenizer.json and tokenizer_config.json of Qwen2.5; skips where they cannot be fetched."""
    import qwen_tokenizer

    try:
        return qwen_tokenizer.fetch()
    except qwen_tokenizer.Unavailable as error:
        pytest.skip(f"the tokenizer of Qwen2.5 cannot be fetched: {error}")
