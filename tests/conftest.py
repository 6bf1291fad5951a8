"""Set what has to stand in the environment before torch is loaded."""

import os

# as `papers` and the Makefile do: threads that wait give their core away
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
