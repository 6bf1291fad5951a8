"""All claims, by the section (notebook) whose results decide them, and the ledger made of them."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from invlib.claims import Claim, check_claims
from invlib.paths import runs_root

from .collapse_claims import COLLAPSE_AND_PLASTICITY
from .dynamics_claims import DYNAMICS
from .flow_claims import COMPRESSION_EXPANSION
from .goerttler_claims import LEARNING_FROM_RANDOM_LABELS
from .masarczyk_claims import FEATURE_EROSION
from .pretraining_claims import ACCURACY, PRETRAINING_DATASET
from .robustness_claims import ROBUSTNESS, SPREAD
from .section import Section
from .task_claims import FINETUNING_TASK
from .unlearning_claims import UNLEARNING

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["CLAIMS", "ClaimsLedger", "judged", "settings", "verdict_counts"]

CLAIMS: Mapping[str, tuple[Claim, ...]] = {
    "finetuning_task": FINETUNING_TASK,
    "pretraining_dataset": PRETRAINING_DATASET,
    "compression_expansion": COMPRESSION_EXPANSION,
    "dynamics": DYNAMICS + SPREAD,
    "robustness": ROBUSTNESS,
    "accuracy": ACCURACY,
    "learning_from_random_labels": LEARNING_FROM_RANDOM_LABELS,
    "unlearning": UNLEARNING,
    "feature_erosion": FEATURE_EROSION,
    "collapse_and_plasticity": COLLAPSE_AND_PLASTICITY,
}

# Which data sets the paper shows the section's figures for.
DATASETS: Mapping[str, tuple[str, ...]] = {
    "finetuning_task": ("cifar10", "cifar100", "eurosat", "oxford_pets"),
    "pretraining_dataset": ("cifar10", "cifar100"),
    "compression_expansion": ("cifar10", "cifar100"),
    "dynamics": ("cifar10", "cifar100"),
    "robustness": ("cifar10",),
    "accuracy": ("cifar10", "cifar100", "eurosat", "oxford_pets"),
    "learning_from_random_labels": ("cifar10",),
    "unlearning": ("cifar10",),
    "feature_erosion": ("cifar10", "imagenet10"),
    "collapse_and_plasticity": ("cifar10",),
}

# What claims are judged for one at a time: dims of an experiment that are no part of a statement.
SETTINGS = ("dataset", "recipe")


def settings(ds: xr.Dataset) -> Iterator[tuple[list[str], xr.Dataset]]:
    """Yield (words, part) for each data set, and recipe, of a section's results.

    Where trainings were repeated, verdicts count these: `train_seed` becomes `seed`, and draws of
    images are averaged first. What does not depend on the estimator of CKA is the same under both.

    Examples
    --------
    >>> import xarray as xr
    >>> ds = xr.Dataset(coords={"dataset": ["cifar10", "cifar100"], "epoch": [0, 1]})
    >>> [words for words, part in settings(ds)]
    [['cifar10'], ['cifar100']]
    """
    if "train_seed" in ds.dims:
        drawn = ds.drop_dims("seed") if "seed" in ds.dims else ds
        if "seed" in ds.dims:
            mean = ds.drop_vars(list(drawn)).mean("seed", keep_attrs=True)
            drawn = drawn.merge(mean, compat="no_conflicts", join="exact")
        ds = drawn.rename(train_seed="seed")
        if "estimator" not in ds.dims:
            ds = ds.assign_coords(estimator=["biased", "debiased"])
    dims = [dim for dim in SETTINGS if dim in ds.dims]
    for labels in itertools.product(*(ds[dim].values.tolist() for dim in dims)):
        yield [str(label) for label in labels], ds.sel(dict(zip(dims, labels, strict=True)))


def judged(folder: Path) -> Iterator[tuple[str, Path, list[xr.Dataset], list[str]]]:
    """Judge all claims on the results in `folder`, section by section.

    Yields
    ------
    section, path of its results, ledgers, data sets
        A ledger for each of its `settings`; where there are no results, one in which no claim is
        testable. The data sets are those of the paper that were not run.
    """
    from invlib.results import open_results

    for section, claims in CLAIMS.items():
        path, rest = folder / f"{section}.nc", list(DATASETS[section])
        if path.is_file():
            ds = open_results(path)
            ledgers = [check_claims(claims, one) for _, one in settings(ds)]
            there = ds["dataset"].values.reshape(-1).tolist() if "dataset" in ds.coords else rest
            rest = [name for name in rest if name not in there]
        else:
            ledgers = [_not_run(claims)]
        yield section, path, ledgers, rest


def _not_run(claims: tuple[Claim, ...]) -> xr.Dataset:
    import xarray as xr

    nothing = xr.Dataset(coords={"estimator": ["biased", "debiased"], "seed": [0]})
    ledger = check_claims(claims, nothing)
    return ledger.assign(reason=ledger["reason"].copy(data=["not run"] * len(claims)))


def verdict_counts(ledgers: Mapping[str, list[xr.Dataset]]) -> pd.DataFrame:
    """Return how many claims of each section got which verdict, under the paper's way and ours.

    A claim that is judged for several data sets or recipes counts for each of them.
    """
    import pandas as pd

    ways = {
        "debiased": dict(estimator="debiased", self_term="measured"),
        "as the paper": dict(estimator="biased", self_term="one"),
    }
    verdicts = ("reproduced", "mixed", "not reproduced", "not testable here")
    rows = {}
    for section, those in ledgers.items():
        found = {
            way: [v for ds in those for v in ds["verdict"].sel(**cell).values.tolist()]
            for way, cell in ways.items()
        }
        rows[section] = {
            (way, verdict): found[way].count(verdict) for way in ways for verdict in verdicts
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    table.loc["all"] = table.sum()
    return table


class ClaimsLedger(Section):
    """All verdicts on this run's results, and on the reference results beside them.

    Examples
    --------
    >>> ClaimsLedger.uses[:2]
    ('finetuning_task', 'pretraining_dataset')
    """

    name = "claims_ledger"
    uses = tuple(CLAIMS)

    def dataset(self) -> xr.Dataset:
        """Join the ledgers of this run; a claim is called by its id and what it was judged for."""
        import xarray as xr

        started = time.perf_counter()
        parts, texts = [], []
        for _, _, ledgers, _ in judged(runs_root(self.scale)):
            for one in ledgers:
                words = [str(one[dim].values) for dim in SETTINGS if dim in one.coords]
                called = [" @ ".join([id, *words]) for id in one["claim"].values.tolist()]
                said = json.loads(one.attrs["claims"])
                texts += [t | {"id": name} for t, name in zip(said, called, strict=True)]
                scalars = [name for name in one.coords if one[name].ndim == 0]
                parts.append(one.drop_vars(scalars).assign_coords(claim=called))
        ds = xr.concat(parts, "claim", join="outer", fill_value={"reason": ""})
        texts = json.dumps(texts, ensure_ascii=False)
        return self.finish(ds, kind="claims", device="cpu", started=started, claims=texts)
