"""Run Python as one job of the workflow: ``python workflow/job.py script.py arguments ...``

The job holds a lock as long as it lives, even when the Snakemake that started it was killed, so the
next make waits for it instead of working in the same folder beside it. Another lock is for a GPU,
one of those in INVLIB_DEVICES.
"""

import os
import sys

import devices
import locks

locks.hold(locks.JOBS, shared=True)
if names := os.environ.get("INVLIB_DEVICES"):
    devices.take(names.split(","))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
