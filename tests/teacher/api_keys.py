"""Settings of a paid model in the sections of the configuration where they stand."""

from typing import Any

from rollout3d.config import Api


def placed(section: str, values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort keys of `section` (cot, judge) and of `api` into a configuration."""
    shared = {key: value for key, value in values.items() if key in Api.model_fields}
    return {section: {key: value for key, value in values.items() if key not in shared}, "api": shared}
