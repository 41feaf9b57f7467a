"""Extensions of torch are built aside: killed builds, builds of others, and what is kept of a finished one."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import training_world as tw
from torch.utils import _cpp_extension_versioner, cpp_extension
from training_world import LAUNCH

from rollout3d.training.engines import extensions
from rollout3d.training.engines.extensions import built_aside
from rollout3d.training.world import World

COMPILER = """#!/bin/sh
for a in "$@"; do
  if [ "$a" = -c ]; then
    echo "$$" >> {folder}/compiled
    while [ -e {folder}/slow ]; do sleep 0.1; done
  fi
done
exec g++ "$@"
"""
"""A compiler that counts its calls, and hangs as long as a file is there."""

START = """
import sys
from torch.utils.cpp_extension import load
from rollout3d.training.engines.extensions import built_aside
from rollout3d.training.world import World

world = World.start()
with built_aside(world):
    load("tiny_extension", [sys.argv[1]], is_python_module=False)
print(f"loaded by {world.rank}\\n", end="", flush=True)  # in one write: processes share the stream
world.stop()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A cache of extensions that all programs share, a temporary folder, an extension's source, a compiler."""
    (tmp_path / "source.cpp").write_text('extern "C" int answer() { return 42; }\n')
    (tmp_path / "start.py").write_text(START)
    (tmp_path / "g++").write_text(COMPILER.format(folder=tmp_path))
    (tmp_path / "g++").chmod(0o755)
    for name in ("cache", "tmp"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("CXX", str(tmp_path / "g++"))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def start(place, processes=1):
    program = [sys.executable, LAUNCH, "--processes", processes, "--", place / "start.py", place / "source.cpp"]
    return subprocess.Popen(
        [str(part) for part in program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def load_here(place):
    """A start in this process, which torch takes for a new one."""
    cpp_extension.JIT_EXTENSION_VERSIONER = _cpp_extension_versioner.ExtensionVersioner()
    with built_aside(World()):
        cpp_extension.load("tiny_extension", [str(place / "source.cpp")], is_python_module=False)
    assert os.environ["TORCH_EXTENSIONS_DIR"] == str(place / "cache")


def compiled(place):
    log = place / "compiled"
    return len(log.read_text().split()) if log.exists() else 0


def kept(place):
    return sorted(path.parent.parent for path in (place / "cache" / "rollout3d").glob("*/tiny_extension/*.so"))


def folders(place):
    """Folders in which a start builds."""
    return [*(place / "cache" / "rollout3d" / "starts").glob("*"), *(place / "tmp").glob(f"{extensions.PREFIX}*")]


def wait_for(condition, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.05)


def test_a_build_that_was_killed_holds_up_no_later_start(place):
    """Torch's own lock outlives SIGKILL, and whoever builds in the same folder then waits for ever."""
    (place / "slow").touch()
    first = start(place)
    wait_for(lambda: compiled(place) == 1)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    (left,) = folders(place)
    assert (left / "tiny_extension" / "lock").exists()
    (place / "slow").unlink()
    second = start(place)
    assert "loaded by 0" in second.communicate(timeout=90)[0]
    assert compiled(place) == 2 and len(kept(place)) == 1
    assert folders(place) == [], "the killed one's is removed, the second one's is kept under its name"


def test_a_build_that_lives_is_left_alone_and_so_is_the_lock_of_another_program(place):
    ours = start(place)
    (place / "slow").touch()
    wait_for(lambda: compiled(place) == 1)
    theirs = place / "cache" / "tiny_extension" / "lock"  # torch's own name for a build in this cache
    theirs.parent.mkdir()
    theirs.touch()
    before = folders(place)
    assert len(before) == 1
    extensions._remove_dead(before[0].parent)
    with built_aside(World()):
        assert before[0] in folders(place)
    assert folders(place) == before
    (place / "slow").unlink()
    assert "loaded by 0" in ours.communicate(timeout=90)[0]
    assert theirs.exists() and len(kept(place)) == 1


def test_processes_of_one_node_compile_once(place):
    both = start(place, processes=2)
    said = both.communicate(timeout=120)[0]
    assert "loaded by 0" in said and "loaded by 1" in said
    assert compiled(place) == 1 and len(kept(place)) == 1 and folders(place) == []


def test_two_starts_at_once_build_apart_and_one_result_is_kept(place):
    (place / "slow").touch()
    both = [start(place), start(place)]
    wait_for(lambda: compiled(place) == 2)
    assert len(folders(place)) == 2
    (place / "slow").unlink()
    assert all("loaded by 0" in each.communicate(timeout=120)[0] for each in both)
    assert len(kept(place)) == 1 and folders(place) == []


def test_a_finished_build_is_compiled_again_only_if_its_source_changes(place):
    for _ in range(2):
        load_here(place)
        assert compiled(place) == 1 and folders(place) == []
    (place / "source.cpp").touch()
    for _ in range(2):
        load_here(place)
        assert compiled(place) == 2 and len(kept(place)) == 1 and folders(place) == []


def test_nothing_is_kept_of_a_build_that_fails(place):
    (place / "source.cpp").write_text("no C++")
    with pytest.raises(RuntimeError, match="Error building extension"):
        load_here(place)
    assert kept(place) == [] and folders(place) == []
    assert os.environ["TORCH_EXTENSIONS_DIR"] == str(place / "cache")


def test_a_cache_that_cannot_be_written_is_read_and_said(place, caplog):
    load_here(place)
    starts = place / "cache" / "rollout3d" / "starts"
    shutil.rmtree(starts)
    starts.touch()  # stands in for a read-only file system: no folder can be made there
    load_here(place)
    assert compiled(place) == 1, "the build that is kept there is read all the same"
    assert f"{starts}: cannot be written" in caplog.text and folders(place) == []


def test_without_any_place_in_the_cache_it_is_compiled_in_the_temporary_folder(place, monkeypatch, caplog):
    nowhere = place / "source.cpp" / "below"
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(nowhere))
    cpp_extension.JIT_EXTENSION_VERSIONER = _cpp_extension_versioner.ExtensionVersioner()
    with built_aside(World()):
        built = Path(os.environ["TORCH_EXTENSIONS_DIR"])
        cpp_extension.load("tiny_extension", [str(place / "source.cpp")], is_python_module=False)
        assert built.parent == place / "tmp" and list(built.glob("*/*.so"))
    assert compiled(place) == 1 and "cannot be written" in caplog.text and folders(place) == []


def test_a_build_for_another_processor_is_not_used(place, monkeypatch):
    load_here(place)
    monkeypatch.setattr(extensions, "_tag", lambda: "elsewhere")
    load_here(place)
    assert compiled(place) == 2 and len(kept(place)) == 2


@pytest.mark.pipeline
@pytest.mark.long
def test_a_killed_start_of_deepspeed_holds_up_no_later_one(files, tmp_path):
    """The real thing, about a minute a start: killed while it compiles, then started again."""
    config = tw.config(max_new_tokens=24, deepspeed="zero2")
    made = tw.command("train_grpo", config, tw.run("vanilla", steps=1), files, files["init"], tmp_path / "run")
    module = made.index("rollout3d.stages.train_grpo")
    made[module - 1 : module + 1] = [str(Path(__file__).parent / "compiles.py")]
    environment = {**os.environ, "TORCH_EXTENSIONS_DIR": str(tmp_path / "cache")}
    first = subprocess.Popen(made, env=environment, start_new_session=True)
    wait_for(lambda: any((tmp_path / "cache").glob("rollout3d/starts/*/*/lock")))
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert any((tmp_path / "cache").glob("rollout3d/starts/*/*/lock"))
    subprocess.run(made, env=environment, check=True, timeout=400)
    assert (tmp_path / "run" / "model.json").exists()
    assert not any((tmp_path / "cache" / "rollout3d" / "starts").iterdir())


@pytest.mark.pipeline
def test_a_start_of_deepspeed_compiles_nothing(files, tmp_path):
    """On a CPU it would compile an all-reduce for inference, for 40 s."""
    config = tw.config(max_new_tokens=6, deepspeed="zero2")
    made = tw.quick_command("train_grpo", config, tw.run("vanilla", steps=1), files, files["init"], tmp_path / "run")
    environment = {**os.environ, "TORCH_EXTENSIONS_DIR": str(tmp_path / "cache")}
    subprocess.run(made, env=environment, check=True, timeout=400)
    assert not list((tmp_path / "cache").rglob("*.so"))
