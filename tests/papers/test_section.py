"""The parameters of a notebook: what is refused, in which words, and what is let through."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import yaml

from invlib.training.run import TrainingRun
from papers.parameters import Names, ParameterError, Positive, PositiveFloat, load_scale, one_of
from papers.section import Section
from papers.sections import SECTIONS, runs_of

SCALES = ("smoke", "laptop", "cifar", "paper")
OVERRIDES = {  # and the value of a parameter that each changes
    "cpu.yaml": ("img_size", 96),
    "cpu_small.yaml": ("img_size", 64),
    "cpu_convnets.yaml": ("labels_n", 800),
}


class Toy(Section):
    name: ClassVar[str] = "toy"

    size: Positive = 8
    step: PositiveFloat | None = None
    kind: one_of("adam", "ngd") = "adam"
    words: Names = ("digits",)


def refused(parameters: dict) -> str:
    with pytest.raises(ParameterError) as caught:
        Toy.from_parameters(parameters)
    return str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"sedes": 3}, "toy: unknown parameter 'sedes'; did you mean 'seeds'?"),
        (
            {"seeds": "[0,1]"},
            "toy: seeds='[0,1]' is text where a list is wanted; pass lists with -y 'seeds: [0,1]'",
        ),
        ({"words": "digits"}, "pass lists with -y 'words: [digits]'"),
        ({"size": "8"}, "toy: size='8' is text where a whole number is wanted"),
        ({"size": 8.5}, "toy: size=8.5 is a number where a whole number is wanted"),
        ({"size": True}, "toy: size=True is true or false where a whole number is wanted"),
        ({"size": None}, "toy: size=None is null where a whole number is wanted"),
        ({"size": 0}, "toy: size=0: input should be greater than or equal to 1"),
        # YAML wants a dot and a sign in 1.0e-3
        ({"step": "1e-3"}, "is text where a number is wanted; YAML reads a number in step: 0.001"),
        ({"step": "fast"}, "toy: step='fast' is text where a number is wanted"),
        ({"step": float("nan")}, "toy: step=nan: input should be"),
        ({"kind": "adma"}, "toy: kind='adma' is not one of 'adam', 'ngd'; did you mean 'adam'?"),
        ({"seeds": [0, "1"]}, "toy: seeds[1]='1' is text where a whole number is wanted"),
        ({"seeds": [0, 0]}, "toy: seeds=[0, 0]: the same value twice"),
        ({"seeds": []}, "toy: seeds=[]: "),
        ({"scale": "../other"}, "toy: scale='../other': "),
        ({"cache": "yes"}, "toy: cache='yes' is text where true or false is wanted"),
        ({"size": np.int64(3)}, "is a int64; plain numbers, text and lists only"),
    ],
)
def test_a_parameter_of_no_use_is_refused_in_words(parameters, said):
    assert said in refused(parameters)


def test_every_problem_gets_its_line():
    lines = refused({"size": 0, "seeds": 3}).splitlines()
    assert len(lines) == 2 and all(line.startswith("toy: ") for line in lines)


def test_a_name_far_from_all_lists_what_is_known():
    assert "known are" in refused({"qqqqqq": 1}) and "seeds" in refused({"qqqqqq": 1})


def test_lists_become_tuples_and_whole_numbers_numbers():
    section = Toy.from_parameters({"seeds": [4, 2], "step": 1, "words": ("a", "b")})
    assert section.seeds == (4, 2) and section.step == 1.0 and section.words == ("a", "b")


def test_a_section_does_not_change():
    with pytest.raises(ValueError, match="frozen"):
        Toy().size = 3


def test_parameters_of_other_sections_are_let_through():
    other = next(iter(SECTIONS.values()))
    name = sorted(set(other.model_fields) - set(Toy.model_fields))[0]
    assert Toy.from_parameters({name: "anything"}) == Toy()


def test_what_a_training_run_refuses_is_refused_at_once():
    class Training(Toy):
        def runs(self):
            return {
                "run": TrainingRun(model="vit_pico_patch8_32", dataset="digits", task="dance", lr=0)
            }

    with pytest.raises(ParameterError) as caught:
        Training.from_parameters({})
    task, lr = str(caught.value).splitlines()
    assert "toy: task='dance' is not one of" in task and "toy: lr=0 is out of range" in lr


def namespace(**names) -> dict:
    """What ``globals()`` holds in a notebook after its first cells."""
    import pathlib

    ipython = {
        "In": ["", "seeds = [0]"], "Out": {}, "_": "", "_i1": "seeds = [0]", "_dh": ["/home"],
        "__name__": "__main__", "exit": object(), "quit": object(), "open": open,
        "get_ipython": lambda: None, "pathlib": pathlib, "Path": Path, "FinetuningTask": Toy,
        "array": np.zeros(3),
    }  # fmt: skip
    return ipython | names


def test_only_what_can_be_a_parameter_is_read_from_a_namespace():
    assert Toy.from_namespace(namespace(seeds=[5], size=3)) == Toy(seeds=(5,), size=3)


def test_an_unknown_name_in_a_namespace_is_refused():
    with pytest.raises(ParameterError, match="'sedes'; did you mean 'seeds'"):
        Toy.from_namespace(namespace(sedes=3))


def test_running_the_cell_again_passes_over_the_notebooks_own_variables():
    names = namespace(size=3)
    Toy.from_namespace(names)
    names |= {"best_layer": 4, "colours": ["red"], "size": 5}
    assert Toy.from_namespace(names).size == 5
    names["size"] = "5"
    with pytest.raises(ParameterError):
        Toy.from_namespace(names)


def test_a_notebook_shows_the_sentence_and_no_frames():
    assert ParameterError("toy: no")._render_traceback_() == ["ParameterError: toy: no"]


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


def test_the_paper_scale_is_the_papers():
    section = SECTIONS["finetuning_task"].from_parameters(load_scale("paper"))
    assert (section.model, section.n, section.iterations) == ("vit_base_patch32_224", 500, 50)
    usual = TrainingRun(model=section.model, dataset="cifar10")  # whose defaults are the paper's
    run = section.finetuning_run("cifar10", "classification")
    assert run == TrainingRun(
        model=usual.model, dataset=usual.dataset, img_size=224, weights="timm"
    )


def test_runs_come_after_what_they_start_from():
    section = SECTIONS["finetuning_task"].from_parameters(load_scale("smoke"))
    runs = list(runs_of([section]).values())
    assert len(runs) == 3
    for i, run in enumerate(runs):
        assert run.parent is None or run.parent in runs[:i]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1", "a mapping of parameters is wanted"),
        ("a: [", "while parsing"),
        ("scale: laptop", "an override leaves the scale as it is"),
    ],
)
def test_an_override_of_no_use_is_named(tmp_path, text, said):
    file = tmp_path / "over.yaml"
    file.write_text(text)
    with pytest.raises(ParameterError, match=said) as caught:
        load_scale("cifar", file)
    assert "over.yaml" in str(caught.value)


def test_an_override_that_is_not_there_is_named():
    with pytest.raises(ParameterError, match=r"nowhere\.yaml"):
        load_scale("cifar", "nowhere.yaml")


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


def test_the_command_writes_numbers_that_yaml_reads_as_numbers():
    words = shlex.split(Toy(step=1e-5).command)
    assert yaml.safe_load(words[words.index("-y") + 1])["step"] == 1e-5


def test_a_scale_without_a_file_still_gives_a_command():
    section = Toy(scale="mine", size=3)
    words = shlex.split(section.command)
    assert "-f" not in words
    assert yaml.safe_load(words[words.index("-y") + 1]) == {"scale": "mine", "size": 3}


def test_where_things_go():
    section = Toy(scale="smoke")
    assert section.output.as_posix().endswith("data/runs/smoke/toy.nc")
    assert section.training_root.as_posix().endswith("data/runs/smoke/training")
    assert section.reference.as_posix().endswith("data/results/cifar/toy.nc")
    assert section.notebook.as_posix() == "notebooks/toy.ipynb"


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


@pytest.mark.parametrize(
    ("n", "epochs", "own"), [(400, 6, True), (4000, 8, False), (None, 1, False)]
)
def test_only_short_trainings_are_left_to_the_notebook(n, epochs, own):
    section = SECTIONS["robustness"].from_parameters({"trainings_n": n, "trainings_epochs": epochs})
    assert section.own_trainings is own
