"""Let processes compute on one GPU at the same time, by NVIDIA's multi-process service (MPS).

Without it they take turns, and a small network leaves most of a large GPU idle.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

CONTROL = "nvidia-cuda-mps-control"
PIPE, LOG = "CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY"
_COMPUTES = "import torch; assert torch.ones(9, device='cuda').sum().item() == 9"


@contextmanager
def shared_gpu() -> Iterator[bool]:
    """Start the service if its tool is there, and stop it at the end; yield whether it runs.

    A process that computes through it is tried first. No setting of the card is changed. Where the
    environment names a service, that one is used.
    """
    if PIPE in os.environ or not shutil.which(CONTROL) or not shutil.which("nvidia-smi"):
        yield PIPE in os.environ
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {PIPE: folder, LOG: folder}
        try:
            started = _succeeds([CONTROL, "-d"]) and _succeeds([sys.executable, "-c", _COMPUTES])
            if not started:
                _stop()
            yield started
        finally:
            if PIPE in os.environ:
                _stop()


def _stop() -> None:
    _succeeds([CONTROL], "quit\n")
    for name in (PIPE, LOG):
        os.environ.pop(name, None)


def _succeeds(command: list[str], said: str = "") -> bool:
    """Run a command; return whether it succeeds within two minutes."""
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        done = subprocess.run(command, input=said, text=True, timeout=120, check=False, **quiet)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
