"""The parameters of a notebook: what is refused, in which words, and what is let through."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import yaml

from invlib.training.run import TrainingRun
from papers.parameters import Names, ParameterError, Positive, PositiveFloat, one_of
from papers.section import Section
from papers.sections import SECTIONS


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


def test_a_name_far_from_all_says_what_lists_the_known_ones():
    said = refused({"qqqqqq": 1})
    assert "unknown parameter 'qqqqqq'; python -m papers parameters toy lists" in said


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


def test_names_of_a_readers_startup_file_are_passed_over():
    shell = SimpleNamespace(user_ns_hidden={"history": "~/.history", "size": 7})
    names = namespace(size=3, history="~/.history") | {"get_ipython": lambda: shell}
    assert Toy.from_namespace(names).size == 3


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


def test_the_command_writes_numbers_that_yaml_reads_as_numbers():
    words = shlex.split(Toy(step=1e-5).command)
    assert yaml.safe_load(words[words.index("-y") + 1])["step"] == 1e-5


def test_a_place_beside_a_scale_starts_from_its_file():
    words = shlex.split(Toy(scale="smoke-size-3", size=3, seeds=(0, 1)).command)
    assert words[words.index("-f") + 1] == "notebooks/scales/smoke.yaml"
    assert yaml.safe_load(words[words.index("-y") + 1]) == {"scale": "smoke-size-3", "size": 3}


def test_a_scale_without_a_file_still_gives_a_command():
    section = Toy(scale="mine", size=3)
    words = shlex.split(section.command)
    assert "-f" not in words
    assert yaml.safe_load(words[words.index("-y") + 1]) == {"scale": "mine", "size": 3}


def test_where_things_go():
    section = Toy(scale="smoke")
    assert section.output.as_posix().endswith("data/runs/smoke/toy.nc")
    assert section.training_root.as_posix().endswith("data/runs/training")
    assert section.reference.as_posix().endswith("data/results/cifar/toy.nc")
    assert section.notebook.as_posix() == "notebooks/toy.ipynb"


def test_a_copy_is_checked_like_what_a_notebook_says():
    section = Toy.from_parameters({"words": ["shapes"], "step": 0.5})
    copied = section.model_copy(update={"size": 3, "seeds": (7, 8)})
    assert copied == Toy(words=("shapes",), step=0.5, size=3, seeds=(7, 8))
    for update, said in [
        ({"sise": 3}, "toy: unknown parameter 'sise'.*did you mean 'size'"),
        ({"epochs": 3}, "toy: unknown parameter 'epochs'"),  # a parameter of other sections
        ({"size": "3"}, "toy: size='3' is text"),
        ({"words": []}, "toy: words"),
    ]:
        with pytest.raises(ParameterError, match=said):
            section.model_copy(update=update)
