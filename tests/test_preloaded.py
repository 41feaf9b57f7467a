"""Programs in preloaded interpreters behave as those in bare ones: arguments, streams, environment, status, signals."""

import os
import signal
import subprocess
import sys
import time

import pytest

import preloaded

PROGRAM = """
import json, os, sys
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get("MARK"), sys.path[0], __name__, sys.stdin.read()]))
print("a warning", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def python():
    return preloaded.python(("colorsys",))


@pytest.fixture
def program(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    return tmp_path


def run(start, folder, *arguments):
    environment = {**os.environ, "MARK": "mine", "PYTHONPATH": str(folder)}
    return subprocess.run(
        [start, *arguments], cwd=folder, env=environment, input="typed", capture_output=True, text=True
    )


@pytest.mark.parametrize("status", ["0", "3"])
@pytest.mark.parametrize("how", [["program.py"], ["-m", "program"], ["-u", "-m", "program"]])
def test_a_program_gets_and_returns_what_it_does_in_a_bare_interpreter(python, program, how, status):
    here, there = (run(start, program, *how, status, "two words") for start in (python, sys.executable))
    assert here.returncode == there.returncode == int(status)
    assert here.stderr == there.stderr == "a warning\n"
    assert here.stdout.replace(f'"{program}"', '""') == there.stdout.replace(f'"{program}"', '""')


def test_libraries_are_there_and_the_tests_own_modules_are_not(python, program):
    (program / "program.py").write_text("import sys; print('colorsys' in sys.modules, 'pytest' in sys.modules)")
    assert run(python, program, "program.py").stdout == "True False\n"


def test_an_error_and_a_signal_end_the_program_and_its_caller_alike(python, program):
    (program / "program.py").write_text("import nowhere")
    done = run(python, program, "program.py")
    assert done.returncode == 1 and "ModuleNotFoundError: No module named 'nowhere'" in done.stderr
    (program / "program.py").write_text("import os; os.kill(os.getpid(), 9)")
    assert run(python, program, "program.py").returncode == -signal.SIGKILL


def test_a_signal_reaches_the_program(python, program):
    (program / "program.py").write_text("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
    for number in (signal.SIGTERM, signal.SIGKILL):
        process = subprocess.Popen([python, "program.py"], cwd=program, stdout=subprocess.PIPE)
        pid = int(process.stdout.readline())
        process.send_signal(number)
        assert process.wait(20) == -number
        ended = time.monotonic() + 20
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < ended:
            time.sleep(0.01)
        assert not os.path.exists(f"/proc/{pid}")
