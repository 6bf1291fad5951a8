"""``kill -9`` anywhere in the workflow, then the same command again: it goes on by itself."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from invlib.training.run import TrainingRun
from invlib.training.train import train
from tests.workspace import environment, make_workspace, run_workflow, workflow_command

RUNS = Path("data", "runs", "smoke")
EPOCHS = 40  # some seconds of training, so that there is a middle to kill it in


def start_and_kill(folder: Path, when: Callable[[], bool], *, everything: bool) -> None:
    """Start the workflow, and kill it when `when()`: all its processes, or only Snakemake."""
    log = folder / "killed.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            workflow_command("sections"), cwd=folder, stdout=output, stderr=output,
            env=environment(folder) | {"TOY_SECONDS": "4"}, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + 400  # seconds are enough, but not on a machine that is busy
    while not when() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    in_time = process.poll() is None and when()
    with contextlib.suppress(ProcessLookupError):
        if in_time and not everything:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert in_time, log.read_text()


def said_of(folder: Path, what: str) -> dict:
    return json.loads((folder / RUNS.parent / "training" / what / "done.json").read_text())


@pytest.fixture(scope="module")
def first(recovered) -> TrainingRun:
    text = next((recovered / RUNS.parent / "training").glob("*/run.json")).read_text()
    run = TrainingRun.from_json(text)
    return run.parent or run


@pytest.fixture(scope="module")
def recovered(tmp_path_factory) -> Path:
    """A workspace in which everything was killed at some point, and which was then finished."""
    folder = make_workspace(tmp_path_factory.mktemp("killed") / "a folder")
    scale = folder / "notebooks" / "scales" / "smoke.yaml"
    scale.write_text(scale.read_text().replace("epochs: 2", f"epochs: {EPOCHS}"))

    def trained(epoch: int) -> bool:
        return any((folder / RUNS.parent / "training").glob(f"*/epoch_{epoch:03d}.safetensors"))

    # everything at once, in the middle of a training
    start_and_kill(folder, lambda: trained(3), everything=True)
    assert not any((folder / RUNS.parent / "training").glob("*/done.json"))
    assert any((folder / ".snakemake" / "locks").iterdir())  # what a later run has to get over

    # only Snakemake, in the middle of a notebook: its job goes on and has to be waited for
    running = folder / RUNS / "running" / "toy.ipynb"
    start_and_kill(folder, running.exists, everything=False)
    assert not (folder / RUNS / "toy.ipynb").exists()

    out = run_workflow(folder, "sections")
    assert out.returncode == 0, out.stdout
    assert "a job of an earlier run is still at work" in out.stdout
    assert "an earlier run was cut off" in out.stdout
    return folder


def test_the_results_are_there(recovered):
    assert (recovered / RUNS / "toy.ipynb").is_file()
    assert json.loads((recovered / RUNS / "toy.nc").read_text())["epochs"] == EPOCHS
    assert not (recovered / RUNS / "running" / "toy.ipynb").exists()


def test_the_weights_are_those_of_an_undisturbed_run(recovered, first, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as a job of the workflow has: another number gives other last bits
    try:
        train(first, root=tmp_path, device="cpu")
    finally:
        torch.set_num_threads(threads)
    undisturbed = json.loads((tmp_path / first.id / "done.json").read_text())
    assert undisturbed == said_of(recovered, first.id)


def test_two_at_once_wait_for_each_other(recovered):
    (recovered / RUNS / "toy.ipynb").unlink()
    start = [
        subprocess.Popen(
            workflow_command("sections"), cwd=recovered, env=environment(recovered), text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = [process.communicate(timeout=200)[0] for process in start]
    assert [process.returncode for process in start] == [0, 0], said
    assert sum("another make is at work here" in text for text in said) == 1
    assert sum("toy.ipynb into data/runs/smoke" in text for text in said) == 1


def planned(folder: Path, *more: str) -> set[str]:
    """Rules that the next make would run."""
    out = run_workflow(folder, "sections", "-n", "--quiet", "host", *more)
    assert out.returncode == 0, out.stdout
    return set(re.findall(r"^(?:local)?rule (\w+):", out.stdout, re.MULTILINE)) - {"sections"}


def changed(path: Path, text: str):
    path.write_text(text)
    later = time.time() + 5
    os.utime(path, (later, later))


def test_nothing_is_done_twice_and_what_changed_is_done_again(recovered, tmp_path):
    assert planned(recovered) == set()
    for name in ("notebooks/toy.ipynb", "invlib/training/train.py"):
        path = recovered / name
        text, times = path.read_text(), (path.stat().st_atime, path.stat().st_mtime)
        changed(path, text + "\n")
        assert planned(recovered) == {"section"}, name
        path.write_text(text)
        os.utime(path, times)
    added = recovered / "papers" / "added.py"  # older than the results, and nevertheless new
    added.touch()
    os.utime(added, (0, 0))
    assert planned(recovered) == {"section"}
    added.unlink()
    assert planned(recovered, "--parts", "4") == set()
    (tmp_path / "over.yaml").write_text("seeds: [4]")
    assert planned(recovered, "--override", str(tmp_path / "over.yaml")) == {"section"}
    (tmp_path / "over.yaml").write_text("epochs: 1")
    assert planned(recovered, "--override", str(tmp_path / "over.yaml")) == {"train", "section"}


def test_a_failing_notebook_is_shown_and_kept_apart(recovered, tmp_path):
    (tmp_path / "over.yaml").write_text("wrong: true")
    out = run_workflow(recovered, "sections", "--override", str(tmp_path / "over.yaml"))
    assert out.returncode != 0
    assert "AssertionError" in out.stdout and "this went wrong on purpose" in out.stdout
    assert not (recovered / RUNS / "toy.ipynb").exists()
    assert "on purpose" in (recovered / RUNS / "failed" / "toy.ipynb").read_text()
    # and without the fault it is done again, the kept one gone
    assert run_workflow(recovered, "sections").returncode == 0
    assert (recovered / RUNS / "toy.ipynb").exists()
    assert not (recovered / RUNS / "failed" / "toy.ipynb").exists()
