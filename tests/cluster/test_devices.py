"""Several GPUs on one machine: each job has one of its own, and together they fill the cache."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from invlib import load_model
from invlib.inversion.cache import cached_invert
from invlib.inversion.invert import Inversion
from tests.workspace import ROOT, make_workspace, run_workflow

# Four inversions for the toy section. Part 2 is killed in its middle, once.
PARTS = """
    def to_invert(self):
        return [0, 1, 2, 3]

    def invert(self, part, parts):
        import os, signal, time
        from pathlib import Path
        from papers.toy_work import inverted

        log = Path("log")
        with log.open("a") as file:
            file.write(f"part {part}/{parts} on {os.environ['CUDA_VISIBLE_DEVICES']!r}\\n")
        while len(log.read_text().splitlines()) < 2:
            time.sleep(0.05)  # both at once, or never
        for seed in self.to_invert()[part - 1 :: parts]:
            if seed == 3 and len(log.read_text().splitlines()) == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            inverted(seed, self.inversions)

    def dataset(self):
        from papers.toy_work import inverted

        before = set(self.inversions.iterdir())
        sums = [inverted(seed, self.inversions).images.double().sum().item() for seed in range(4)]
        assert set(self.inversions.iterdir()) == before, "it inverted itself"
        self.output.write_text(str(sums))
"""


IMPORTS = """
from __future__ import annotations
import torch
from invlib import load_model
from invlib.inversion.cache import cached_invert
"""


def inverted(seed: int, cache: Path | bool = False) -> Inversion:
    """Invert two images of every layer of a small network, or find it in the `cache`."""
    images = torch.linspace(0, 1, 2 * 3 * 32 * 32).reshape(2, 3, 32, 32)
    model = load_model("vit_pico_patch8_32")
    return cached_invert(model, images, cache=cache, iterations=2, seed=seed)


TAKE = "import os, sys; print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); sys.stdin.read()"


def test_two_devices_share_the_inversions_of_a_section(tmp_path):
    folder = make_workspace(tmp_path / "two")
    toy = folder / "papers" / "toy.py"
    toy.write_text(toy.read_text().partition("    def runs(self):")[0] + PARTS)
    (folder / "papers" / "toy_work.py").write_text(IMPORTS + inspect.getsource(inverted))
    out = run_workflow(folder, "sections", "--jobs", "2", "--devices", "cpu,cpu")
    assert out.returncode == 0, out.stdout
    assert "--part 2/2 --scale smoke' died with" in out.stdout, out.stdout
    said = (folder / "log").read_text().splitlines()
    assert sorted(said[:2]) == ["part 1/2 on ''", "part 2/2 on ''"]
    assert said[2:] == ["part 2/2 on ''"]  # again, for what was left
    sums = [inverted(seed).images.double().sum().item() for seed in range(4)]
    assert (folder / "data" / "runs" / "smoke" / "toy.nc").read_text() == str(sums)


def start(folder, devices: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "workflow/job.py"), "-c", TAKE], cwd=folder, text=True,
        env=os.environ | {"INVLIB_DEVICES": devices}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip


def test_a_device_is_held_to_the_end_of_its_job_even_a_killed_one(tmp_path):
    (tmp_path / ".snakemake").mkdir()
    first, second = (start(tmp_path, "GPU-a,GPU-b") for _ in range(2))
    taken = {job.stdout.readline().strip(): job for job in (first, second)}
    assert taken.keys() == {"GPU-a", "GPU-b"}
    third = start(tmp_path, "GPU-a,GPU-b")
    time.sleep(0.5)
    taken["GPU-b"].kill()
    assert third.stdout.readline().strip() == "GPU-b"
    for job in (taken["GPU-a"], third):
        job.communicate("")
    for job in (first, second, third):
        job.wait()
        job.stdin.close(), job.stdout.close()


@pytest.mark.parametrize(
    ("visible", "smi", "names"),
    [
        (None, None, []),
        (None, "GPU-1\nGPU-2", ["GPU-1", "GPU-2"]),
        ("3,5", "GPU-1\nGPU-2", ["3", "5"]),
        ("", "GPU-1", []),
    ],
)
def test_the_gpus_are_those_that_may_be_used(visible, smi, names, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "workflow"))
    import devices  # the workflow's, from its folder

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if smi:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho '{smi}'\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    assert devices.found() == names
