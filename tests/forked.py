"""Commands that are forked from a process which has imported what all of them import.

A command takes some seconds to import torch and timm. A forked one finds them there. Nothing of
the project is imported before the fork.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

OTHERS = ["torch", "timm", "xarray", "pandas", "scipy.stats", "sklearn.datasets"]


def run_module(words: list[str], *, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    """Do in a fork what ``python -m`` with these words does in `cwd`, and say what became of it."""
    if sys.platform != "linux":  # elsewhere a fork of a process with such imports is not safe
        command = [sys.executable, "-m", *words]
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(OTHERS)
        process = context.Process(target=_program, args=(words, cwd, env, files), daemon=True)
        process.start()
        process.join()
        return subprocess.CompletedProcess(
            words, process.exitcode, *(file.read_text("utf-8") for file in files)
        )


def _program(words: list[str], cwd: Path, env: dict[str, str], files: list[Path]) -> None:
    """Be ``python -m`` with these words, started in `cwd`, its output in `files`."""
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
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
