"""Accuracies of tasks in sequence: what is left after each, and what the second one cost."""

from __future__ import annotations

import numpy as np
import xarray as xr

from papers.masarczyk2023.base import SQUARES
from papers.masarczyk2023.task_logs import accuracy_lost, after_task
from tests.papers.masarczyk2023.results import ERODE, PAPER, synthetic


def test_after_a_task_every_network_has_its_own_last_epoch():
    ds = synthetic([PAPER])
    short = ds["test_accuracy"].where(ds["epoch"] <= 5)  # a pretrained one, fine-tuned for 5 epochs
    both = xr.concat([ds["test_accuracy"], short], xr.Variable("model", ["long", "short"]))
    ds["test_accuracy"] = both
    last = after_task(ds, "test_accuracy", SQUARES).squeeze()
    np.testing.assert_allclose(last, [ERODE[10], ERODE[5]])


def test_what_is_lost_is_counted_from_the_first_task():
    lost = accuracy_lost(synthetic([PAPER, PAPER]))
    assert lost.sizes == {"dataset": 1, "train_seed": 2, "ratio": 5}
    np.testing.assert_allclose(lost.isel(dataset=0, train_seed=1), PAPER["lost"])
