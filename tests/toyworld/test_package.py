"""The package as others use it: its README's example runs, and importing it loads nothing."""

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "workflow" / "toyworld"


def test_the_example_of_the_readme_writes_a_scan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", (PACKAGE / "README.md").read_text(), re.S)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    scan = tmp_path / "release" / "scans" / "scene0000_00"
    assert sorted(path.name for path in names["files"]) == sorted(path.name for path in scan.iterdir())
    assert len(names["answers"]["boxes"]) == len(names["world"].things) >= 15


def test_every_part_that_the_readme_lists_is_there():
    listed = set(re.findall(r"^\| `(\w+)` \|", (PACKAGE / "README.md").read_text(), re.M))
    parts = {p.stem for p in PACKAGE.glob("*.py")} | {
        p.name for p in PACKAGE.iterdir() if (p / "__init__.py").is_file()
    }
    assert listed == parts - {"__init__"}


def test_importing_the_package_loads_nothing_else():
    code = "import sys, toyworld; print([name for name in sys.modules if name.split('.')[0] in ('numpy', 'rollout3d')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"
