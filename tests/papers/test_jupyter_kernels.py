"""Kernels forked from a process that has the imports behind it."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from papers.jupyter_kernels import FOLDER, ThisPython

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nothing is forked elsewhere")

SERVER = """
import subprocess, sys
code = "import sys; from papers.jupyter_kernels import serve; "
code += "serve(sys.argv[1], ['ipykernel.kernelapp', 'fractions'])"
subprocess.Popen([sys.executable, "-c", code, sys.argv[1]])
input()
"""


@pytest.fixture
def server(monkeypatch):
    """Start what a make starts: a process, and the server that ends with it."""
    with tempfile.TemporaryDirectory(prefix="k") as above:
        folder = Path(above, "kernels")
        folder.mkdir()
        command = [sys.executable, "-c", SERVER, folder]
        with subprocess.Popen(command, stdin=subprocess.PIPE) as starter:
            until(lambda: (folder / "kernels").exists())
            monkeypatch.setenv(FOLDER, str(folder))
            yield starter, folder
            starter.kill()
        until(lambda: not folder.exists())  # so it ended


def until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def ended(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def said(*lines: str, end: bool = True) -> tuple[list[str], ThisPython]:
    """Return what a new kernel prints."""
    manager = ThisPython(kernel_name="python3")
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        await client.wait_for_ready(timeout=60)
        printed = []
        reply = await client.execute_interactive(
            "\n".join(lines),
            output_hook=lambda message: printed.append(message["content"].get("text", "")),
        )
        assert reply["content"]["status"] == "ok"
    finally:
        client.stop_channels()
        if end:
            await manager.shutdown_kernel()
    return "".join(printed).split("\n"), manager


def test_a_kernel_has_the_imports_and_its_own_environment_and_code(server, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ONLY_HERE", "yes")
    lines, manager = asyncio.run(
        said(
            "import os, sys",
            "print('fractions' in sys.modules, 'papers' in sys.modules)",
            "print(os.getcwd(), os.environ['ONLY_HERE'], os.getpid(), os.getppid())",
            "import subprocess; print(subprocess.run(['false']).returncode)",
        )
    )
    assert lines[0] == "True False"
    cwd, own, pid, parent = lines[1].split()
    assert (cwd, own) == (str(tmp_path), "yes")
    assert b"papers.jupyter_kernels" in Path(f"/proc/{parent}/cmdline").read_bytes()
    assert lines[2] == "1"  # a process that a kernel starts still has its status
    until(lambda: ended(int(pid)))
    assert not asyncio.run(manager.is_alive())


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "PYTHONPATH", "CUDA_VISIBLE_DEVICES"])
def test_a_kernel_that_wants_what_is_fixed_at_import_is_started_anew(server, monkeypatch, name):
    here = os.pathsep.join(path for path in sys.path if path)
    monkeypatch.setenv(name, here if name == "PYTHONPATH" else "3")
    asked = f"import os, sys; print('fractions' in sys.modules, os.getppid(), os.environ[{name!r}])"
    lines, _ = asyncio.run(said(asked))
    assert lines[0] == f"False {os.getpid()} {os.environ[name]}"


def test_a_kernel_does_not_outlive_who_asked_for_it(server):
    code = "\n".join(
        [
            "import asyncio, os, signal, sys",
            "from tests.papers.test_jupyter_kernels import said",
            "lines, _ = asyncio.run(said('import os; print(os.getpid())', end=False))",
            "print(lines[0], flush=True)",
            "os.kill(os.getpid(), signal.SIGKILL)",
        ]
    )
    env = os.environ | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    killed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert killed.returncode == -signal.SIGKILL
    until(lambda: ended(int(killed.stdout)))


def test_who_hangs_up_does_not_end_the_server(server):
    _, folder = server
    for sent in (b"", b"\0" * 7 + b"\xff" + b"{", b"\0" * 7 + b"\2no"):
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(folder / "kernels"))
            asking.sendall(sent)
    lines, _ = asyncio.run(said("import sys; print('fractions' in sys.modules)"))
    assert lines[0] == "True"


def test_a_kernel_outlives_the_server(server):
    starter, folder = server

    async def after() -> bool:
        _, manager = await said("1", end=False)
        starter.kill()
        starter.wait()
        while folder.exists():
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)  # longer than a kernel takes to see that its parent is gone
        alive = await manager.is_alive()
        await manager.shutdown_kernel(now=True)
        return alive

    assert asyncio.run(after())


def test_without_a_server_a_kernel_starts_as_usual(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER, str(tmp_path))
    lines, _ = asyncio.run(said("import os; print(os.getppid())"))
    assert lines[0] == str(os.getpid())
