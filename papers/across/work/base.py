"""What computing the open questions needs: comparisons stacked by their labels, and sentences."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import xarray as xr

from invlib.metrics import invariance
from invlib.models.staged import StagedModel
from invlib.training.checkpoints import Trained
from papers.across.base import OpenQuestion
from papers.claims.statistics import level_in_words
from papers.merlin2023.work.base import compare_finetuned, fill_cache
from papers.merlin2023.work.trainings import by_epoch, each_training, kept_diagonals, stacked
from papers.section import Section
from papers.work import markdown_of

if TYPE_CHECKING:
    from IPython.display import Markdown

__all__ = [
    "answered", "by_epoch", "by_place", "each_training", "fill_cache", "last_epoch",
    "level_in_words", "over_trainings", "stacked",
]  # fmt: skip


def last_epoch(section: OpenQuestion, pretrained: StagedModel, trained: Trained) -> xr.Dataset:
    """Return the diagonals of a fine-tuned model: learning, forgetting and CKA divergence."""
    return kept_diagonals(compare_finetuned(section, pretrained, trained, examples=0))


def by_place(compared: xr.Dataset, depth: Sequence[float]) -> xr.Dataset:
    """Return every measure of a comparison by the place of a layer, as in results of kind lens.

    Networks differ in depth, so layers have other names there. `depth` has that of each layer.
    """
    ds = xr.Dataset(
        {
            "learning": invariance.learning(compared),
            "forgetting": invariance.forgetting(compared),
            "cka_divergence": invariance.cka_divergence(compared),
            "self_term": invariance.diagonal(compared, "stir_pt_pt"),
            "control": compared["stir_control_pt"],
            "distance_before": compared["inversion_loss_pt"].rename(ref_layer="layer"),
            "distance_after": compared["inversion_loss_ft"].rename(ref_layer="layer"),
            "flow": invariance.invariance_flow(compared),
            "flow_before": invariance.invariance_flow(compared, target="pt"),
        }
    ).drop_attrs(deep=False)
    ds["layer_depth"] = ("layer", depth)
    ds = ds.drop_vars([name for name in ds.coords if name not in ds.dims])
    return ds.rename(layer="place", ref_layer="ref_place")


def over_trainings(values: xr.DataArray) -> xr.DataArray:
    """Return the mean over draws of images, with the trainings as `seed`, as figures take it."""
    drawn = values.mean("seed") if "seed" in values.dims else values
    return drawn.rename(train_seed="seed")


def answered(section: Section, shown: Mapping[str, xr.Dataset]) -> Markdown:
    """Return the findings of each run as sentences, and whether there is a reference run.

    Titles of runs are those of `papers.pages.beside_reference`.
    """
    lines = []
    for title, ds in shown.items():
        found = [html.escape(said, quote=False) for said in section.work.findings(ds)]
        lines += [f"**{title}**", "", *(f"- {said}" for said in found), ""]
    if not any(title.startswith("reference") for title in shown):
        lines.append("*The reference run has not been made yet.* So there is no answer here yet.")
    return markdown_of("\n".join(lines))
