"""Quizzes: the right option follows the results."""

import re

import pytest

from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers.lessons.quizzes import QUIZZES, quiz


@pytest.mark.parametrize("name", QUIZZES)
def test_one_option_is_right_and_each_has_feedback(name):
    ds = open_results(results_root("cifar") / f"{name}.nc")
    text = quiz(name, {"reference": ds}).data
    assert text.count("data-right='true'") == 1 and text.count("type='radio'") > 1
    assert all(re.findall("data-feedback='([^']*)'", text)) and "nan" not in text


def test_the_right_option_moves_with_the_results():
    ds = open_results(results_root("cifar") / "finetuning_task.nc")
    other = ds.assign(stir_ft_pt=ds["stir_ft_pt"].where(ds["layer"] > 0, -1))
    assert QUIZZES["finetuning_task"](ds)[2] != "layer 0"
    assert QUIZZES["finetuning_task"](other)[2] == "layer 0"
    same = open_results(results_root("cifar") / "compression_expansion.nc")
    zero = same.assign(stir_pt_pt=same["stir_pt_pt"] * 0)
    options = {QUIZZES["compression_expansion"](one)[2] for one in (same, zero)}
    assert options == {"not zero", "zero everywhere"}
