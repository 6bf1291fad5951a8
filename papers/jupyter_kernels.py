"""The kernel of this Python: started anew, or forked from a process that has the imports behind it.

To import PyTorch, timm and Matplotlib takes a kernel some four seconds, and to make the book takes
some thirty kernels. So the workflow starts ``python -m papers.jupyter_kernels FOLDER`` once. It
imports what notebooks import of other people's packages, and forks a kernel for everyone who asks
at the socket in that folder. The project's own code is not among it: it is read as it is now.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Sequence
from importlib import import_module

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import default

__all__ = ["FOLDER", "ThisPython", "serve"]

FOLDER = "INVLIB_KERNELS"  # the variable that says where the socket is
_SOCKET = "kernels"
_IMPORTS = (
    "ipykernel.kernelapp", "ipykernel.ipkernel", "ipykernel.zmqshell", "matplotlib.pyplot",
    "matplotlib_inline.backend_inline", "netCDF4", "pydantic", "scipy.stats", "timm", "torch",
    "torch._dynamo", "xarray", "yaml",
)  # fmt: skip
# These are read when a library is loaded, so a kernel that wants others is started anew.
_FIXED = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "PYTHONPATH", "CUDA_VISIBLE_DEVICES")


class ThisPython(AsyncKernelManager):
    """Starts the kernel of this Python, whatever kernels JUPYTER_PATH and the home have."""

    @default("kernel_spec_manager")
    def _kernel_spec_manager_default(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])  # then "python3" is ipykernel's own, from here

    def __init__(self, **options):
        super().__init__(**options)
        self.kernel_id = self.kernel_id or str(uuid.uuid4())
        spec = self.kernel_spec
        self.provisioner = _Forking(kernel_id=self.kernel_id, kernel_spec=spec, parent=self)


class _Forking(LocalProvisioner):
    """Asks for a fork, and starts the kernel as usual where nobody forks."""

    async def launch_kernel(self, cmd: list[str], **options) -> dict:
        try:
            self.process = _Forked(os.environ[FOLDER], cmd, options)
        except (KeyError, OSError, ValueError):
            return await super().launch_kernel(cmd, **options)
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Forked:
    """A process that is not our child, as `subprocess.Popen` has it. It ends when we do."""

    stdin = stdout = stderr = None

    def __init__(self, folder: str, cmd: list[str], options: dict):
        if cmd[:3] != [sys.executable, "-m", "ipykernel_launcher"]:
            raise ValueError(f"{cmd} is no kernel of this Python")
        # it is told of a parent that never ends, and does not look for it; see _end_with
        arguments = [*cmd[3:], "--IPKernelApp.parent_handle=1"]
        cwd, env = options.get("cwd") or os.getcwd(), options["env"]
        asked = json.dumps(dict(arguments=arguments, cwd=cwd, env=env)).encode()
        with contextlib.ExitStack() as unless_it_works:
            self._open = unless_it_works.enter_context(socket.socket(socket.AF_UNIX))
            self._open.connect(os.path.join(folder, _SOCKET))
            socket.send_fds(self._open, [len(asked).to_bytes(8, "big")], [1, 2])
            self._open.sendall(asked)
            self.pid = int.from_bytes(_received(self._open, 8), "big")
            if not self.pid:
                raise ValueError("the server has other threads or devices")
            self._ended = os.pidfd_open(self.pid)
            unless_it_works.pop_all()

    def poll(self) -> int | None:
        return 0 if select.select([self._ended], [], [], 0)[0] else None

    def wait(self) -> int:
        select.select([self._ended], [], [])
        os.close(self._ended)
        self._open.close()
        return 0

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def serve(folder: str, imports: Sequence[str] = _IMPORTS) -> None:
    """Import, then fork a kernel for everyone who asks, while the process that began this lives."""
    starter = os.getppid()
    try:
        for name in imports:
            import_module(name)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a kernel here
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(os.path.join(folder, _SOCKET))
            door.listen()
            door.settimeout(1)
            while os.getppid() == starter:
                try:
                    asking, _ = door.accept()
                except TimeoutError:
                    continue
                with asking, contextlib.suppress(OSError, ValueError):  # who asked has gone
                    _fork(asking, door)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fork(asking: socket.socket, door: socket.socket) -> None:
    """Fork a kernel and tell its number, or 0 if it wants what is fixed here by the imports."""
    asking.settimeout(10)
    header, outputs, *_ = socket.recv_fds(asking, 8, 2)
    try:
        asked = json.loads(_received(asking, int.from_bytes(header, "big")))
        fits = all(asked["env"].get(name) == os.environ.get(name) for name in _FIXED)
        pid = os.fork() if fits else 0
        if fits and pid == 0:
            door.close()
            _become_kernel(asking, outputs, asked)
        asking.sendall(pid.to_bytes(8, "big"))
    finally:
        for output in outputs:
            os.close(output)


def _become_kernel(asking: socket.socket, outputs: list[int], asked: dict) -> None:
    """Be the kernel, and end with it or with the process that asked for it."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for output, number in zip(outputs, (1, 2), strict=True):
            os.dup2(output, number)
            os.close(output)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["env"])
        sys.path[0] = ""  # as for `python -m`
        for name in [name for name in sys.modules if name.split(".")[0] in ("invlib", "papers")]:
            del sys.modules[name]  # read again, in case that they were edited
        sys.argv = ["ipykernel_launcher", *asked["arguments"]]
        asking.settimeout(None)
        threading.Thread(target=_end_with, args=[asking], daemon=True).start()
        import_module("ipykernel.kernelapp").launch_new_instance(asked["arguments"])
        status = 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _end_with(asking: socket.socket) -> None:
    asking.recv(1)  # returns when the other end is closed
    os._exit(1)


def _received(connection: socket.socket, size: int) -> bytes:
    """Return so many bytes; ConnectionError if there are fewer."""
    found = b""
    while len(found) < size:
        if not (more := connection.recv(size - len(found))):
            raise ConnectionError(f"{len(found)} bytes of {size}")
        found += more
    return found


if __name__ == "__main__":
    serve(sys.argv[1])
