"""Compute the page on architectures: learning, forgetting and flow of several networks by depth."""

import pandas as pd
import xarray as xr

from invlib import load_model, train
from papers.across.architectures import Architectures, split_network
from papers.across.claims.architectures import compression_beyond_start, rises, thirds
from papers.across.work.base import by_place, each_training, level_in_words, over_trainings
from papers.merlin2023.work.base import compare_finetuned
from papers.work import written

_LEVELS = {"learning": "learning", "forgetting": "forgetting", "cka_divergence": "CKA divergence"}


@written("lens")
def dataset(section: Architectures) -> xr.Dataset:
    """Compare every fine-tuned network with its start; first dims case and train_seed."""
    parts: dict[str, dict[int, xr.Dataset]] = {}
    for (case, seed), trained in each_training(section):
        start = train(trained.run.parent, root=section.training_root).model()
        ds = compare_finetuned(section, start, trained, examples=0)
        part = by_place(ds, start.depth).assign(
            accuracy=ds["test_accuracy"].reset_coords(drop=True)
        )
        parts.setdefault(case, {})[seed] = part
    joined = [
        xr.concat(of_case.values(), xr.Variable("train_seed", list(of_case)), data_vars="all")
        for of_case in parts.values()
    ]
    joined = [ds.assign(layer_depth=ds["layer_depth"].isel(train_seed=0)) for ds in joined]
    ds = xr.concat(joined, xr.Variable("case", list(parts)), join="outer", data_vars="all")
    return ds.assign_coords(dataset=section.datasets[0])


def networks(section: Architectures) -> pd.DataFrame:
    """Return size, layers and pixels of this run's networks."""
    rows = {}
    for network in section.architectures:
        name, side = split_network(network)
        model = load_model(name, img_size=side)
        weights = sum(p.numel() for p in model.net.parameters())
        rows[network] = {
            "million weights": round(weights / 1e6, 2), "layers": len(model.layers),
            "pixels": model.img_size,
        }  # fmt: skip
    return pd.DataFrame.from_dict(rows, orient="index")


def by_depth(ds: xr.Dataset) -> tuple[dict[str, xr.DataArray], xr.DataArray]:
    """Return learning, forgetting and CKA divergence (case, seed, place), and the depth."""
    curves = {words: over_trainings(ds[name]) for name, words in _LEVELS.items()}
    return curves, ds["layer_depth"]


def flows(shown: dict[str, xr.Dataset]) -> dict[str, xr.DataArray]:
    """Return the mean flow of each network beyond that of its start to itself."""
    found = {}
    for title, ds in shown.items():
        beyond = ds["flow"] - ds["flow_before"]
        for case in ds["case"].values.tolist():
            one = beyond.sel(case=case).mean(("train_seed", "seed"))
            one = one.dropna("place", how="all").dropna("ref_place", how="all")
            found[f"{title}\n{case}"] = one.rename(place="layer", ref_place="ref_layer")
    return found


def table(shown: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Return accuracy, and means by third of the depth, a column for every network."""
    columns = {}
    for title, both in shown.items():
        ds = both.sel(estimator="debiased")
        for case in ds["case"].values.tolist():
            column = {"accuracy": f"{float(ds['accuracy'].sel(case=case).mean()):.3f}"}
            left = {f"distance_{when}": f"distance left {when}" for when in ("before", "after")}
            for name, words in (_LEVELS | left).items():
                means = (float(part.mean()) for part in thirds(ds, case, name))
                column[f"{words} by third"] = ", ".join(f"{value:.2f}" for value in means)
            pressed = float(compression_beyond_start(ds, case=case).mean())
            column["compression"] = f"{pressed:.3f}"
            # so that a page may break the name, and four networks fit beside one another
            columns[title, case.replace("_", "_\u200b")] = column
    return pd.DataFrame(columns)


def findings(ds: xr.Dataset) -> list[str]:
    """Return a sentence for each network."""
    ds, said = ds.sel(estimator="debiased"), []
    for case in ds["case"].values.tolist():
        lost, moved = thirds(ds, case, "forgetting"), thirds(ds, case, "cka_divergence")
        rise = level_in_words(rises(ds, case=case, quantity="forgetting"))
        pressed = level_in_words(compression_beyond_start(ds, case=case))
        accuracy = level_in_words(ds["accuracy"].sel(case=case))
        said.append(
            f"*{case}*: test accuracy {accuracy}; forgetting {level_in_words(lost[0])} in the "
            f"first third of the depth and {level_in_words(lost[2])} in the last, correlation with "
            f"depth {rise}; CKA divergence in the first third {level_in_words(moved[0])}; "
            f"compression beyond the start {pressed}."
        )
    return said
