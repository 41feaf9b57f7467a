"""Settings of a paid model: keys in the sections of the configuration where they stand, and constants of the code."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rollout3d.config import Api, Cot, Judge

SECTIONS = {"cot": Cot, "judge": Judge}


def placed(section: str, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort keys of `section` (cot, judge) and of `api` into a configuration; constants are left out."""
    found: dict[str, dict[str, Any]] = {section: {}, "api": {}}
    for key, value in values.items():
        if key not in {*Api.__class_vars__, *SECTIONS[section].__class_vars__}:
            found["api" if key in Api.model_fields else section][key] = value
    return found


@contextmanager
def fixed(section: str, values: dict[str, Any]) -> Iterator[None]:
    """Give the constants among `values` these values for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for key, value in values.items():
            for model in (Api, SECTIONS[section]):
                if key in model.__class_vars__:
                    patch.setattr(model, key, value)
        yield
