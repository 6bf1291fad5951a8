"""Compute section 4.4 of paper A across trainings: forgetting and robustness by setting."""

import numpy as np
import pandas as pd
import xarray as xr

from invlib import load_images
from papers.claims.correlation import detectable_correlation, fisher_interval
from papers.claims.data import paper_of
from papers.corruptions.corrupted_sets import CORRUPTIONS, corrupted_sets
from papers.merlin2023.claims.robustness_across_settings import (
    ROBUSTNESS,
    by_setting,
    correlation,
    interval_by_pair,
    pair_of,
    reliability,
    without_pairs,
)
from papers.merlin2023.robustness_across_settings import RobustnessAcrossSettings
from papers.merlin2023.work.base import pretrained_model
from papers.merlin2023.work.dynamics import accuracies
from papers.merlin2023.work.trainings import by_epoch, each_training, stacked
from papers.words import counted
from papers.work import written

NAME = RobustnessAcrossSettings.name
LABELS = {
    "spread": "spread of forgetting",
    "forgetting": "mean forgetting",
    "clean": "clean accuracy",
    "corrupted": "accuracy on corrupted images",
    "effective": "effective robustness",
}


@written("settings")
def dataset(section: RobustnessAcrossSettings) -> xr.Dataset:
    """Compare every training with its start after the last epoch; dims setting and train_seed.

    Every type of corruption is in both halves of the corrupted images.
    """
    pretrained, n, parts = pretrained_model(section), section.many_corrupted_n, {}
    sets = corrupted_sets(load_images(section.datasets[0], "test"), n=n)
    half = np.arange(n) // len(CORRUPTIONS) % 2
    share = xr.DataArray(np.bincount(half) / n, {"half": [0, 1]}, ["half"])
    for key, trained in each_training(section):
        epoch = trained.run.epochs
        ds = by_epoch(section, pretrained, trained, [epoch]).sel(epoch=epoch, drop=True)
        model = trained.model().to(pretrained.device)
        halves = xr.concat([accuracies(model, sets, half == i) for i in (0, 1)], share["half"])
        both = (halves * share).sum("half")
        parts[key] = ds.assign(half_accuracy=halves, corrupted_accuracy=both)
    ds = stacked(parts, section.dims, shared=section.dims)
    return ds.assign_coords(dataset=section.datasets[0])


def table(ds: xr.Dataset) -> pd.DataFrame:
    """Return forgetting and accuracies of every setting, in the words of the page."""
    means = by_setting(ds.sel(estimator="debiased")).reset_coords(drop=True)
    return means[list(LABELS)].to_dataframe()[list(LABELS)].round(3)


def dots(shown: dict[str, xr.Dataset]) -> list[dict[str, xr.Dataset]]:
    """Return a row for each run: corrupted against clean accuracy, and robustness by forgetting.

    What differs in the augmentation alone has one label: so many colours cannot be told apart.
    """
    pairs = [("clean", "corrupted"), ("spread", "effective"), ("forgetting", "effective")]
    rows = []
    for title, ds in shown.items():
        means = _grouped(by_setting(ds.sel(estimator="debiased")))
        rows.append(
            {
                f"{title}\n{x} and {y}": means[[x, y]].rename({x: LABELS[x], y: LABELS[y]})
                for x, y in pairs
            }
        )
    return rows


def _grouped(means: xr.Dataset) -> xr.Dataset:
    """Return the settings by optimiser and learning rate, and by their number within these."""
    names = [pair_of(name) for name in means["setting"].values.tolist()]
    number = [names[:i].count(name) for i, name in enumerate(names)]
    by = {"group": ("setting", names), "train_seed": ("setting", number)}
    means = means.reset_coords(drop=True).drop_vars("setting").assign_coords(by)
    return means.set_index(setting=list(by)).unstack("setting").rename(group="setting")


def sizes(shown: dict[str, xr.Dataset]) -> dict[str, int]:
    """Return the number of settings that the claims need, and that of each run."""
    return {"the claims": needed()} | {title: ds.sizes["setting"] for title, ds in shown.items()}


def needed() -> int:
    """Return the number of settings that the claims of this page need."""
    return paper_of(NAME).claims[NAME][0].arguments["fewest"]


def intervals(ds: xr.Dataset) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Return each correlation over settings, debiased, with both ends of its interval."""
    means = by_setting(ds.sel(estimator="debiased"))
    found = {}
    pairs = [("clean", "corrupted")]
    pairs += [(quantity, kind) for quantity in ("spread", "forgetting") for kind in ROBUSTNESS]
    for pair in pairs:
        r = correlation(means, *pair)
        ends = fisher_interval(float(r), float(r["points"])).tolist()
        found[pair] = (float(r), *ends)
    return found


def correlations(shown: dict[str, xr.Dataset]) -> pd.DataFrame:
    """Return a row for each quantity and kind of robustness: r over settings and its intervals.

    One has the setting as its unit, the other the pair of optimiser and learning rate.
    """
    rows = {}
    for title, ds in shown.items():
        debiased = ds.sel(estimator="debiased")
        means, without = by_setting(debiased), without_pairs(debiased)
        for (quantity, kind), (r, *ends) in intervals(ds).items():
            paired = interval_by_pair(means, without, quantity, kind)
            rows[title, LABELS[quantity], kind] = {
                "r": "–" if np.isnan(r) else f"{r:.2f}",
                "by settings": _ends(*ends),
                "by pairs": _ends(*paired),
            }
    return pd.DataFrame.from_dict(rows, orient="index")


def findings(ds: xr.Dataset) -> list[str]:
    """Return sentences: what could be seen, the relations with intervals, and what is left."""
    settings, repeats = ds.sizes["setting"], ds.sizes["train_seed"]
    means, found = by_setting(ds.sel(estimator="debiased")), intervals(ds)
    clean, corrupted = (_range(means[name]) for name in ("clean", "corrupted"))
    sentences = [
        f"{counted(settings, 'setting')}, with {counted(repeats, 'training')} each: clean accuracy "
        f"is {clean}, accuracy on corrupted images {corrupted}."
    ]
    if settings < 5:
        return [
            *sentences,
            f"{counted(settings, 'setting says', 'settings say')} nothing: an interval needs at "
            f"least five. {_power(needed())}",
        ]
    share, ceiling = reliability(ds), "The halves of the corrupted images do not agree."
    if share > 0:
        ceiling = (
            "By the agreement of two halves of the corrupted images, the reliability of corrupted "
            f"accuracy is {share:.2f}. So a perfect sign of robustness would correlate with it by "
            f"{np.sqrt(share):.2f}."
        )
    return [
        *sentences,
        _power(settings),
        ceiling,
        f"Clean and corrupted accuracy correlate by {_said(found['clean', 'corrupted'])}.",
        *(
            f"The {LABELS[quantity]} correlates with accuracy on corrupted images by "
            f"{_said(found[quantity, 'corrupted'])}; with clean accuracy held fixed, by "
            f"{_said(found[quantity, 'given clean'])}; with effective robustness by "
            f"{_said(found[quantity, 'effective'])}."
            for quantity in ("spread", "forgetting")
        ),
        what_is_left(found, settings),
    ]


def what_is_left(found: dict[tuple[str, str], tuple[float, float, float]], settings: int) -> str:
    """Return in a sentence what is left of "forgetting tells robustness"."""
    plain, *beyond = (found["spread", kind] for kind in ROBUSTNESS)
    if plain[2] < 0 or all(high < 0 for *_, high in beyond):
        rest = "the opposite, because a larger spread of forgetting goes with less robustness"
    elif all(low > 0 for _, low, _ in beyond):
        rest = "the spread of forgetting tells something that clean accuracy does not"
    elif plain[1] > 0:
        rest = "the spread goes with robustness, but nothing beyond clean accuracy is seen"
    else:
        rest = f"nothing that {counted(settings, 'setting')} can show"
    return f"Of the conclusion that forgetting tells robustness this is left: {rest}."


def _power(settings: int) -> str:
    seen, fixed = (detectable_correlation(settings - held) for held in (0, 1))
    return (
        f"With {counted(settings, 'setting')}, four tests of five find a true correlation of "
        f"{seen:.2f} or more; with clean accuracy held fixed, of {fixed:.2f} or more."
    )


def _said(numbers: tuple[float, float, float]) -> str:
    return f"{numbers[0]:.2f} {_ends(*numbers[1:])}"


def _ends(low: float, high: float) -> str:
    return "–" if np.isnan([low, high]).any() else f"[{low:.2f}, {high:.2f}]"


def _range(values: xr.DataArray) -> str:
    return f"{float(values.min()):.2f} to {float(values.max()):.2f}"
