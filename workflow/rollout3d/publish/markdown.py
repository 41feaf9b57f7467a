"""Parts of a card: front matter, tables, settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml


def front_matter(values: Mapping[str, Any]) -> str:
    """Return the YAML block with which the Hub reads a card; keys keep their order, empty values are left out."""
    held = {key: value for key, value in values.items() if value not in (None, [], {})}
    text = yaml.safe_dump(held, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1000)
    return f"---\n{text}---"


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], numbers: int = 0) -> str:
    """Return a table. The last `numbers` columns are aligned to the right; "None." if there is no row."""
    lines = [f"| {' | '.join(_cell(value) for value in row)} |" for row in rows]
    if not lines:
        return "None."
    marks = ["---"] * (len(columns) - numbers) + ["---:"] * numbers
    return "\n".join([f"| {' | '.join(columns)} |", f"|{'|'.join(marks)}|", *lines])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def percent(value: float | None, signed: bool = False) -> str:
    """Return a number of percent with one decimal; empty for None."""
    return "" if value is None else f"{value:+.1f}" if signed else f"{value:.1f}"


def with_interval(value: float | None, low: float | None, high: float | None, signed: bool = False) -> str:
    """Return a number with its interval in brackets, if it has one."""
    if value is None or low is None or high is None:
        return percent(value, signed)
    return f"{percent(value, signed)} ({percent(low, signed)} to {percent(high, signed)})"


def settings_table(changed: Iterable[tuple[str, str, str]]) -> str:
    """Return the table of keys whose value is not the paper's: key, value here, value of the paper."""
    return table(["Key", "Here", "The paper's"], [(f"`{key}`", here, paper) for key, here, paper in changed])
