"""Compute the placebo: what one fine-tuned model has learnt and forgotten beside its twin."""

import math
from collections.abc import Mapping

import pandas as pd
import xarray as xr

from invlib import cka_divergence, forgetting, learning, train
from invlib.comparison.stacking import stack
from papers.claims.claim import Claim, numbers
from papers.claims.columns import COLUMNS, in_column
from papers.claims.measures import claims_of
from papers.claims.settings import by_training, settings
from papers.merlin2023.placebo import Placebo
from papers.merlin2023.work.base import compare_finetuned
from papers.section import section_class
from papers.work import written

# By the name of a margin in data/papers/merlin2023.yaml: the claims that it is for.
MARGINS = {
    "placebo_trend": ("A-4.1-reconstruction-learning-flat", "A-4.1-reconstruction-forgetting-flat"),
    "placebo_level": tuple(
        f"A-4.1-more-than-another-seed-{quantity}-{task}"
        for quantity in ("learning", "forgetting")
        for task in ("classification", "reconstruction")
    ),
    "placebo_cka": ("A-4.1-cka-early-near-zero",),
    "placebo_flow": (
        "A-4.3-compression-classification-beyond-pretrained",
        "A-4.3-compression-reconstruction-text-beyond-pretrained",
        "A-4.3-compression-reconstruction-caption-beyond-pretrained",
        "A-4.3-expansion-reconstruction-beyond-pretrained",
        "A-4.3-no-expansion-classification-beyond-pretrained",
    ),
}

MARGIN = "the margin"  # a row of the table


@written("comparison", seeds=lambda section: section.placebo_seeds)
def dataset(section: Placebo) -> xr.Dataset:
    """Compare each training with the next; first dims dataset, task, train_seed.

    ``train_seed`` is the seed of the model in the place of the pretrained one.
    """
    trained = {key: train(run, root=section.training_root) for key, run in section.trainings()}
    by_dataset = {}
    for dataset in section.datasets:
        by_task = {}
        for task in section.tasks:
            by_pair = {}
            for a, b in section.pairs():
                first, second = trained[dataset, task, a], trained[dataset, task, b]
                by_pair[a] = compare_finetuned(section, first.model(), second, examples=0)
            by_task[task] = stack(by_pair, "train_seed")
        by_dataset[dataset] = stack(by_task, "task")
    return stack(by_dataset, "dataset")


def curves(
    twins: Mapping[str, xr.Dataset], tuned: Mapping[str, xr.Dataset]
) -> dict[str, dict[str, xr.DataArray]]:
    """Return learning, forgetting and CKA divergence, (compared with, seed, layer), debiased.

    `twins` are results of this section by their titles, and `tuned` those of ``finetuning_task``.
    There is a row for each title and task, of the first data set.
    """
    quantities = {"learning": learning, "forgetting": forgetting, "CKA divergence": cka_divergence}
    rows = {}
    for title, between in twins.items():
        for task in between["task"].values.tolist():
            of_task = dict(estimator="debiased", task=task)
            pair = [
                by_training(one.isel(dataset=0).sel(of_task)) for one in (tuned[title], between)
            ]
            against = pd.Index(["the start", "another seed"], name="compared with")
            rows[f"{title}, {task}"] = {
                name: xr.concat([quantity(one) for one in pair], against, join="outer")
                for name, quantity in quantities.items()
            }
    return rows


def between_twins(twins: xr.Dataset) -> xr.DataArray:
    """Return for each claim with a margin the largest number, without its sign, of two twins.

    Dims are claim, estimator and self_term. Numbers are means over draws of images. NaN if these
    results do not have them.
    """
    (_, part), *_ = settings(twins)
    by_id, ids = _claims(), [id for each in MARGINS.values() for id in each]
    found, _ = numbers([by_id[id] for id in ids], part)
    return abs(found.mean("seed")).max("train_seed")


def greatest_between_twins(twins: xr.Dataset) -> dict[str, xr.DataArray]:
    """Return for each margin the largest of `between_twins` of its claims, column by column."""
    found = between_twins(twins)
    return {name: found.sel(claim=list(ids)).max("claim") for name, ids in MARGINS.items()}


def _claims() -> dict[str, Claim]:
    sections = ("finetuning_task", "compression_expansion")
    each = [claims_of(name, section_class(name).measures()) for name in sections]
    return {claim.id: claim for claims in each for claim in claims}


def rounded_up(value: float) -> float:
    """Return a margin: thousandths, rounded up.

    Examples
    --------
    >>> rounded_up(0.0121)
    0.013
    """
    return math.ceil(value * 1000) / 1000


def table(twins: xr.Dataset) -> pd.DataFrame:
    """Return the largest numbers between twins and the margins of the ledger, in its columns.

    There is a row for each claim with a margin, and after the claims of a margin one for it.
    """
    by_id, rows, found = _claims(), {}, between_twins(twins)
    for name, ids in MARGINS.items():
        of, threshold = name.removeprefix("placebo_"), by_id[ids[0]].threshold
        for id in ids:
            here = found.sel(claim=id)
            rows[of, id] = {
                column: round(float(here.sel(estimator=estimator, self_term=term)), 4)
                for column, (estimator, term) in COLUMNS.items()
            }
        margin = {column: in_column(threshold, *way) for column, way in COLUMNS.items()}
        rows[of, MARGIN] = margin
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["margin of", "claim"])
