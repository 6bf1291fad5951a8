"""Paper B: each claim can hold and can fail; the runs are the paper's; the sections work."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.results.provenance import provenance
from invlib.results.validation import conform, validate
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.settings import settings
from papers.goerttler2022.unlearning import CROSS, SAME, SCRATCH, SHIFTED
from papers.parameters import load_scale
from papers.sections import SECTIONS

LEARNING_FROM_RANDOM_LABELS = CLAIMS["learning_from_random_labels"]
UNLEARNING = CLAIMS["unlearning"]
LAYERS = np.arange(1, 6)
DEGREES = [0, 4, 9]
SEEDS = 2
ATTRS = {"kind": "drift"} | provenance(
    parameters={"scale": "smoke"}, seeds=range(SEEDS), wall_time=1.0, command="papermill a b"
)
COORDS = {
    "layer_name": ("layer", ["block 1", "block 2", "block 3", "block 4", "logits"]),
    "depth": ("layer", LAYERS / 5),
}

# What section 3 describes: CKA with the start by layer; the less structure the higher.
SCRATCH_CKA = {
    0: [0.85, 0.75, 0.6, 0.4, 0.2],
    4: [0.95, 0.85, 0.7, 0.45, 0.22],
    9: [0.99, 0.97, 0.9, 0.6, 0.25],
}
MEMORISED = {50: [0.99, 0.99, 0.98, 0.95, 0.4], 500: [0.95, 0.9, 0.8, 0.6, 0.2]}
LOSS = {0: [2.0, 1.0, 0.1], 4: [2.2, 1.5, 0.2], 9: [2.3, 2.0, 0.3]}
FITTED, TESTED = {0: 1.0, 4: 0.99, 9: 0.97}, {0: 0.7, 4: 0.18, 9: 0.1}

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


FLAT = [0.5] * 5
# For every claim the results, and one change that would refute it.
REFUTED = {
    "B-3-early-layers-change-less": dict(early=[0.2, 0.4, 0.6, 0.75, 0.85]),
    "B-3.2-loss-falls-slower": dict(loss={4: LOSS[0]}),
    "B-3.2-same-training-accuracy": dict(fitted={9: 0.6}),
    "B-3.2-test-accuracy-falls": dict(tested={4: 0.7}),
    "B-3.2-nothing-learnt-without-structure": dict(tested={9: 0.17}),
    "B-3.2-less-structure-less-change": dict(cka={9: SCRATCH_CKA[0]}),
    "B-3.2-especially-early": dict(cka={9: [0.86, 0.76, 0.8, 0.9, 0.6]}),
    "B-3.2-memorised-in-the-last-layer": dict(cka={9: [0.99, 0.97, 0.2, 0.6, 0.25]}),
    "B-3.2-few-images-only-the-last-layer": dict(memorised={50: [0.8, 0.99, 0.98, 0.95, 0.4]}),
    "B-3.2-more-images-earlier-layers": dict(memorised={500: MEMORISED[50]}),
    "B-4.1-more-random-more-change-same": {(SAME, 4, "pretrained"): FLAT[:-1] + [0.0]},
    "B-4.1-more-random-more-change-cross-domain": {(CROSS, 4, "pretrained"): [0.9] * 5},
    "B-4.1-true-labels-keep-early-layers": {(SAME, 0, "pretrained"): [0.85, 0.85, 0.9, 0.9, 0.9]},
    "B-4.1-more-than-from-scratch": {(SCRATCH, 9, "initial"): [0.3] * 5},
    "B-4.2-between-shifted": {(SHIFTED, 0, "pretrained"): [1.0] * 5},
    "B-4.2-between-cross-domain": {(CROSS, 0, "pretrained"): [0.5] * 5},
    "B-4.2-cross-domain-penultimate": {(CROSS, 0, "pretrained"): [0.94, 0.89, 0.8, 0.8, 0.1]},
    "B-4.3-nearer-to-pretrained-true": {(SAME, 0, "initial"): [1.0] * 5},
    "B-4.3-nearer-to-pretrained-shifted": {(SHIFTED, 0, "initial"): [0.9] * 5},
    "B-4.3-nearer-to-pretrained-cross-domain": {(CROSS, 0, "initial"): [0.9] * 5},
    "B-4.3-nearer-to-initial-random": {(SAME, 9, "initial"): [0.2] * 5},
    "B-4.3-least-apart-after-new-tasks": {(SHIFTED, 0, "initial"): [0.0] * 5},
}
BY_ID = {claim.id: claim for claim in (*LEARNING_FROM_RANDOM_LABELS, *UNLEARNING)}


def results(id: str, change: dict) -> xr.Dataset:
    if BY_ID[id] in UNLEARNING:
        return fine_tuned(cka=change)
    return from_scratch(**change)


def judge(id: str, change: dict) -> set[str]:
    ((_, ds),) = settings(results(id, change))
    out = check_claims([BY_ID[id]], ds)
    validate(out)
    assert out.sizes["seed"] == SEEDS and out.reason.values == [""]
    return set(out.verdict.values.ravel())


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == set(BY_ID)


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_holds_where_the_results_are_the_papers(id):
    assert judge(id, {}) == {"reproduced"}


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_fails_where_they_contradict_it(id):
    assert judge(id, REFUTED[id]) == {"not reproduced"}


def test_the_synthetic_results_are_valid():
    for ds in (from_scratch(), fine_tuned()):
        validate(conform(ds))


def test_repeats_that_disagree_are_mixed():
    ds = xr.concat(
        [fine_tuned().isel(train_seed=[0]),
         fine_tuned(cka=REFUTED["B-4.3-nearer-to-initial-random"]).isel(train_seed=[1])],
        "train_seed",
    )  # fmt: skip
    ((_, one),) = settings(ds)
    out = check_claims([BY_ID["B-4.3-nearer-to-initial-random"]], one)
    assert set(out.verdict.values.ravel()) == {"mixed"}


def test_one_number_of_images_shows_no_trend():
    ((_, ds),) = settings(from_scratch().isel(n_train=[0]))
    out = check_claims([BY_ID["B-3.2-more-images-earlier-layers"]], ds)
    assert set(out.verdict.values.ravel()) == {"not testable here"}


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


def test_the_sections_compute_what_they_say(tmp_path, monkeypatch):
    monkeypatch.setattr("papers.section.runs_root", lambda scale: tmp_path / scale)
    tiny = load_scale("smoke") | {"labels_seeds": [0], "labels_epochs": 1}
    scratch = SECTIONS["learning_from_random_labels"].from_parameters(tiny).dataset()
    section = SECTIONS["unlearning"].from_parameters(tiny)
    tuned = section.dataset()
    assert section.output.is_file()
    # before any step a network is its own start, and the scratch runs are those of section 3
    np.testing.assert_allclose(scratch.cka_reference_trajectory.sel(epoch=0), 1, atol=1e-9)
    ours, theirs = (
        ds.cka_reference.sel(cell).transpose("train_seed", "randomness", "estimator", "layer")
        for ds, cell in ((scratch.isel(dataset=0), {}),
                         (tuned.isel(dataset=0), dict(task=SCRATCH, reference="initial")))
    )  # fmt: skip
    np.testing.assert_allclose(ours, theirs, atol=1e-9)
    found = tuned.cka_reference
    assert found.sel(task=SHIFTED, randomness=9).isnull().all()  # no task, so no number
    assert found.sel(randomness=0, reference="initial").notnull().all()
    assert scratch.attrs["seeds"] == "[0]" and not scratch.cka_reference.isnull().any()
