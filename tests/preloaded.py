"""Interpreters that have imported large libraries once, and start each program as a fork of themselves.

Starting Python takes 4 s for a stage that needs transformers and 1 s for Snakemake, of which the program itself is a
small part. `python(LIBRARIES)` returns the path of an executable that is used as `python` is: `python SCRIPT ...` or
`python -m MODULE ...`. Each call is a process of its own, with its own arguments, folder, environment, streams, exit
status and signals; this package's modules are imported afresh, from the paths of its own PYTHONPATH. Only the modules
in LIBRARIES (and what they import) are there already. Tests that hold what an interpreter does at its start, such as
which libraries a command imports, or that kill process groups, use `sys.executable`.
"""

from __future__ import annotations

import array
import atexit
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import ModuleType

SNAKEMAKE = ("snakemake.cli", "pandas", "pyarrow.parquet", "pydantic", "tomllib", "snakemake_executor_plugin_slurm")
"""Libraries that a dry run imports."""
STAGE = ("torch", "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl", "pyarrow.parquet", "pydantic", "scipy.optimize")
"""Libraries that stages with a model import."""

EXECUTABLE = "TESTS_PYTHON"
"""Environment variable with the interpreter that programs find in `sys.executable`, and start others with."""

CLIENT = """#!{python} -IS
import array, json, os, signal, socket, sys

arguments = sys.argv[1:]
while arguments[:1] == ["-u"]:
    arguments = arguments[1:]
if not arguments or (arguments[0].startswith("-") and arguments[0] != "-m"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({socket!r})
    request = json.dumps([arguments, os.getcwd(), {starts} | dict(os.environ)]).encode()
    streams = array.array("i", (0, 1, 2))
    server.sendmsg([b"%8d" % len(request)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
    server.sendall(request)
    pid = int(server.recv(16))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, lambda number, _: os.kill(pid, number))
    status = int(server.recv(16))
if status < 0:
    if -status != signal.SIGKILL:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@cache
def python(libraries: tuple[str, ...]) -> str:
    """Return an executable that starts programs with `libraries` imported; it lasts as long as this process.

    Stages start others with it too, such as torchrun its workers. Snakemake does so where EXECUTABLE names it.
    """
    folder = Path(tempfile.mkdtemp(prefix="preloaded"))  # the server removes it
    client, address = folder / "python", str(folder / "socket")
    starts = {EXECUTABLE: str(client)} if libraries == STAGE else {}
    client.write_text(CLIENT.format(python=sys.executable, socket=address, starts=starts))
    client.chmod(0o755)
    # As in a shell: libraries that read these at their import must not find what the tests set for themselves.
    unset = ("PYTHONPATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, __file__, address, *libraries]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert server.stdin and server.stdout
    if server.stdout.readline() != b"ready\n":
        raise RuntimeError(f"{' '.join(command)} did not start")
    atexit.register(lambda: (server.stdin.close(), server.wait()))
    return str(client)


def serve(address: str, libraries: list[str]) -> list[str] | None:
    """Fork for every request. Return the arguments in each child, and None in the server at its end."""
    for name in libraries:
        importlib.import_module(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    os.write(1, b"ready\n")
    selector = selectors.DefaultSelector()
    selector.register(server, selectors.EVENT_READ, "request")
    selector.register(0, selectors.EVENT_READ, "end")
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for key, _ in selector.select():
            if key.data == "end":  # the tests' process has ended
                for pid, _connection in running.values():
                    os.kill(pid, signal.SIGKILL)
                return None
            if key.data == "request":
                connection, _ = server.accept()
                found = _receive(connection)
                if found is None:
                    connection.close()
                    continue
                (arguments, folder, environment), streams = found
                pid = os.fork()
                if not pid:
                    _become(folder, environment, streams)
                    return arguments
                for stream in streams:
                    os.close(stream)
                connection.sendall(b"%d" % pid)
                ended = os.pidfd_open(pid)
                running[ended] = pid, connection
                selector.register(ended, selectors.EVENT_READ, "ended")
                selector.register(connection, selectors.EVENT_READ, ended)
            elif key.data == "ended":
                pid, connection = running.pop(key.fd)
                _, status = os.waitpid(pid, 0)
                with suppress(OSError, KeyError):
                    selector.unregister(connection)
                with suppress(OSError):
                    connection.sendall(b"%d" % os.waitstatus_to_exitcode(status))
                connection.close()
                selector.unregister(key.fd)
                os.close(key.fd)
            else:  # the client was killed
                selector.unregister(key.fileobj)
                if key.data in running:
                    os.kill(running[key.data][0], signal.SIGKILL)


def _receive(connection: socket.socket) -> tuple[list, list[int]] | None:
    """Return what a client sent, and its streams; None if it was killed before."""
    streams = array.array("i")
    head, extra, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(3 * streams.itemsize))
    for level, kind, data in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            streams.frombytes(data)
    if len(head) < 8 or len(streams) != 3:
        return None
    text = b""
    while len(text) < int(head):
        part = connection.recv(int(head) - len(text))
        if not part:
            return None
        text += part
    return json.loads(text), streams.tolist()


def _become(folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """Give a child the streams, environment and folder of its client, and nothing of the server."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
    os.closerange(3, 1024)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)


def run(arguments: list[str], paths: list[str]) -> None:
    """Run a script or a module as Python does. `paths`: of the interpreter, those of PYTHONPATH left out."""
    module = arguments[0] == "-m"
    first = os.getcwd() if module else os.path.dirname(os.path.realpath(arguments[0]))
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [first, *given, *paths]
    sys.executable = os.environ.get(EXECUTABLE, sys.executable)
    sys.orig_argv = [sys.executable, *arguments]
    importlib.invalidate_caches()
    if given:
        with suppress(ImportError):
            importlib.import_module("sitecustomize")
    main = sys.modules["__main__"] = ModuleType("__main__")
    if module:
        sys.argv = ["-m", *arguments[2:]]
        runpy._run_module_as_main(arguments[1])
        return
    sys.argv = arguments
    main.__file__ = arguments[0]
    with open(arguments[0], "rb") as file:
        code = compile(file.read(), arguments[0], "exec")
    exec(code, main.__dict__)


if __name__ == "__main__":
    started = serve(sys.argv[1], sys.argv[2:])
    if started:
        run(started, sys.path[1:])
    else:
        shutil.rmtree(Path(sys.argv[1]).parent)
