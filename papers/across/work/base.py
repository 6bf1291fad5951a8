"""What computing the open questions needs: comparisons stacked by their labels, and sentences."""

import html
from collections.abc import Collection, Iterable, Mapping, Sequence

import xarray as xr
from IPython.display import Markdown
from tqdm.auto import tqdm

from invlib import train
from invlib.comparison.stacking import stack
from invlib.metrics import invariance
from invlib.models.staged import StagedModel
from invlib.training.checkpoints import Trained
from papers.across.base import Trainings
from papers.claims.statistics import level_in_words
from papers.merlin2023.work.base import compare_finetuned, fill_cache
from papers.section import Section

__all__ = [
    "answered", "by_epoch", "by_place", "each_training", "fill_cache", "last_epoch",
    "level_in_words", "over_trainings", "stacked",
]  # fmt: skip


def each_training(section: Trainings) -> Iterable[tuple[tuple, Trained]]:
    """Yield labels and the finished training of each of `trainings`, which is done if it is not."""
    trainings = section.trainings().items()
    for key, run in tqdm(trainings, desc="trainings", leave=False, disable=None):
        yield key, train(run, root=section.training_root)


def last_epoch(section: Trainings, pretrained: StagedModel, trained: Trained) -> xr.Dataset:
    """Return the diagonals of a fine-tuned model: learning, forgetting and CKA divergence."""
    return _diagonals(compare_finetuned(section, pretrained, trained, examples=0))


def by_epoch(
    section: Trainings, pretrained: StagedModel, trained: Trained, epochs: Iterable[int]
) -> xr.Dataset:
    """Return forgetting and CKA divergence at `epochs`; only the start is inverted."""
    parts = {}
    for epoch in epochs:
        other = dict(inverted=("pt",), examples=0)
        parts[epoch] = _diagonals(compare_finetuned(section, pretrained, trained, epoch, **other))
    return stack(parts, "epoch", shared=True)


def _diagonals(ds: xr.Dataset) -> xr.Dataset:
    """Keep what figures and claims use: of CKA and subspaces no values with an image left out."""
    ds = invariance.diagonals(ds).drop_dims("iteration")
    unused = [n for n in ds if n.startswith("cka") and n.endswith("jackknife")]
    return ds.drop_vars([*unused, *(n for n in ds if "centred" in n)])


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
            "flow": invariance.invariance_flow(compared),
            "flow_before": invariance.invariance_flow(compared, target="pt"),
        }
    ).drop_attrs(deep=False)
    ds["layer_depth"] = ("layer", depth)
    ds = ds.drop_vars([name for name in ds.coords if name not in ds.dims])
    return ds.rename(layer="place", ref_layer="ref_place")


def stacked(
    parts: Mapping[tuple, xr.Dataset], dims: Sequence[str], shared: Collection[str] = ()
) -> xr.Dataset:
    """Join comparisons along `dims`, whose labels are the keys.

    Along dims in `shared`, the start and the images are the same, see `stack`.

    Examples
    --------
    >>> toy = xr.Dataset({"stir_pt_pt": 1.0, "stir_ft_pt": 0.5})
    >>> both = stacked({("cosine", 0): toy, ("cosine", 1): toy}, ["schedule", "train_seed"],
    ...                ["schedule", "train_seed"])
    >>> both.stir_ft_pt.dims, both.stir_pt_pt.dims
    (('schedule', 'train_seed'), ())
    """
    if not dims:
        return parts[()]
    inner: dict[object, dict[tuple, xr.Dataset]] = {}
    for (label, *rest), ds in parts.items():
        inner.setdefault(label, {})[tuple(rest)] = ds
    joined = {label: stacked(of_label, dims[1:], shared) for label, of_label in inner.items()}
    return stack(joined, dims[0], shared=dims[0] in shared)


def over_trainings(values: xr.DataArray) -> xr.DataArray:
    """Return the mean over draws of images, with the trainings as `seed`, as figures take it."""
    drawn = values.mean("seed") if "seed" in values.dims else values
    return drawn.rename(train_seed="seed")


def answered(section: Section, shown: Mapping[str, xr.Dataset]) -> Markdown:
    """Return the findings of each run as sentences, and whether there is a reference run."""
    lines = []
    for title, ds in shown.items():
        found = [html.escape(said, quote=False) for said in section.work.findings(ds)]
        lines += [f"**{title}**", "", *(f"- {said}" for said in found), ""]
    if len(shown) == 1:
        lines.append("*The reference run has not been made yet.* So there is no answer here yet.")
    return Markdown("\n".join(lines))
