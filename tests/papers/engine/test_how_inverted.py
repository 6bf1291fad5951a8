"""The recipe race: contenders descend, tables read the race rightly, bad recipes are named."""

import numpy as np
import pytest
import torch
import xarray as xr

from invlib.inversion.invert import invert
from invlib.inversion.rules import OPTIMIZERS, ngd
from invlib.models.loading import load_model
from invlib.results.netcdf import open_results
from papers.engine.contenders import CONTENDERS
from papers.engine.work.how_inverted import agreement, evaluations_needed
from papers.parameters import RULES, ParameterError
from papers.sections import SECTIONS


@pytest.mark.parametrize("name", sorted(CONTENDERS))
def test_every_contender_descends_inside_the_cube_row_by_row(name):
    model = load_model("vit_pico_patch8_32", seed=2)
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    # 10 steps of η/7 (scaled to 32 px) are short: ask for progress, not for a good inversion
    found = invert(model, images, iterations=10, optimizer=CONTENDERS[name])
    assert (found.best.mean(1) < found.loss[:, 0]).all()
    assert found.images.min() >= 0 and found.images.max() <= 1
    cut = invert(model, images, iterations=10, optimizer=CONTENDERS[name], chunk=1)
    assert torch.equal(cut.images, found.images)


def test_every_rule_has_a_name_and_every_name_a_rule():
    assert set(RULES) == set(OPTIMIZERS) | set(CONTENDERS)


def test_lbfgs_solves_a_quadratic_faster_than_the_reference_step():
    scale = torch.logspace(0, 2, 48).view(1, 3, 4, 4)
    ends = {}
    for name, rule in (("lbfgs", CONTENDERS["lbfgs"]), ("ngd", ngd)):
        x = torch.full((1, 3, 4, 4), 0.9)
        update = rule(x, 25)
        for _ in range(25):
            update(scale * (x - 0.4))
        ends[name] = float((scale * (x - 0.4).square()).sum())
    assert ends["lbfgs"] < 0.05 * ends["ngd"]


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
