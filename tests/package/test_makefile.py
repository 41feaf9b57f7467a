"""The Makefile's environment: on machines without ldconfig or root, and what users start from it."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from package.installed import ROOT


def test_system_libraries_are_found_without_ldconfig_or_root(tmp_path):
    for name in ("sh", "id"):
        (tmp_path / name).symlink_to(shutil.which(name))
    make = [shutil.which("make"), "-o", f"{sys.prefix}/ready", "system", f"VENV={sys.prefix}"]
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(ROOT / "workflow")}
    done = subprocess.run(make, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_library_that_is_missing_is_named_with_its_package(tmp_path):
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho libgl1 libx11-6\n")
    python.chmod(0o755)
    for name in ("sh", "id"):
        (tmp_path / name).symlink_to(shutil.which(name))
    (tmp_path / "id").unlink()
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    venv = tmp_path / "venv"
    make = [shutil.which("make"), "-o", f"{venv}/ready", "system", f"VENV={venv}"]
    done = subprocess.run(make, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True)
    assert done.returncode and "sudo apt-get install --no-install-recommends libgl1 libx11-6" in done.stderr


def test_tensorboard_starts():
    program = Path(sys.executable).with_name("tensorboard")
    if not program.exists():
        pytest.skip("tensorboard is not installed")
    done = subprocess.run([program, "--version"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_run_table_of_a_preset_is_in_the_wheel():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    presets = (ROOT / "config" / "presets").glob("*.yaml")
    tables = {yaml.safe_load(preset.read_text()).get("runs", {}).get("table") for preset in presets} - {None}
    assert len(tables) > 3 and tables <= set(included["force-include"])
