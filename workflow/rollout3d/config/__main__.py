"""Write config/config.yaml from the models: `python -m rollout3d.config`, in the root of the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from rollout3d.config import Config, Section


def render_yaml() -> str:
    """The default configuration as commented YAML: the text of `config/config.yaml`."""
    lines = [
        "# The paper's configuration, with the source of every value. Generated: python -m rollout3d.config",
        "# Do not edit: lay presets or config/local.yaml over it (config/README.md).",
    ]

    def comment(text: str | None, indent: str) -> None:
        for line in (text or "").strip().splitlines():
            lines.append(f"{indent}# {line.strip()}")

    def emit(section: BaseModel, indent: str) -> None:
        for name, info in type(section).model_fields.items():
            value = getattr(section, name)
            comment(info.description, indent)
            if isinstance(value, Section):
                lines.append(f"{indent}{name}:")
                emit(value, indent + "  ")
            elif isinstance(value, dict) and value:
                lines.append(f"{indent}{name}:")
                for key, item in value.items():
                    if isinstance(item, Section):
                        lines.append(f"{indent}  {key}:")
                        emit(item, indent + "    ")
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


if __name__ == "__main__":
    Path("config/config.yaml").write_text(render_yaml())
