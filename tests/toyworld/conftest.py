"""A tokenizer learnt from a few sentences."""

import pytest

from toyworld.model.architecture import tiny_tokenizer

CORPUS = [
    "These are frames of a video. How many chair(s) are in this room?",
    "Please answer the question using a single word or phrase.",
    "Answer with the option's letter from the given choices directly.",
    "<think> The sofa is left of the table. </think> <answer>3</answer>",
] * 4


@pytest.fixture(scope="session")
def tokenizer():
    return tiny_tokenizer(CORPUS, 450)
