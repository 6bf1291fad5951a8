"""Section 3 of paper B: each claim can hold and can fail, and CKA starts at 1."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.results.validation import conform, validate
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.settings import settings
from papers.parameters import load_scale
from papers.sections import SECTIONS
from tests.papers.goerttler2022.results import (
    ATTRS,
    COORDS,
    DEGREES,
    LAYERS,
    SCRATCH_CKA,
    SEEDS,
    judge,
)

LEARNING_FROM_RANDOM_LABELS = CLAIMS["learning_from_random_labels"]
MEMORISED = {50: [0.99, 0.99, 0.98, 0.95, 0.4], 500: [0.95, 0.9, 0.8, 0.6, 0.2]}
LOSS = {0: [2.0, 1.0, 0.1], 4: [2.2, 1.5, 0.2], 9: [2.3, 2.0, 0.3]}
FITTED, TESTED = {0: 1.0, 4: 0.99, 9: 0.97}, {0: 0.7, 4: 0.18, 9: 0.1}


def from_scratch(cka=(), memorised=(), loss=(), fitted=(), tested=(), early=None) -> xr.Dataset:
    """Results of section 3, some of them changed; `early` is the last epoch of Figure 1."""
    cka, memorised = SCRATCH_CKA | dict(cka), MEMORISED | dict(memorised)
    loss, fitted, tested = LOSS | dict(loss), FITTED | dict(fitted), TESTED | dict(tested)
    last = np.array(early or cka[0])
    epochs = [np.ones(5), (1 + last) / 2, last]
    first = np.full(len(DEGREES), np.nan)  # nothing is trained at epoch 0
    guess = np.full(len(DEGREES), 0.1)

    def similar(rows):
        return np.broadcast_to(np.array(rows), (SEEDS, 2, len(rows), 5)).swapaxes(1, 2)

    def logged(rows, start):
        return np.broadcast_to(np.column_stack([start, np.array(rows)]), (SEEDS, len(rows), 4))

    flat = {name: [[values[d]] * 3 for d in DEGREES] for name, values in
            (("train_accuracy", fitted), ("test_accuracy", tested))}  # fmt: skip
    dims = ("train_seed", "randomness", "estimator", "layer")
    ds = xr.Dataset(
        {
            "cka_reference": (dims, similar([cka[d] for d in DEGREES])),
            "cka_reference_memorised": (
                ("train_seed", "n_train", *dims[2:]), similar(list(memorised.values()))
            ),
            "train_loss": ((*dims[:2], "epoch"), logged([loss[d] for d in DEGREES], first)),
            "train_accuracy": ((*dims[:2], "epoch"), logged(flat["train_accuracy"], first)),
            "test_accuracy": ((*dims[:2], "epoch"), logged(flat["test_accuracy"], guess)),
        },
        {"train_seed": range(SEEDS), "randomness": DEGREES, "estimator": ["biased", "debiased"],
         "layer": LAYERS, "n_train": list(memorised), "epoch": range(4), **COORDS},
    )  # fmt: skip
    trajectory = similar([*epochs, last])
    ds["cka_reference_trajectory"] = (("train_seed", "epoch", *dims[2:]), trajectory)
    return ds.assign_attrs(ATTRS)


# For every claim one change of the results that would refute it.
REFUTED = {
    "B-3-early-layers-change-less": dict(early=[0.2, 0.4, 0.6, 0.75, 0.85]),
    "B-3.2-loss-falls-slower": dict(loss={4: LOSS[0]}),
    "B-3.2-same-training-accuracy": dict(fitted={9: 0.6}),
    "B-3.2-test-accuracy-falls": dict(tested={4: 0.7}),
    "B-3.2-nothing-learnt-without-structure": dict(tested={9: 0.17}),
    "B-3.2-less-structure-less-change": dict(cka={9: SCRATCH_CKA[0]}),
    "B-3.2-especially-early": dict(cka={9: [0.86, 0.76, 0.8, 0.9, 0.6]}),
    "B-3.2-memorised-in-the-last-layer": dict(cka={9: [0.99, 0.97, 0.2, 0.6, 0.25]}),
    "B-3.2-clearer-structure-earlier-layers": dict(cka={4: SCRATCH_CKA[0]}),
    "B-5-random-labels-keep-early-layers": dict(cka={9: [0.8, 0.9, 0.8, 0.9, 0.6]}),
    "B-3.2-few-images-only-the-last-layer": dict(memorised={50: [0.8, 0.99, 0.98, 0.95, 0.4]}),
    "B-3.2-more-images-earlier-layers": dict(memorised={500: MEMORISED[50]}),
}
BY_ID = {claim.id: claim for claim in LEARNING_FROM_RANDOM_LABELS}


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == set(BY_ID)


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_holds_where_the_results_are_the_papers(id):
    assert judge(BY_ID[id], from_scratch()) == {"reproduced"}


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_fails_where_they_contradict_it(id):
    assert judge(BY_ID[id], from_scratch(**REFUTED[id])) == {"not reproduced"}


def test_the_synthetic_results_are_valid():
    validate(conform(from_scratch()))


def test_one_number_of_images_shows_no_trend():
    ((_, ds),) = settings(from_scratch().isel(n_train=[0]))
    out = check_claims([BY_ID["B-3.2-more-images-earlier-layers"]], ds)
    assert set(out.verdict.values.ravel()) == {"not testable here"}


def test_before_any_step_a_network_is_its_own_start(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    tiny = load_scale("smoke") | {"labels_seeds": [0], "labels_epochs": 1}
    section = SECTIONS["learning_from_random_labels"].from_parameters(tiny)
    ds = section.dataset()
    assert section.output.is_file() and ds.attrs["seeds"] == "[0]"
    np.testing.assert_allclose(ds.cka_reference_trajectory.sel(epoch=0), 1, atol=1e-9)
    assert not ds.cka_reference.isnull().any()
    assert (ds.cka_reference_trajectory.sel(epoch=1) < 1 - 1e-6).all()  # and then it is not
