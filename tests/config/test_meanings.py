"""Every key of the configuration says what it means, and where its value comes from."""

import re
from collections.abc import Iterator

import pytest

from rollout3d.config import Config, Section
from rollout3d.config.base import plain
from toyworld.settings import StudyConfig

PARTS = re.compile(r"(?P<meaning>[A-Z][^?]*\.)\s+\[(?P<source>[^\[\]]+)\]")
"""Sentences, then the source in brackets."""
SOURCES = ("OCR", "Video-R1", "SpaceR", "VSI-Bench", "VLM-3R", "NoisyRollout", "Qwen2.5-VL", "assumed")
"""Words with which a source begins."""


def texts(model: type[Section], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every key below a model with its text; keys of a section in a dictionary once."""
    for name, info in model.model_fields.items():
        inner = plain(info.annotation)
        inner = getattr(inner, "__args__", (inner,))[-1]
        if isinstance(inner, type) and issubclass(inner, Section):
            yield from texts(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", " ".join((info.description or "").split())


TEXTS = dict(texts(Config))


def test_every_key_is_looked_at():
    assert {"seed", "datasets.splits.train", "models.name", "grpo.ablation.kl", "site.python"} <= set(TEXTS)
    assert set(Config.model_fields) == set(StudyConfig.model_fields), "a key of the toy world: give it a text, too"


@pytest.mark.parametrize("key", TEXTS)
def test_a_key_has_its_meaning_in_sentences_and_its_source_in_brackets(key):
    found = PARTS.fullmatch(TEXTS[key])
    assert found, TEXTS[key]
    assert len(found["meaning"].split()) >= 4, "a fragment"
    assert found["source"].startswith(SOURCES), f"begin the source with one of {', '.join(SOURCES)}"
