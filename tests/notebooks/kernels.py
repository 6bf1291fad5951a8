"""Kernels that are forked from a process which has imported what all of them import.

A kernel takes some seconds to import torch and timm, and each notebook starts one. A forked one
finds them there. Nothing of the project is imported before the fork.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import sys
import time

OTHERS = ["torch", "timm", "xarray", "pandas", "scipy.stats", "sklearn.datasets"]
OTHERS += ["ipykernel.kernelapp"]


class Forked:
    """As much of a `subprocess.Popen` as jupyter_client wants of a kernel."""

    stdin = stdout = stderr = None

    def __init__(self, cmd: list[str], *, env: dict[str, str], **_: object):
        """Do in a fork what ``python -m ipykernel_launcher …`` does here."""
        _, m, module, *arguments = cmd
        assert [m, module] == ["-m", "ipykernel_launcher"]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(OTHERS)
        self.process = context.Process(target=_kernel, args=(arguments, os.getcwd(), env), daemon=True)
        self.process.start()
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


def _kernel(arguments: list[str], folder: str, environ: dict[str, str]) -> None:
    """Be a kernel that was started in `folder`."""
    os.setsid()
    assert not {"invlib", "papers", "matplotlib"} & set(sys.modules)
    others = [path for path in sys.path if path.endswith(("site-packages", "lib-dynload", ".zip"))]
    standard = os.path.dirname(os.__file__)
    sys.path[:] = ["", environ["PYTHONPATH"], standard, *others]
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["ipykernel_launcher", *arguments]
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)
