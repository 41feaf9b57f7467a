"""Rewrite the rulegraph in docs/architecture.md: `python tests/dag/rulegraph.py` in the root of the repository."""

import re
import subprocess
import sys
from pathlib import Path

graph = subprocess.run(
    [Path(sys.executable).parent / "snakemake", "--rulegraph", "mermaid-js"], capture_output=True, text=True, check=True
).stdout
names = dict(re.findall(r"(id\d+)\[(\w+)\]", graph))
edges = sorted((names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", graph))
lines = "\n".join(f"    {a} --> {b}" for a, b in edges if b != "all")
page = Path("docs/architecture.md")
text = re.sub(r"```mermaid\n.*?```", lambda _: f"```mermaid\nflowchart LR\n{lines}\n```", page.read_text(), flags=re.S)
page.write_text(text)
