"""All claims, by the section (notebook) whose results decide them, and the ledger made of them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import xarray as xr

from invlib.paths import runs_root
from invlib.results.netcdf import open_results
from papers.across.claims_ledger import ClaimsLedger
from papers.claims.claim import Claim, check_claims
from papers.claims.settings import SETTINGS, settings
from papers.goerttler2022.claims.learning_from_random_labels import LEARNING_FROM_RANDOM_LABELS
from papers.goerttler2022.claims.unlearning import UNLEARNING
from papers.masarczyk2023.claims.collapse_and_plasticity import COLLAPSE_AND_PLASTICITY
from papers.masarczyk2023.claims.feature_erosion import FEATURE_EROSION
from papers.merlin2023.claims.accuracy import ACCURACY
from papers.merlin2023.claims.compression_expansion import COMPRESSION_EXPANSION
from papers.merlin2023.claims.dynamics import DYNAMICS
from papers.merlin2023.claims.finetuning_task import FINETUNING_TASK
from papers.merlin2023.claims.pretraining_dataset import PRETRAINING_DATASET
from papers.merlin2023.claims.robustness import ROBUSTNESS, SPREAD
from papers.work import written

__all__ = ["CLAIMS", "dataset", "judged", "verdict_counts"]

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


def judged(folder: Path) -> Iterator[tuple[str, Path, list[xr.Dataset], list[str]]]:
    """Judge all claims on the results in `folder`, section by section.

    Yields
    ------
    section, path of its results, ledgers, data sets
        A ledger for each of its `settings`; where there are no results, one in which no claim is
        testable. The data sets are those of the paper that were not run.
    """
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
    nothing = xr.Dataset(coords={"estimator": ["biased", "debiased"], "seed": [0]})
    ledger = check_claims(claims, nothing)
    return ledger.assign(reason=ledger["reason"].copy(data=["not run"] * len(claims)))


def verdict_counts(ledgers: Mapping[str, list[xr.Dataset]]) -> pd.DataFrame:
    """Return how many claims of each section got which verdict, under the paper's way and ours.

    A claim that is judged for several data sets or recipes counts for each of them.
    """
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


@written("claims", device="cpu", keep=("claims",))
def dataset(section: ClaimsLedger) -> xr.Dataset:
    """Join the ledgers of this run; a claim is called by its id and what it was judged for."""
    parts, texts = [], []
    for _, _, ledgers, _ in judged(runs_root(section.scale)):
        for one in ledgers:
            words = [str(one[dim].values) for dim in SETTINGS if dim in one.coords]
            called = [" @ ".join([id, *words]) for id in one["claim"].values.tolist()]
            said = json.loads(one.attrs["claims"])
            texts += [t | {"id": name} for t, name in zip(said, called, strict=True)]
            scalars = [name for name in one.coords if one[name].ndim == 0]
            parts.append(one.drop_vars(scalars).assign_coords(claim=called))
    ds = xr.concat(parts, "claim", join="outer", fill_value={"reason": ""})
    return ds.assign_attrs(claims=json.dumps(texts, ensure_ascii=False))
