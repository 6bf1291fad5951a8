"""The GPUs of this machine: a job of the workflow has one to itself, and sees no other.

A name is what CUDA_VISIBLE_DEVICES takes, a number or a UUID; ``cpu`` is a place without a GPU.
"""

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

import locks


def found() -> list[str]:
    """Return the names of the GPUs that this process may use."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [name for name in visible.split(",") if name]
    if not shutil.which("nvidia-smi"):
        return []
    ask = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]  # CUDA may number otherwise
    return subprocess.run(ask, capture_output=True, text=True).stdout.split()


def take(names: list[str]) -> None:
    """Wait for one of these to be free, and hold it as long as this process lives."""
    for place in itertools.cycle(range(len(names))):
        try:
            held = locks.hold(Path(f".snakemake/device_{place}.lock"), wait=False)
        except BlockingIOError:
            time.sleep(0.1)
            continue
        if held is None:  # no locks here: nobody knows which are free
            place = os.getpid() % len(names)
        os.environ["CUDA_VISIBLE_DEVICES"] = names[place].replace("cpu", "")
        return
