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


def executor_of(profile: str) -> str:
    """Call the workflow's function of that name, from its folder."""
    sys.path.insert(0, str(ROOT / "workflow"))
    try:
        import cluster
    finally:
        sys.path.pop(0)
    return cluster.executor_of(profile)


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


@pytest.mark.parametrize("profile", ["slrm", "workflow/profiles/slrm", "workflow/profile/slurm"])
def test_a_misspelt_profile_names_the_nearest(profile, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(SystemExit, match=f"{profile}: there is no .*; workflow/profiles/slurm is"):
        executor_of(profile)
    (tmp_path / "snakemake" / "mine").mkdir(parents=True)
    with pytest.raises(SystemExit, match="PROFILE=mien: there is no such folder; mine is one"):
        executor_of("mien")


def test_a_profile_of_the_users_own_is_read_where_snakemake_looks(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "snakemake" / "mine"
    folder.mkdir(parents=True)
    (folder / "profile.v8+.yaml").write_text("executor: lsf")
    assert executor_of("mine") == executor_of(str(folder / "profile.v8+.yaml")) == "lsf"
    assert executor_of(str(ROOT / SHIPPED)) == "slurm"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--parts", "many"], "PARTS='many' must be a whole number >= 0"),
        (["--jobs", "0"], "JOBS='0' must be a whole number of at least 1, or all"),
        (["--jobs", "four"], "JOBS='four' must be"),
        (["--devices", "gpu 0"], "DEVICES='gpu 0' must be numbers of GPUs"),
        (["--only", "dynamics,robustnes"], "SECTIONS='robustnes' is not one of"),
        (
            ["--override", "cpu"],
            "there is no such file; did you mean notebooks/scales/overrides/cp",
        ),
    ],
)
def test_other_variables_are_checked_before_snakemake_starts(arguments, said):
    out = run(*arguments, "-n")
    assert out.returncode == 1 and said in out.stderr and len(out.stderr.splitlines()) == 1
