"""Who is at work in this folder: file locks that the system drops when their holder dies.

``make.lock``
    held by one `run.py`, and by the Snakemake it becomes, to the end: makes wait for each other.
``jobs.lock``
    shared by everything a workflow starts, and by Snakemakes started by hand. While nobody holds
    it, a lock that Snakemake left behind is a dead one's and may be broken.
``device_0.lock``, …
    held by the job that has this GPU, see devices.py.
"""

import fcntl
import os
from pathlib import Path

MAKE = Path(".snakemake/make.lock")
JOBS = Path(".snakemake/jobs.lock")


def hold(
    path: Path, *, shared: bool = False, wait: bool = True, waiting: str | None = None
) -> int | None:
    """Lock `path`; return the descriptor that holds it, to be inherited or closed.

    None where the file system has no such locks (some network ones): then nothing is known about
    others. `waiting` is what to say when somebody else holds it. Not to `wait` then raises
    BlockingIOError.
    """
    path.parent.mkdir(exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            if waiting:
                print(waiting, flush=True)
            fcntl.flock(descriptor, how)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            raise
        return None
    # survives exec, so that the program that takes this process over holds it too
    os.set_inheritable(descriptor, True)
    return descriptor
