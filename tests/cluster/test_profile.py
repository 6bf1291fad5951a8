"""The profile for SLURM is valid where there is no SLURM, and what is missing is one line."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from papers.parameters import load_scale
from papers.sections import SECTIONS
from tests.cluster.slurm import profile
from tests.workspace import ROOT, environment

SHIPPED = "workflow/profiles/slurm"


def run(*arguments: str, **environ: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "workflow/run.py", "sections", "--scale", "smoke", *arguments],
        cwd=ROOT, env=environment() | environ, capture_output=True, text=True,
    )  # fmt: skip


def test_the_shipped_profile_is_valid():
    out = run("--profile", SHIPPED, "--parts", "2", "-n", "--quiet", "host", "--nolock")
    assert out.returncode == 0, out.stdout + out.stderr
    sections = [cls.from_parameters(load_scale("smoke")) for cls in SECTIONS.values()]
    cut = [section.name for section in sections if section.to_invert()]
    for name in cut:  # nothing is there in a fresh checkout; forcing would show the same elsewhere
        assert f"{name}: inversions" in out.stderr
    assert len(cut) == 10


def test_an_option_that_snakemake_does_not_know_is_noticed(tmp_path):
    folder = profile(tmp_path, **{"local-rules": ["book"]})
    out = run("--profile", str(folder), "-n", "--nolock")
    assert out.returncode != 0 and "local-rules" in out.stdout + out.stderr


def test_threads_and_resources_are_those_of_rules_that_there_are():
    settings = yaml.safe_load((ROOT / SHIPPED / "config.yaml").read_text())
    rules = (ROOT / "workflow" / "Snakefile").read_text()
    for name in settings["set-threads"]:
        assert f"\nrule {name}:\n" in rules, name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no such folder; workflow/profiles/slurm is one"),
        ("", "the folder has no config.yaml"),
        ("executor: [", "config.yaml is no YAML"),
        ("executor: slurm  # für alle", "config.yaml is no YAML: 'utf-8' codec"),
        ("- slurm", "config.yaml is a list, no settings"),
        ("executor: lsf", "needs the package snakemake-executor-plugin-lsf: "),
        ("executor: slurm", "there is no sbatch here; run make where it is"),
    ],
)
def test_a_profile_of_no_use_is_one_line(text, said, tmp_path):
    folder = tmp_path / "profile"
    if text is not None:
        folder.mkdir()
    if text:
        (folder / "config.yaml").write_text(text, encoding="latin-1")
    out = run("--profile", str(folder), PATH=str(tmp_path))
    assert out.returncode == 1
    assert said in out.stderr and len(out.stderr.splitlines()) == 1


def test_the_number_of_parts_is_checked():
    out = run("--parts", "many", "-n")
    assert out.returncode == 1 and out.stderr == "parts='many' must be a whole number >= 0\n"
