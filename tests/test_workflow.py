"""The Snakefile resolves at every scale, and asks for what the sections say they need."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from functools import cache
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of
from tests.workspace import ROOT, environment


def dry_run(*config: str, target: tuple[str, ...]) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "-n", "--forceall", "--cores", "1", *target]
    command += ["--quiet", "host", "--nolock", "--config", *config]
    return subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)


@cache
def planned(scale: str) -> str:
    """Return what a dry run says of the whole book."""
    out = dry_run(f"scale={scale}", target=("book",))
    assert out.returncode == 0, out.stdout + out.stderr
    return out.stdout + out.stderr


@pytest.mark.parametrize("scale", ["smoke", "laptop", "cifar", "paper"])
def test_the_workflow_resolves(scale):
    said = planned(scale)
    parameters = load_scale(scale)
    sections = [section.from_parameters(parameters) for section in SECTIONS.values()]
    needed = runs_of(section for section in sections if not section.own_trainings)
    asked = set(re.findall(r"wildcards: id=(\w+)", said))
    assert asked == set(needed)
    found = re.findall(r"wildcards: section=(\w+)(?:\n +priority: (\d+))?", said)
    rank = {name: int(priority or 0) for name, priority in found}
    assert set(rank) == set(SECTIONS)
    # long sections before short ones, and what they wait for no later than they
    for name, section in SECTIONS.items():
        assert rank[name] >= section.long
        assert all(rank[used] >= rank[name] + SECTIONS[used].long for used in section.uses)


def test_a_page_is_made_again_with_the_reference_results_that_it_shows():
    inputs = {}
    for job in re.split(r"\n\w*rule ", planned("smoke")):
        if job.startswith("section:"):
            (files,) = re.findall(r"\n +input: (.*)", job)
            (name,) = re.findall(r"\n +wildcards: section=(\w+)", job)
            inputs[name] = set(files.split(", "))
    assert set(inputs) == set(SECTIONS)
    elsewhere = 0
    for name in SECTIONS:
        cells = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4).cells
        code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        for folder, file in re.findall(r'results_root\("(\w+)"\) / "(\w+\.nc)"', code):
            assert f"data/results/{folder}/{file}" in inputs[name], name
            elsewhere += folder != "cifar"
    assert elsewhere > 5


def python_elsewhere(folder: Path) -> Path:
    """Return a Python at a path with a space that finds the packages of this one."""
    (folder / "my env" / "bin").mkdir(parents=True)
    python = folder / "my env" / "bin" / "python"
    python.symlink_to(Path(sys.executable).resolve())
    for name in ("lib", "pyvenv.cfg"):
        (folder / "my env" / name).symlink_to(Path(sys.prefix) / name)
    return python


def test_paths_with_spaces_stay_whole_in_the_commands(tmp_path, monkeypatch):
    override = tmp_path / "my own.yaml"
    override.write_text("seeds: [4]")
    python = python_elsewhere(tmp_path)
    monkeypatch.setattr(sys, "executable", str(python))
    target = ("sections", "--printshellcmds")
    out = dry_run("scale=smoke", f"override={override}", target=target)
    assert out.returncode == 0, out.stderr
    commands = re.findall(r"^Shell command: (.*job\.py.*)", out.stdout + out.stderr, re.MULTILINE)
    assert {" -m papers train " in command for command in commands} == {True, False}
    for command in map(shlex.split, commands):
        assert command[:2] == [str(python), "workflow/job.py"]
        assert command[command.index("--override") + 1] == str(override)


def test_results_are_out_of_date_when_code_or_facts_change(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(ROOT / "workflow")
    sources = import_module("sources")
    code = set(sources.code())
    assert {"invlib/metrics/cka.py", "papers/merlin2023/work/dynamics.py"} < code
    assert not any(path.endswith("__main__.py") for path in code)
    assert sources.facts() and code | set(sources.facts()) < set(sources.book())


def test_every_notebook_is_a_section_and_every_section_a_notebook():
    assert {path.stem for path in Path(ROOT, "notebooks").glob("*.ipynb")} == set(SECTIONS)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scale", "labtop"], "scale='labtop' is not one of"),
        (["--override", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_selection_of_no_use_is_one_line(arguments, said):
    out = subprocess.run(
        [sys.executable, "workflow/run.py", "sections", *arguments],
        cwd=ROOT, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert out.returncode != 0
    assert said in out.stderr and len(out.stderr.splitlines()) == 1
