"""Set what has to stand in the environment before torch is loaded, and the order of files."""

import os
import sys

import psutil
import pytest

# as `papers` and the Makefile do: threads that wait give their core away, and processes that work
# side by side have one each
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# a make that a test starts is no part of the `make test` that started the tests
for _name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
    os.environ.pop(_name, None)

# nbformat's jsonschema does without it, as in `papers.__main__`, and each worker starts sooner
sys.modules.setdefault("rfc3987_syntax", None)

# Files of many seconds, the longest first, so that no worker begins one when the others have ended.
# The ledger is before all: it is kept on disk, and notebooks and their numbers are judged by it.
LONG = (
    "tests/papers/claims/test_ledger.py",
    "tests/faults/test_workflow_kill.py",
    "tests/notebooks/test_notebooks.py",
    "tests/papers/test_devices.py",
    "tests/notebooks/test_reference_numbers.py",
    "tests/papers/engine/test_pool.py",
    "tests/papers/across/test_your_models.py",
    "tests/cluster/test_devices.py",
    "tests/papers/test_pages.py",
    "tests/faults/test_training_kill.py",
    "tests/papers/test_run.py",
    "tests/faults/test_flips.py",
    "tests/papers/engine/test_gpu.py",
    "tests/test_architecture.py",
    "tests/test_packaging.py",
    "tests/test_workflow.py",
)

collect_ignore = ["mutants/run.py"]  # a script: mutmut decides how this process starts others


@pytest.fixture(autouse=True)
def environment_as_before():
    """What a command sets for the processes it starts ends with the test."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def pytest_configure(config: pytest.Config) -> None:
    """Let xdist take files in their order: by default those with few, long tests come last."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take the long files first where workers share them; elsewhere a file stays in its place."""
    if hasattr(config, "workerinput"):
        places = {name: place for place, name in enumerate(LONG)}
        items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(LONG)))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """One worker more than cores: tests that wait for a process leave theirs to another test."""
    if os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None  # then it is that many
    return (psutil.cpu_count(logical=False) or psutil.cpu_count() or 1) + 1
