"""Run Python as one job of the workflow: ``python workflow/job.py script.py arguments ...``

The job holds a lock as long as it lives, even when the Snakemake that started it was killed, so the
next make waits for it instead of working in the same folder beside it.
"""

import os
import sys

import locks

locks.hold(locks.JOBS, shared=True)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
