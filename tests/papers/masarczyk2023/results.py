"""Results of paper C that were never run: what its figures show, in part changed."""

from __future__ import annotations

import numpy as np
import xarray as xr

from invlib.results.provenance import provenance
from invlib.results.validation import conform
from papers.claims.claim import check_claims
from papers.claims.settings import settings
from papers.masarczyk2023.base import AGAIN, ORIGINAL, SQUARES

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
    "probe_lost": 0.3,  # of probes on original images, by the squares
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

    def probes(one):
        of_original = [one["probe"], one["probe"] - one["probe_lost"]]
        return np.stack([of_original, [one["probe"]] * 2], axis=1)

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
                over(probes),
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


def changed(**changes) -> dict:
    return {
        name: value | changes.get(name, {}) if isinstance(value, dict) else changes.get(name, value)
        for name, value in PAPER.items()
    }


def judge(claims, *seeds: dict) -> xr.Dataset:
    ((_, one),) = settings(synthetic(list(seeds)))
    return check_claims(claims, one)
