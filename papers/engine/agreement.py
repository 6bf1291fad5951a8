"""Whether the recipes of inversion that the section on convergence compares agree about claims."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import pandas as pd
import xarray as xr

from invlib.paths import results_root
from invlib.results.netcdf import open_results
from papers.claims.agreement import Agreement, agreements
from papers.claims.claim import Claim
from papers.claims.kept import kept_table
from papers.claims.measures import claims_of
from papers.engine.work.convergence import common_distance, findings, shared_distance
from papers.section import section_class

__all__ = ["READ", "agreement_about", "by_recipe"]

# Sections whose claims are read by every recipe: they compare the same two models.
READ = ("finetuning_task", "compression_expansion")

# Parameters that say which network was read. Results of another one are judged without.
_NETWORK = ("scale", "model", "weights", "img_size")


def agreement_about(section: str, claims: Iterable[Claim], ds: xr.Dataset) -> dict[str, Agreement]:
    """Return what the recipes say of a section's claims, judged on results or in a ledger `ds`.

    The readings are those of the reference results of convergence, in the folder of its scale and
    in those that begin with its name, such as ``cifar_64images``. Results of another network than
    `ds` are left out. Without any, no claim was read. Nor was one of another section than `READ`.
    """
    if section not in READ:
        return agreements(claims)
    made = json.loads(ds.attrs.get("parameters", "{}"))
    path = results_root(made["scale"]) / "convergence.nc" if "scale" in made else None
    if path is None or not path.is_file():
        return agreements(claims)
    others = path.parent.parent.glob(f"{path.parent.name}_*/{path.name}")
    read = [_read(file, file.stat().st_mtime_ns) for file in (path, *sorted(others))]
    same = [
        holds for network, holds in read
        if all(made.get(name) == network.get(name) for name in _NETWORK)
    ]  # fmt: skip
    return agreements(claims, pd.concat(same, axis=1) if same else None)


@cache
def _read(path: Path, written_at: int) -> tuple[Mapping[str, object], pd.DataFrame]:
    """Return the parameters of a result on convergence as it is now, and its `by_recipe`."""
    ds = open_results(path)
    claims = [one for name in READ for one in claims_of(name, section_class(name).measures())]
    return json.loads(ds.attrs["parameters"]), kept_table(by_recipe, ds, claims)


def by_recipe(ds: xr.Dataset, claims: Iterable[Claim]) -> pd.DataFrame:
    """Return whether each claim's condition holds, a column for each reading, named by its recipe.

    Debiased, with the measured self term: at the end of each recipe, and at the distances that the
    first one and all reach at every layer. A recipe that is driven by the other model is left out,
    for its X′ are sought to make the models disagree.
    """
    distances = sorted({common_distance(ds), shared_distance(ds)})
    recipes = [name for name in ds["recipe"].values.tolist() if " " not in name]
    _, holds = findings(ds.sel(recipe=recipes, estimator=["debiased"]), claims, *distances)
    return _of_recipes(holds)


def _of_recipes(holds: pd.DataFrame) -> pd.DataFrame:
    """Return the readings at the end of recipes and at equal distance, under the recipe's name.

    Examples
    --------
    >>> named = ["tv:100, 50 steps", "lbfgs:400, its end", "tv:100, at 0.35"]
    >>> _of_recipes(pd.DataFrame([[True] * 3], columns=named)).columns.tolist()
    ['lbfgs:400', 'tv:100']
    """
    parts = {name: str(name).split(", ") for name in holds}
    kept = {
        name: recipe
        for name, (recipe, *how) in parts.items()
        if how == ["its end"] or (len(how) == 1 and how[0].startswith("at "))
    }
    return holds[list(kept)].rename(columns=kept)
