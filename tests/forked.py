"""Programs that are forked from a process which has imported what all of them import.

A kernel or a command takes some seconds to import torch and timm. A forked one finds them there.
Nothing of the project is imported before the fork.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

OTHERS = ["torch", "timm", "xarray", "pandas", "scipy.stats", "sklearn.datasets"]
OTHERS += ["ipykernel.kernelapp"]


def run_module(words: list[str], *, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    """Do in a fork what ``python -m`` with these words does in `cwd`, and say what became of it."""
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        process = _started(words, cwd, env, files)
        process.join()
        return subprocess.CompletedProcess(
            words, process.exitcode, *(file.read_text("utf-8") for file in files)
        )


class Kernel:
    """As much of a `subprocess.Popen` as jupyter_client wants of a kernel in this Python."""

    stdin = stdout = stderr = None

    def __init__(self, cmd: list[str], *, env: dict[str, str], **_: object):
        python, m, *words = cmd
        assert (python, m, words[0]) == (sys.executable, "-m", "ipykernel_launcher")
        self.process = _started(words, Path.cwd(), env)
        self.pid = self.process.pid
        while os.getpgid(self.pid) != self.pid:  # signals go to a whole group: first it has its own
            time.sleep(0.001)

    def poll(self) -> int | None:
        return self.process.exitcode

    def wait(self) -> int | None:
        self.process.join()
        return self.process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _started(words: list[str], cwd: Path, env: dict[str, str], files: list = ()) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(OTHERS)
    process = context.Process(target=_program, args=(words, cwd, env, files), daemon=True)
    process.start()
    return process


def _program(words: list[str], cwd: Path, env: dict[str, str], files: list[Path]) -> None:
    """Be ``python -m`` with these words, started in `cwd`, its output in `files`."""
    os.setsid()
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    assert not {"invlib", "papers", "matplotlib"} & set(sys.modules)
    packages = [path for path in sys.path if path.endswith(("site-packages", "lib-dynload"))]
    own = filter(None, env.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [os.fspath(cwd), *own, os.path.dirname(os.__file__), *packages]
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = list(words)
    multiprocessing.current_process()._config["daemon"] = False  # it may have children itself
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
