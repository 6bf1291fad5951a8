"""Every section by its name: the scales fit it, and the runs that it needs come in order."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from invlib.results.netcdf import open_results
from invlib.training.run import TrainingRun
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of

SCALES = ("smoke", "laptop", "cifar", "paper")
OVERRIDES = {  # and the value of a parameter that each changes
    "cpu.yaml": ("img_size", 96),
    "cpu_small.yaml": ("img_size", 64),
    "cpu_convnets.yaml": ("labels_n", 2500),
    "cpu_questions.yaml": ("finetuning_n", 2000),
    "gpu_questions.yaml": ("scratch_epochs", 60),
    "convergence_96px.yaml": ("img_size", 96),
    "convergence_64images.yaml": ("convergence_n", 64),
}


@pytest.mark.parametrize("name", SECTIONS)
@pytest.mark.parametrize("scale", SCALES)
def test_every_scale_fits_every_section(name, scale):
    section = SECTIONS[name].from_parameters(load_scale(scale))
    assert section.scale == scale and section.name == name
    for run in runs_of([section]).values():
        assert TrainingRun.from_json(run.to_json()) == run


@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize("name", SECTIONS)
def test_an_override_fits_every_section_and_wins(name, override):
    parameters = load_scale("cifar", Path("notebooks/scales/overrides") / override)
    changed, value = OVERRIDES[override]
    assert parameters[changed] == value and parameters["scale"] == "cifar"
    assert SECTIONS[name].from_parameters(parameters).scale == "cifar"


@pytest.mark.parametrize("name", ["data_set_size", "where_did_scratch_start"])
def test_the_override_of_a_reference_result_repeats_it(name):
    parameters = load_scale("cifar", "notebooks/scales/overrides/gpu_questions.yaml")
    section = SECTIONS[name].from_parameters(parameters)
    made = open_results(section.reference).attrs
    assert section == SECTIONS[name].from_parameters(json.loads(made["parameters"]))
    assert section.command == made["command"]


@pytest.mark.parametrize("name", SECTIONS)
def test_the_defaults_are_the_laptops(name):
    assert load_scale("laptop") == {"scale": "laptop"}  # no default is written twice
    assert SECTIONS[name]() == SECTIONS[name].from_parameters(load_scale("laptop"))


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_has_one_name(name):
    section = SECTIONS[name]
    package, module = section.__module__.rsplit(".", 1)
    assert module == name and section.__name__ == name.title().replace("_", "")
    assert section().work.__name__ == f"{package}.work.{name}" and callable(section().work.dataset)
    assert section.notes.keys() | section.compared.keys() <= section.model_fields.keys()


def test_runs_come_after_what_they_start_from():
    section = SECTIONS["finetuning_task"].from_parameters(load_scale("smoke"))
    runs = list(runs_of([section]).values())
    assert len(runs) == 3
    for i, run in enumerate(runs):
        assert run.parent is None or run.parent in runs[:i]


@pytest.mark.parametrize("name", SECTIONS)
def test_the_command_repeats_the_section(name):
    first = SECTIONS[name].from_parameters(load_scale("smoke"))
    assert "-y" not in first.command
    section = first.model_copy(update={"seeds": (7, 8), "cache": False})
    words = shlex.split(section.command)
    assert words[:3] == ["papermill", f"notebooks/{name}.ipynb", "out.ipynb"]
    parameters = yaml.safe_load(Path(words[words.index("-f") + 1]).read_text())
    parameters |= yaml.safe_load(words[words.index("-y") + 1])
    assert SECTIONS[name].from_parameters(parameters) == section


def test_asking_what_is_to_be_done_imports_no_torch():
    code = """
import json, sys
import invlib
from papers.parameters import load_scale
from papers.sections import SECTIONS, runs_of
import papers.__main__, papers.cells
sections = [s.from_parameters(load_scale("smoke")) for s in SECTIONS.values()]
[run.id for run in runs_of(sections).values()]
heavy = {"torch", "timm", "xarray", "pandas", "torchvision"}
print(json.dumps(sorted(heavy & set(sys.modules))))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout) == []
