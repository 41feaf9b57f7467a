"""Write config/config.yaml and config/schema.json from the models: `python -m rollout3d.config`, in the root folder.

Editors that know the YAML language server read the schema: it lists and explains the keys, and marks wrong ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from rollout3d.config import Config, Section


def render_yaml() -> str:
    """The default configuration as commented YAML: the text of `config/config.yaml`."""
    lines = [
        "# yaml-language-server: $schema=schema.json",
        "# The paper's configuration, with the source of every value. Generated: python -m rollout3d.config",
        "# Do not edit: lay presets or config/local.yaml over it (config/README.md).",
    ]

    def comment(text: str | None, indent: str) -> None:
        for line in (text or "").strip().splitlines():
            lines.append(f"{indent}# {line.strip()}")

    def emit(section: BaseModel, indent: str) -> None:
        """Every key with its text."""
        for name, info in type(section).model_fields.items():
            value = getattr(section, name)
            comment(info.description, indent)
            if isinstance(value, Section):
                lines.append(f"{indent}{name}:")
                emit(value, indent + "  ")
            elif isinstance(value, dict) and value:
                lines.append(f"{indent}{name}:")
                for number, (key, item) in enumerate(value.items()):
                    if isinstance(item, Section) and number == 0:
                        lines.append(f"{indent}  {key}:")
                        emit(item, indent + "    ")
                    elif isinstance(item, Section):  # its keys are explained above
                        own = item.model_dump(mode="json", exclude_defaults=True)
                        lines.append(f"{indent}  {key}: {_scalar(own)}")
                    else:
                        lines.append(f"{indent}  {key}: {_scalar(item)}")
            else:
                lines.append(f"{indent}{name}: {_scalar(value)}")

    emit(Config(), "")
    return "\n".join(lines) + "\n"


def _scalar(value: Any) -> str:
    if isinstance(value, float) and 0 < abs(value) < 1e-3:
        # PyYAML reads 1e-06 as a string; 1.0e-06 is a number.
        mantissa, exponent = f"{value:e}".split("e")
        return f"{float(mantissa)}e{exponent}"
    return yaml.safe_dump(value, default_flow_style=True, width=1000).strip().removesuffix("...").strip()


def render_schema() -> str:
    """Return the JSON schema of the configuration: the text of `config/schema.json`.

    It is that of an overlay: no key is required, and null removes an entry of a dictionary. Settings of the toy world
    are checked when the configuration is read.
    """
    schema = _overlay(Config.model_json_schema())
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of rollout3d"}
    return json.dumps({**schema, **head, "description": "Generated: python -m rollout3d.config"}, indent=1) + "\n"


def _overlay(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_overlay(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _overlay(value) for key, value in schema.items() if key not in ("required", "default")}
    if isinstance(entries := found.get("additionalProperties"), dict):
        found["additionalProperties"] = {"anyOf": [entries, {"type": "null"}]}
    return found


if __name__ == "__main__":
    Path("config/config.yaml").write_text(render_yaml())
    Path("config/schema.json").write_text(render_schema())
