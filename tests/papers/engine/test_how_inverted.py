"""The recipe race: tables read it rightly, bad recipes are named."""

import numpy as np
import pytest
import xarray as xr

from invlib.results.netcdf import open_results
from papers.engine.work.how_inverted import agreement, evaluations_needed
from papers.parameters import ParameterError
from papers.sections import SECTIONS


def race(curves, budgets):
    length = max(map(len, curves)) + 0
    loss = np.full((len(curves), 1, length), np.nan)
    for i, curve in enumerate(curves):
        loss[i, 0, : len(curve)] = curve
    names = [f"fast:{b}" if i < len(budgets) - 1 else f"ngd:{b}" for i, b in enumerate(budgets)]
    return xr.Dataset(
        {
            "race_loss": (("recipe", "race_layer", "evaluation"), loss),
            "race_best": (("recipe", "race_layer"), [[min(c)] for c in curves]),
        },
        dict(recipe=names, race_layer=[6]),
    )


def test_evaluations_needed_reads_the_first_crossing():
    ds = race([[1.0, 0.6, 0.3], [1.0, 0.9], [1.0, 0.8, 0.7, 0.5]], [2, 1, 3])
    table = evaluations_needed(ds)
    assert table["layer 6"].tolist() == ["2", "–", "3"]


def test_agreement_sets_differences_beside_the_spread_of_seeds():
    dims = ("measured_recipe", "estimator", "seed", "layer")
    values = np.zeros((2, 1, 2, 3))
    values[0] = 0.25
    values[1, 0, 1, 2] = 0.1
    names = ("learning", "forgetting", "self_term_pt", "self_term_ft")
    ds = xr.Dataset(
        {name: (dims, values) for name in names},
        dict(measured_recipe=["fast:50", "ngd:500"], estimator=["debiased"]),
    )
    table = agreement(ds)
    assert table["learning: off by"].tolist() == [0.25, 0.0]
    assert table["learning: seeds span"].tolist() == [0.0, 0.1]


@pytest.mark.parametrize(
    ("race_", "message"),
    [
        (["fsat:50"], "did you mean 'fast'"),
        (["fast"], "write rule:evaluations"),
        (["fast:0"], "write rule:evaluations"),
        (["fast:5:nois"], "did you mean 'noise'"),
        (["fast:5", "fast:5"], "the same value twice"),
    ],
)
def test_a_bad_recipe_is_an_error_before_any_work(race_, message):
    with pytest.raises(ParameterError, match=message):
        SECTIONS["how_inverted"].from_parameters({"race": race_})


def test_the_section_computes_and_stores_a_race(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path)
    section = SECTIONS["how_inverted"].from_parameters(
        dict(
            scale="toy", model="vit_pico_patch8_32", n=8, subspace_k=2, race_n=2,
            pretraining_n=32, pretraining_epochs=1, finetuning_n=32, finetuning_test_n=16,
            finetuning_epochs=1, batch_size=16, race=["fast:4", "ngd:4:white"],
            measured=["fast:2", "ngd:2"], measured_layers=[0, 3], measured_seeds=[1],
        )
    )  # fmt: skip
    section.dataset()
    ds = open_results(section.output)
    assert ds.race_loss.shape == (2, 4, 5) and not ds.race_loss.isnull().any()
    assert ds.learning.sizes == {"measured_recipe": 2, "estimator": 2, "seed": 1, "layer": 2}
    assert evaluations_needed(ds).shape == (2, 4) and agreement(ds).shape[0] == 2
