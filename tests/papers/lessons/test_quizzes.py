"""Quizzes: the right option follows the results."""

import re

import numpy as np
import pytest

from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers.lessons.quizzes import QUIZZES, quiz
from papers.sections import SECTIONS


def results(name: str):
    return open_results(
        results_root("cifar") / f"{'dynamics' if name == 'robustness' else name}.nc"
    )


@pytest.mark.parametrize("name", QUIZZES)
def test_one_option_is_right_and_each_has_feedback(name):
    text = quiz(name, {"reference": results(name)}).data
    assert text.count("data-right='true'") == 1 and text.count("type='radio'") > 1
    feedback = re.findall("data-feedback='([^']*)'", text)
    assert all(re.search(r"\d", words) for words in feedback) and "nan" not in text


def test_each_page_of_the_papers_has_one():
    papers = ("merlin2023", "goerttler2022", "masarczyk2023")
    pages = {k for k, section in SECTIONS.items() if section.__module__.split(".")[1] in papers}
    asked = {page for page in pages if (results_root("cifar") / f"{page}.nc").is_file()}
    assert set(QUIZZES) == asked - {"what_is_an_inversion"}  # it comes before the papers


# A change of the results that makes another option right.
SPOILT = {
    "finetuning_task": lambda ds: ds.assign(stir_ft_pt=ds["stir_ft_pt"].where(ds["layer"] > 0, -1)),
    "placebo": lambda ds: ds.assign(
        {name: ds[name].roll(task=1) for name in ds if "task" in ds[name].dims}
    ),
    "pretraining_dataset": lambda ds: ds.assign(
        stir_ft_pt_diagonal=ds["stir_ft_pt_diagonal"].where(ds["pretraining"] != "cifar100", -1)
    ),
    "compression_expansion": lambda ds: ds.assign(stir_pt_pt=ds["stir_pt_pt"] * 0),
    "dynamics": lambda ds: ds.assign(
        stir_ft_pt_diagonal=ds["stir_ft_pt_diagonal"].where(ds["epoch"] != 1, -1)
    ),
    "robustness": lambda ds: ds.assign(
        corrupted_accuracy=ds["corrupted_accuracy"] * 0
        + np.array([0, 1, 0, 0, 1, 1, 0, 1, 0])[:, None]
    ),
    "robustness_across_settings": lambda ds: ds.assign(test_accuracy=ds["test_accuracy"] ** 40),
    "accuracy": lambda ds: ds.assign(test_accuracy=-ds["test_accuracy"]),
    "learning_from_random_labels": lambda ds: ds.assign(cka_reference=-ds["cka_reference"]),
    "unlearning": lambda ds: ds.assign(cka_reference=-ds["cka_reference"]),
    "feature_erosion": lambda ds: ds.assign(test_accuracy=ds["test_accuracy"] * 0 + 0.5),
    "collapse_and_plasticity": lambda ds: ds.assign(probe_accuracy=ds["probe_accuracy"] * 0),
}


@pytest.mark.parametrize("name", QUIZZES)
def test_the_right_option_moves_with_the_results(name):
    ds = results(name)
    spoilt = SPOILT[name](ds)
    assert QUIZZES[name](ds)[2] != QUIZZES[name](spoilt)[2]
