"""Constants of the configuration's models, with the values that a test needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rollout3d.config import Section


@contextmanager
def fixed(model: type[Section], **values: Any) -> Iterator[None]:
    """Give class variables of a model these values for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            assert name in model.__class_vars__, name
            patch.setattr(model, name, value)
        yield
