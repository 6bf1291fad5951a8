"""Section 4 of paper B: each claim can hold and can fail, and the runs are the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.results.validation import conform, validate
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.settings import settings
from papers.goerttler2022.unlearning import CROSS, SAME, SCRATCH, SHIFTED
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

UNLEARNING = CLAIMS["unlearning"]

# Section 4: (task, d, reference) -> CKA by layer.
TUNED = {
    (SAME, 0, "pretrained"): [0.99, 0.98, 0.95, 0.9, 0.9],
    (SAME, 4, "pretrained"): [0.9, 0.8, 0.7, 0.5, 0.4],
    (SAME, 9, "pretrained"): [0.7, 0.6, 0.5, 0.3, 0.1],
    (SHIFTED, 0, "pretrained"): [0.95, 0.9, 0.85, 0.75, 0.5],
    (CROSS, 0, "pretrained"): [0.94, 0.89, 0.8, 0.6, 0.5],
    (CROSS, 4, "pretrained"): [0.85, 0.7, 0.6, 0.4, 0.3],
    (CROSS, 9, "pretrained"): [0.7, 0.6, 0.5, 0.3, 0.2],
    **{(SCRATCH, d, "initial"): curve for d, curve in SCRATCH_CKA.items()},
    (SAME, 0, "initial"): [0.8, 0.7, 0.5, 0.3, 0.1],
    (SHIFTED, 0, "initial"): [0.82, 0.75, 0.55, 0.4, 0.3],
    (CROSS, 0, "initial"): [0.82, 0.75, 0.55, 0.4, 0.3],
    (SAME, 9, "initial"): [0.9, 0.8, 0.7, 0.5, 0.2],
}


def fine_tuned(**changes) -> xr.Dataset:
    """Results of section 4, some curves changed: ``cka={(task, d, reference): curve}``."""
    curves = TUNED | changes.get("cka", {})
    grid = {
        "task": [SAME, SHIFTED, CROSS, SCRATCH],
        "reference": ["initial", "pretrained"],
        "randomness": DEGREES,
        "estimator": ["biased", "debiased"],
        "layer": LAYERS,
    }
    cka = xr.DataArray(np.full([len(v) for v in grid.values()], np.nan), grid, list(grid))
    for (task, d, name), curve in curves.items():
        cka.loc[dict(task=task, randomness=d, reference=name)] = curve
    cka = cka.expand_dims(train_seed=range(SEEDS)).transpose("task", "train_seed", ...)
    return xr.Dataset({"cka_reference": cka}).assign_coords(COORDS).assign_attrs(ATTRS)


# For every claim one change of the results that would refute it.
FLAT = [0.5] * 5
REFUTED = {
    "B-4.1-more-random-more-change-same": {(SAME, 4, "pretrained"): FLAT[:-1] + [0.0]},
    "B-4.1-more-random-more-change-cross-domain": {(CROSS, 4, "pretrained"): [0.9] * 5},
    "B-4.1-true-labels-keep-early-layers": {(SAME, 0, "pretrained"): [0.85, 0.85, 0.9, 0.9, 0.9]},
    "B-4.1-more-than-from-scratch": {(SCRATCH, 9, "initial"): [0.3] * 5},
    "B-4.2-between-shifted": {(SHIFTED, 0, "pretrained"): [1.0] * 5},
    "B-4.2-between-cross-domain": {(CROSS, 0, "pretrained"): [0.5] * 5},
    "B-4.2-cross-domain-penultimate": {(CROSS, 0, "pretrained"): [0.94, 0.89, 0.8, 0.8, 0.1]},
    "B-5-unlearning-changes-early-layers": {(SAME, 9, "pretrained"): [0.99] * 5},
    "B-5-cross-domain-changes-early-layers": {(CROSS, 0, "pretrained"): [0.95, 0.9, 0.8, 0.6, 0.5]},
    "B-4.3-nearer-to-pretrained-true": {(SAME, 0, "initial"): [1.0] * 5},
    "B-4.3-nearer-to-pretrained-shifted": {(SHIFTED, 0, "initial"): [0.9] * 5},
    "B-4.3-nearer-to-pretrained-cross-domain": {(CROSS, 0, "initial"): [0.9] * 5},
    "B-4.3-nearer-to-initial-random": {(SAME, 9, "initial"): [0.2] * 5},
    "B-4.3-least-apart-after-new-tasks": {(SHIFTED, 0, "initial"): [0.0] * 5},
}
BY_ID = {claim.id: claim for claim in UNLEARNING}


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == set(BY_ID)


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_holds_where_the_results_are_the_papers(id):
    assert judge(BY_ID[id], fine_tuned()) == {"reproduced"}


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_fails_where_they_contradict_it(id):
    assert judge(BY_ID[id], fine_tuned(cka=REFUTED[id])) == {"not reproduced"}


def test_the_synthetic_results_are_valid():
    validate(conform(fine_tuned()))


def test_trainings_that_disagree_are_undecided():
    ds = xr.concat(
        [fine_tuned().isel(train_seed=[0]),
         fine_tuned(cka=REFUTED["B-4.3-nearer-to-initial-random"]).isel(train_seed=[1])],
        "train_seed",
    )  # fmt: skip
    ((_, one),) = settings(ds)
    out = check_claims([BY_ID["B-4.3-nearer-to-initial-random"]], one)
    assert set(out.verdict.values.ravel()) == {"undecided"}


def test_the_paper_scale_is_the_papers():
    section = SECTIONS["unlearning"].from_parameters(load_scale("paper"))
    assert len(section.labels_seeds) == 5 and section.labels_randomness == tuple(range(10))
    run = section.task_run(3, SHIFTED, 0)
    assert (run.model, run.optimizer, run.lr, run.momentum) == ("conv4", "sgd", 0.001, 0.9)
    assert (run.n_train, run.n_test, run.shift, run.head) == (5000, 5000, 1, "kept")
    first = section.pretraining_run(3)
    assert run.parent == first and first == section.scratch_run(3, 0)
    assert run.skip == first.n_train  # no image is trained on twice
    assert section.task_run(3, CROSS, 9).dataset == "svhn"


def test_the_pages_share_their_trainings():
    sections = [SECTIONS[name]() for name in ("learning_from_random_labels", "unlearning")]
    scratch, tuned = ({run.id for run in section.runs().values()} for section in sections)
    shared = len(sections[0].labels_randomness) * len(sections[0].labels_seeds)
    assert len(scratch & tuned) == shared


def test_degrees_of_randomness_rise():
    with pytest.raises(ValueError, match=r"labels_randomness.*not in rising order"):
        SECTIONS["unlearning"].from_parameters({"labels_randomness": [9, 0]})


def test_the_section_computes_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    tiny = load_scale("smoke") | {"labels_seeds": [0], "labels_epochs": 1}
    scratch = SECTIONS["learning_from_random_labels"].from_parameters(tiny).dataset()
    section = SECTIONS["unlearning"].from_parameters(tiny)
    tuned = section.dataset()
    assert section.output.is_file()
    # the scratch runs are those of section 3
    ours, theirs = (
        ds.cka_reference.sel(cell).transpose("train_seed", "randomness", "estimator", "layer")
        for ds, cell in ((scratch.isel(dataset=0), {}),
                         (tuned.isel(dataset=0), dict(task=SCRATCH, reference="initial")))
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    found = tuned.cka_reference
    assert found.sel(task=SHIFTED, randomness=9).isnull().all()  # no task, so no number
    assert found.sel(randomness=0, reference="initial").notnull().all()
