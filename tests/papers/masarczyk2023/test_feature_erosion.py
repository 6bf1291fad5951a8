"""Paper C: sequences of tasks, the numbers its claims come down to, and its figures."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from invlib.plots.matrices import cka_matrices
from invlib.results.provenance import provenance
from invlib.results.validation import conform, validate
from papers.across.work.claims_ledger import CLAIMS
from papers.claims.claim import check_claims
from papers.claims.settings import settings
from papers.masarczyk2023 import figures as task_plots
from papers.masarczyk2023.base import AGAIN, ORIGINAL, SQUARES
from papers.masarczyk2023.collapse_and_plasticity import CollapseAndPlasticity
from papers.masarczyk2023.feature_erosion import FeatureErosion
from papers.masarczyk2023.task_logs import accuracy_lost, after_task
from papers.parameters import ParameterError
from papers.sections import SECTIONS

FEATURE_EROSION = CLAIMS["feature_erosion"]
COLLAPSE_AND_PLASTICITY = CLAIMS["collapse_and_plasticity"]
EPOCHS = 10
EPOCH = np.arange(EPOCHS + 1)
RATIOS = np.array([0.0, 0.05, 0.25, 0.5, 1.0])
LAYERS = np.arange(6)
RTOL = [1e-4, 1e-3, 1e-2]

# What the paper's figures show; a list is over epochs, layers or ratios.
LEARN = np.interp(EPOCH, [0, 5, 10], [0.1, 0.7, 0.8])
ERODE = np.interp(EPOCH, [0, 1, 10], [0.8, 0.15, 0.11])
RELEARN = np.interp(EPOCH, [0, 5, 10], [0.1, 0.4, 0.7])
PAPER = {
    "train": {ORIGINAL: 1.0, SQUARES: 1.0},
    "test": {ORIGINAL: LEARN, SQUARES: ERODE, AGAIN: RELEARN},
    "marked": 1.0,
    "cka": np.array([1.0, 0.6, 0.3, 0.2, 0.1, 0.1]),
    "probe": np.array([0.5, 0.8, 0.98, 0.99, 1.0, 1.0]),
    "rank_ratio": np.full((6, 3), 0.5),
    "lost": np.array([0.0, 0.3, 0.55, 0.6, 0.69]),
    "corner": 0.9,
}


def synthetic(seeds: list[dict]) -> xr.Dataset:
    """A Dataset of kind ``tasks`` with these numbers, a repeat of the training each."""
    tasks = [ORIGINAL, SQUARES, AGAIN]

    def over(pick):
        return np.array([pick(one) for one in seeds])

    def curves(one):
        return [np.broadcast_to(one["test"][task], EPOCHS + 1) for task in tasks]

    def trained(one):
        return [np.full(EPOCHS + 1, one["train"].get(task, 1.0)) for task in tasks]

    def marked(one):
        # as it is logged: nowhere but in the task with squares
        return [np.full(EPOCHS + 1, one["marked"] if t == SQUARES else np.nan) for t in tasks]

    diagonal = np.eye(len(LAYERS))
    probe_dims = ("train_seed", "task", "carrying", "layer")
    ds = xr.Dataset(
        {
            "test_accuracy": (("train_seed", "task", "epoch"), over(curves)),
            "train_accuracy": (("train_seed", "task", "epoch"), over(trained)),
            "test_accuracy_squares": (("train_seed", "task", "epoch"), over(marked)),
            "chance": ((), 0.1),
            "ratio_accuracy": (("train_seed", "ratio"), over(lambda one: 0.8 - one["lost"])),
            "cka_ft_pt": (
                ("train_seed", "estimator", "seed", "ref_layer", "layer"),
                over(lambda one: np.tile(diagonal * one["cka"], (2, 2, 1, 1))),
            ),
            "grad_cam_corner": (("train_seed", "pair"), over(lambda one: [0.2, one["corner"]])),
            "probe_accuracy": (
                [d.replace("task", "pair") for d in probe_dims],
                over(lambda one: np.tile(one["probe"], (2, 2, 1))),
            ),
            "numerical_rank": (
                ("train_seed", "pair", "carrying", "layer", "rtol"),
                over(lambda one: [np.full((2, 6, 3), 40.0), [40 * one["rank_ratio"]] * 2]),
            ),
        },
        {
            "train_seed": range(len(seeds)), "task": tasks, "epoch": EPOCH, "ratio": RATIOS,
            "estimator": ["biased", "debiased"], "seed": [0, 1], "layer": LAYERS,
            "ref_layer": LAYERS, "rtol": RTOL, "carrying": [ORIGINAL, SQUARES],
            "layer_name": ("layer", [f"conv {k}" for k in LAYERS]), "depth": ("layer", LAYERS / 5),
        },
    )  # fmt: skip
    # what is looked at only after the first two tasks, beside what is logged in all three
    looked = ["grad_cam_corner", "probe_accuracy", "numerical_rank"]
    part = ds[looked].rename(pair="task").assign_coords(task=tasks[:2])
    parts = [ds.drop_vars(looked), part.reindex(task=tasks)]
    ds = xr.merge(parts, compat="no_conflicts", join="exact").expand_dims(dataset=["cifar10"])
    ds.attrs = {"kind": "tasks"} | provenance(
        parameters={"scale": "smoke"}, seeds=[0], wall_time=1.0, command="papermill a b"
    )
    return conform(ds)


def judge(claims, *seeds: dict) -> xr.Dataset:
    ((_, one),) = settings(synthetic(list(seeds)))
    return check_claims(claims, one)


# For every claim one thing that would refute it.
FLAT = np.full(EPOCHS + 1, 0.8)
SLOWLY = np.linspace(0.8, 0.11, EPOCHS + 1)
REFUTED = {
    "C-2-first-task-is-learnt": dict(train={ORIGINAL: 0.9}),
    "C-3-training-accuracy-stays": dict(train={SQUARES: 0.9}),
    "C-2-falls-to-chance": dict(test={SQUARES: FLAT}),
    "C-1-abrupt": dict(test={SQUARES: SLOWLY}),
    "C-2-every-network": dict(test={SQUARES: FLAT}),
    "C-2-solely-the-pattern": dict(marked=0.2),
    "C-2-most-layers-dissimilar": dict(cka=np.array([1.0, 0.9, 0.9, 0.9, 0.2, 0.1])),
    "C-2-change-begins-at-the-bottom": dict(cka=np.array([1.0, 0.9, 0.9, 0.9, 0.9, 0.1])),
    "C-2-second-layer-suffices": dict(probe=np.linspace(0.1, 1.0, 6)),
    "C-2-rank-falls-in-every-layer": dict(rank_ratio=np.linspace(0.1, 1.0, 6)[:, None] + [0, 0, 0]),
    "C-2-rank-falls-at-any-threshold": dict(rank_ratio=np.tile([0.5, 0.5, 1.2], (6, 1))),
    "C-2-relearning-is-slower": dict(test={AGAIN: LEARN + 0.05}),
    "C-2-lower-at-the-same-budget": dict(test={AGAIN: np.append(RELEARN[:-1], 0.85)}),
    "C-3-more-squares-more-forgetting": dict(lost=np.array([0.0, 0.5, 0.3, 0.2, 0.1])),
    "C-3-not-linear": dict(lost=0.69 * RATIOS),
    "C-3-modest-shares-suffice": dict(lost=np.array([0.2, 0.21, 0.22, 0.5, 0.69])),
    "C-3-grad-cam-on-the-square": dict(corner=0.3),
}
BY_ID = {claim.id: claim for claim in (*FEATURE_EROSION, *COLLAPSE_AND_PLASTICITY)}


def changed(**changes) -> dict:
    return {
        name: value | changes.get(name, {}) if isinstance(value, dict) else changes.get(name, value)
        for name, value in PAPER.items()
    }


def test_every_claim_has_a_counterexample():
    assert set(REFUTED) == set(BY_ID)


def test_the_synthetic_results_follow_the_schema():
    validate(synthetic([PAPER, PAPER]))


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_holds_where_the_results_are_the_papers(id):
    out = judge([BY_ID[id]], PAPER, PAPER)
    assert set(out.verdict.values.ravel()) == {"reproduced"}, out.value.values
    assert out.reason.values == [""]


@pytest.mark.parametrize("id", BY_ID)
def test_a_claim_fails_where_they_contradict_it(id):
    other = changed(**REFUTED[id])
    assert set(judge([BY_ID[id]], other, other).verdict.values.ravel()) == {"not reproduced"}
    assert set(judge([BY_ID[id]], PAPER, other).verdict.values.ravel()) == {"mixed"}


def test_verdicts_count_repeats_of_the_training_and_average_draws_of_images():
    ds = synthetic([PAPER, PAPER, PAPER])
    ds["cka_ft_pt"] = ds["cka_ft_pt"].copy()
    ds["cka_ft_pt"].loc[{"seed": 1}] = 0
    ((_, one),) = settings(ds)
    assert one.sizes["seed"] == 3
    np.testing.assert_allclose(one["cka_ft_pt"], ds["cka_ft_pt"].isel(seed=0, dataset=0) / 2)
    # without CKA there is no estimator, and yet a verdict under each
    ((_, one),) = settings(ds.drop_dims("estimator"))
    assert check_claims(FEATURE_EROSION, one).sizes["estimator"] == 2


def test_a_network_that_has_learnt_nothing_has_nothing_to_lose():
    nothing = changed(test={ORIGINAL: np.full(EPOCHS + 1, 0.1), SQUARES: np.full(EPOCHS + 1, 0.1)})
    out = judge([BY_ID["C-2-falls-to-chance"]], nothing)
    assert set(out.verdict.values.ravel()) == {"not testable here"}


def test_the_worst_network_decides_however_many_epochs_it_had():
    ds = synthetic([PAPER])
    short = ds["test_accuracy"].where(ds["epoch"] <= 5)  # a pretrained one, fine-tuned for 5 epochs
    both = xr.concat([ds["test_accuracy"], short], xr.Variable("model", ["long", "short"]))
    ds["test_accuracy"] = both
    last = after_task(ds, "test_accuracy", SQUARES).squeeze()
    np.testing.assert_allclose(last, [ERODE[10], ERODE[5]])
    ((_, one),) = settings(ds)
    value = check_claims([BY_ID["C-2-every-network"]], one).value
    # of the short one: what ERODE has lost by then, out of what LEARN had reached
    np.testing.assert_allclose(value, 1 - (ERODE[5] - 0.1) / (LEARN[5] - 0.1))


def test_tasks_follow_each_other_with_network_and_head():
    first, second, third = CollapseAndPlasticity().sequence("vgg11_bn_cifar_w8", 3).values()
    assert second.parent == first and third.parent == second
    assert second.head == third.head == "kept"
    assert (first.squares, second.squares, third.squares) == (0, 1, 0)
    names = ("model", "dataset", "epochs", "lr", "optimizer", "batch_size", "augmentation", "seed")
    assert len({tuple(getattr(run, name) for name in names) for run in (first, second, third)}) == 1


def test_pages_share_trainings():
    page = FeatureErosion.from_parameters({"erosion_models": ["vgg11_bn_cifar_w8"]})
    erosion = {run.id for run in page.runs().values()}
    collapse = CollapseAndPlasticity.from_parameters({})
    runs = collapse.runs()
    assert {runs[f"seed 0: {task}"].id for task in (ORIGINAL, SQUARES)} <= erosion
    # the pretrained model is the one that paper A's pages start from
    paper_a = SECTIONS["finetuning_task"].from_parameters({}).pretraining_run()
    assert page.runs()["vit_nano_patch8_32 on digits, seed 0: original"].parent.id == paper_a.id
    # ratio 1 is the second task itself, ratio 0 the first one again
    assert collapse.ratio_runs(0)[1.0].id == runs["seed 0: squares"].id
    assert collapse.ratio_runs(0)[0.0].squares == 0


@pytest.mark.parametrize("ratios", [[0.5, 0.5], [1.5], []])
def test_impossible_ratios_are_refused(ratios):
    with pytest.raises(ParameterError, match="square_ratios"):
        CollapseAndPlasticity.from_parameters({"square_ratios": ratios})


def test_figures_draw_what_they_are_given():
    ((_, one),) = settings(synthetic([PAPER, PAPER]))
    fig = task_plots.task_curves({"this run": one})
    (ax,) = fig.axes
    blue = [line.get_ydata() for line in ax.get_lines() if line.get_color() == "#0072B2"]
    np.testing.assert_allclose(blue, [LEARN, ERODE, RELEARN])
    assert ax.get_xlim()[1] >= 3 * EPOCHS
    (ax,) = task_plots.ratio_curves({"this run": accuracy_lost(one)}).axes
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), PAPER["lost"])
    cka = one["cka_ft_pt"].sel(estimator="biased")
    (ax, _) = cka_matrices({"biased": cka}).axes
    np.testing.assert_allclose(np.diag(ax.images[0].get_array()), PAPER["cka"])
    (ax,) = task_plots.relearning_curves({"this run": one}).axes
    np.testing.assert_allclose(ax.get_lines()[1].get_ydata(), RELEARN)
