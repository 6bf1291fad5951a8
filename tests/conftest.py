"""Set what has to stand in the environment before torch is loaded, and the order of files."""

import os

import pytest

# as `papers` and the Makefile do: threads that wait give their core away
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

collect_ignore = ["mutants/run.py"]  # a script: mutmut decides how this process starts others


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist take files in their order: by default those with few, long tests come last."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
