"""The size of the data set: which trainings there are, claims that can hold and fail, sentences."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from papers.across.data_set_size import DataSetSize
from papers.across.work.claims_ledger import CLAIMS
from papers.across.work.data_set_size import findings, plan, points
from papers.claims.settings import settings
from papers.parameters import load_scale
from papers.sections import SECTIONS
from tests.synthetic import LAYERS, comparison, diagonals, verdicts

SIZES, BUDGETS = [250, 1000, 4000, 16000], ["steps", "epochs"]
FLAT, GROWS = np.full(4, 0.2), np.array([0.05, 0.1, 0.2, 0.3])
CPU_QUESTIONS = load_scale("cifar", "notebooks/scales/overrides/cpu_questions.yaml")


def results(**changes: np.ndarray) -> xr.Dataset:
    """Growth with the images at equal epochs alone, but for `changes`, in three trainings."""
    made = dict(learning_epochs=GROWS, forgetting_epochs=GROWS, flow=GROWS)
    made |= dict(learning_steps=FLAT, forgetting_steps=FLAT) | changes
    grid = {"train_seed": range(3), "n_train": SIZES, "budget": BUDGETS, "layer": LAYERS}

    def curve(name: str) -> xr.DataArray:
        both = np.stack([made[f"{name}_{budget}"] for budget in BUDGETS], axis=1)
        shape = [len(values) for values in grid.values()]
        return xr.DataArray(np.broadcast_to(both[None, :, :, None], shape), grid, list(grid))

    lost = curve("forgetting")
    accuracy = xr.full_like(lost.isel(layer=0, drop=True), 0.8)
    curves = diagonals(learning=curve("learning"), forgetting=lost, divergence=lost)
    below = np.tril(np.ones((13, 13)), -1)
    square = xr.DataArray(below, {"ref_layer": LAYERS, "layer": LAYERS}, ["ref_layer", "layer"])
    flow = xr.DataArray(made["flow"], {"n_train": SIZES}, ["n_train"]) * square
    # its diagonal is forgetting's, below it is the flow
    eye = xr.DataArray(np.eye(13), square.coords, square.dims)
    whole = eye * curves["stir_ft_pt_diagonal"] + flow
    ds = comparison(curves | {"stir_ft_pt": whole, "test_accuracy": accuracy}, dataset="cifar10")
    made = json.loads(ds.attrs["parameters"]) | {"finetuning_n": 4000}
    return ds.assign_attrs(parameters=json.dumps(made))


def judged(**changes: np.ndarray) -> dict[str, str]:
    ((_, part),) = settings(results(**changes))
    return {k[4:]: v for k, v in verdicts(CLAIMS["data_set_size"], part).items()}


def test_all_claims_hold_on_what_was_expected():
    assert set(judged().values()) == {"reproduced"} and len(judged()) == 6


REFUTED = {
    "learning-grows-at-equal-epochs": dict(learning_epochs=FLAT),
    "forgetting-grows-at-equal-epochs": dict(forgetting_epochs=FLAT),
    "learning-stays-at-equal-steps": dict(learning_steps=GROWS),
    "forgetting-stays-at-equal-steps": dict(forgetting_steps=GROWS),
    "steps-matter-more": dict(forgetting_steps=GROWS),
    "compression-grows-at-equal-epochs": dict(flow=FLAT),
}


@pytest.mark.parametrize("id", REFUTED)
def test_each_claim_can_fail(id):
    found = judged(**REFUTED[id])
    assert found[id] == "not reproduced"
    assert found["compression-grows-at-equal-epochs"] == "reproduced" or id.startswith("compress")


def test_steps_and_epochs_are_equal():
    table = plan(DataSetSize.from_parameters(CPU_QUESTIONS))
    steps, epochs = (table.loc[[f"{n:,} images, equal {b}" for n in SIZES]] for b in BUDGETS)
    assert steps["steps"].max() / steps["steps"].min() < 1.03
    assert set(epochs["epochs"]) == {8} and steps["epochs"].tolist() == [64, 16, 4, 1]


def test_the_usual_training_is_that_of_the_other_pages():
    for parameters, n in ((CPU_QUESTIONS | {"finetuning_n": 4000}, 4000), ({}, 1297)):
        section = DataSetSize.from_parameters(parameters)
        task = SECTIONS["finetuning_task"].from_parameters(parameters)
        usual = task.finetuning_run(section.datasets[0])
        found = section.trainings()
        assert found[0, n, "steps"] == found[0, n, "epochs"] == usual


def test_sentences_say_the_numbers():
    steps, epochs, *alone = findings(results())
    assert "forgetting 0.20 [0.20, 0.20] on 250 images" in steps
    assert "forgetting 0.05 [0.05, 0.05] on 250 images, 0.30 [0.30, 0.30] on 16,000" in epochs
    usual = "forgetting changes by 0.10 [0.10, 0.10], learning changes by 0.10 [0.10, 0.10]"
    assert alone[0].startswith("Steps alone. The same 250 images, 16 times the steps: forgetting")
    assert f"The same 16,000 images, 4 times the steps: {usual}" in alone[2]
    assert "The same steps, 16,000 images instead of 4,000: forgetting changes by 0.00" in alone[-1]
    assert len(alone) == 6


def test_one_size_says_that_there_is_nothing_to_compare():
    assert findings(results().sel(n_train=[4000])) == [
        "There is one size of the data set, so there is nothing to compare."
    ]


def test_each_kind_of_training_is_one_colour_and_the_usual_one_is_there_once():
    (found,) = points(results().sel(estimator="debiased")).values()
    names = found["setting"].values.tolist()
    assert len(names) == 7 and names.count("the usual training") == 1
    few = found["forgetting"].sel(setting=[f"250 images, equal {b}" for b in BUDGETS])
    np.testing.assert_allclose(few.mean("train_seed"), [0.2, 0.05])
    assert found["test accuracy"].dims == ("setting", "train_seed")
