"""Write the time of each folder into tests/README.md: `python tests/seconds.py JUNIT.xml`, from a run of pytest."""

from __future__ import annotations

import os
import platform
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from pathlib import Path

PAGE = Path(__file__).parent / "README.md"
ROW = re.compile(r"^(\| `(\w+)` \| .*?) \| \S+ \| \S+ \|$", re.MULTILINE)


def measured(junit: Path) -> dict[str, tuple[int, float]]:
    """Return folder of tests -> number of tests that ran, and their seconds in sum."""
    found: dict[str, list[float]] = defaultdict(list)
    for case in ElementTree.parse(junit).iter("testcase"):
        parts = case.get("classname", "").split(".")
        if len(parts) > 2 and case.find("skipped") is None:
            found[parts[1]].append(float(case.get("time", 0)))
    return {folder: (len(times), sum(times)) for folder, times in found.items()}


def written(text: str, times: dict[str, tuple[int, float]], machine: str) -> str:
    """Return the page with tests and seconds of each measured folder, and the machine's words."""

    def row(match: re.Match[str]) -> str:
        if match[2] not in times:
            return match[0]
        n, seconds = times[match[2]]
        return f"{match[1]} | {n} | {seconds:.0f} |"

    return re.sub(r"(?<=last measurement: ).*(?=\.$)", machine, ROW.sub(row, text), flags=re.MULTILINE)


if __name__ == "__main__":
    words = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    PAGE.write_text(written(PAGE.read_text(), measured(Path(sys.argv[1])), words))
