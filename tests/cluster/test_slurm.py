"""``make test-cluster``: the workflow through SLURM, disturbed in every way that a cluster knows.

A job is cancelled, another killed, the node drained and the head killed; it goes on each time, and
the numbers are those of a run without SLURM. CLUSTER=some does two sections, CLUSTER=all every one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import xarray as xr

from invlib.results.netcdf import open_results
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of
from tests.cluster.slurm import Slurm, missing, profile
from tests.workspace import copy_project, environment

HOW = os.environ.get("CLUSTER", "")
pytestmark = pytest.mark.skipif(not HOW, reason="it takes minutes: make test-cluster")

# Two that need trainings, are cut into parts, and share inversions.
SOME = ("finetuning_task", "dynamics")
# Trainings long enough to be stopped in the middle, and a look at few of their epochs.
LONGER = "pretraining_epochs: 30\nfinetuning_epochs: 30\nevery: 10\n"
RUNS = Path("data", "runs", "smoke")
PATIENCE = 900  # seconds for any one thing to happen on a machine that is busy


def command(only: str, override: Path, *more: str) -> list[str]:
    target = ["sections", "--scale", "smoke", "--override", str(override), "--only", only]
    return [sys.executable, "workflow/run.py", *target, *more]


def until(true: Callable[[], object], what: str, head: subprocess.Popen | None = None) -> object:
    """Wait until `true()`, and return it; fail if `head` ends or nothing happens."""
    deadline = time.monotonic() + PATIENCE
    while not (found := true()):
        assert head is None or head.poll() is None, f"make ended before: {what}"
        assert time.monotonic() < deadline, f"not in {PATIENCE} s: {what}"
        time.sleep(0.05)
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)
    return found


class Checkout:
    """A copy of the project in which `make` goes through `slurm`, or not."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        made_of = ("workflow", "notebooks", "data/papers", "data/results")
        self.folder = copy_project(folder, *made_of)
        self.override = folder / "longer.yaml"
        self.override.write_text(LONGER)
        self.only = "" if HOW == "all" else " ".join(SOME)

    def start(self, *more: str, log: Path, **environ: str) -> subprocess.Popen:
        with log.open("w") as output:
            return subprocess.Popen(
                command(self.only, self.override, *more), cwd=self.folder,
                env=environment(self.folder) | environ, stdout=output, stderr=output,
            )  # fmt: skip

    def epoch(self, number: int) -> str | None:
        """Id of a training that has stored this epoch, and is not done."""
        for path in (self.folder / RUNS.parent / "training").glob(
            f"*/epoch_{number:03d}.safetensors"
        ):
            if not (path.parent / "done.json").exists():
                return path.parent.name
        return None


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory) -> tuple[Checkout, str]:
    """A run through SLURM in which everything went wrong once, and what the last make said."""
    assert not missing(), f"not installed: {missing()}; apt-get install slurm-wlm munge"
    folder = tmp_path_factory.mktemp("cluster")
    checkout = Checkout(folder / "project")
    options = ("--profile", str(profile(folder / "profile")), "--parts", "3")
    with Slurm(folder / "slurm") as slurm:
        head = checkout.start(*options, log=folder / "first.log", **slurm.environment)
        try:
            one = until(lambda: checkout.epoch(3), "a training has three epochs", head)
            (job,) = [id for id, what in slurm.jobs("R").items() if one in what]
            slurm("scancel", job)
            until(lambda: job not in slurm.jobs(), f"job {job} was cancelled", head)
            again = until(
                lambda: [id for id, what in slurm.jobs("R").items() if one in what],
                "its training runs again as another job", head,
            )  # fmt: skip
            assert again != [job]

            done = checkout.folder / RUNS.parent / "training" / one / "done.json"
            until(done.exists, "it is done", head)
            two = until(lambda: checkout.epoch(3), "the next has three epochs", head)
            for process in psutil.process_iter(["cmdline"]):
                if {"papers", "train", two} <= set(process.info["cmdline"] or ()):
                    process.kill()
            other = checkout.folder / RUNS.parent / "training" / two / "done.json"
            until(other.exists, "killed, it went on and is done", head)

            until(lambda: any("part" in what for what in slurm.jobs().values()), "parts", head)
            slurm("scontrol", "update", "NodeName=node", "State=drain", "Reason=test")
            until(lambda: not slurm.jobs("R", "CG"), "the drained node is empty", head)
            waiting = until(lambda: slurm.jobs("PD"), "jobs wait for it", head)
            head.kill()
            head.wait()
            slurm("scontrol", "update", "NodeName=node", "State=resume")
            until(lambda: slurm.jobs("R"), "without a head they start")
            second = checkout.start(*options, log=folder / "second.log", **slurm.environment)
            assert second.wait(PATIENCE) == 0, (folder / "second.log").read_text()
            assert not waiting.keys() & slurm.jobs().keys()
        finally:
            head.kill()
            print((folder / "first.log").read_text(), (folder / "second.log").read_text())
    return checkout, (folder / "second.log").read_text()


@pytest.fixture(scope="module")
def local(tmp_path_factory) -> Path:
    """The same without SLURM, undisturbed and uncut."""
    folder = tmp_path_factory.mktemp("local")
    checkout = Checkout(folder / "project")
    make = checkout.start("--jobs", "1", log=folder / "log")
    assert make.wait(4 * PATIENCE) == 0, (folder / "log").read_text()
    return checkout.folder


def sections() -> list[str]:
    return list(SECTIONS) if HOW == "all" else list(SOME)


def test_it_ends_with_all_results_and_what_was_left_is_said(disturbed):
    checkout, said = disturbed
    assert all((checkout.folder / RUNS / f"{name}.nc").is_file() for name in sections())
    assert "jobs in the queue; cancelling them" in said
    assert "an earlier run was cut off; going on from there" in said
    assert not list((checkout.folder / RUNS / "parts").rglob("*.done"))  # gone with their section


def test_weights_are_those_of_a_local_run(disturbed, local):
    parameters = load_scale("smoke", disturbed[0].override)
    needed = [SECTIONS[name].from_parameters(parameters) for name in sections()]
    for id in runs_of(section for section in needed if not section.own_trainings):
        here, there = (
            json.loads((folder / RUNS.parent / "training" / id / "done.json").read_text())
            for folder in (disturbed[0].folder, local)
        )
        assert here == there


def test_numbers_are_those_of_a_local_run(disturbed, local):
    for name in sections():
        here, there = (
            open_results(folder / RUNS / f"{name}.nc") for folder in (disturbed[0].folder, local)
        )
        if here.attrs["kind"] != "benchmark":  # those are times
            xr.testing.assert_identical(here.drop_attrs(), there.drop_attrs())


def test_a_local_make_has_nothing_left_to_do(disturbed):
    checkout, _ = disturbed
    out = subprocess.run(
        command(checkout.only, checkout.override, "-n", "--jobs", "1"),
        cwd=checkout.folder, env=environment(checkout.folder), capture_output=True, text=True,
    )  # fmt: skip
    assert out.returncode == 0 and "Nothing to be done" in out.stdout + out.stderr
