"""What computing pages on several trainings needs: comparisons stacked by their labels."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import xarray as xr
from tqdm.auto import tqdm

from invlib import train
from invlib.comparison.stacking import stack
from invlib.metrics import invariance
from invlib.models.staged import StagedModel
from invlib.training.checkpoints import Trained
from papers.merlin2023.trainings import Trainings
from papers.merlin2023.work.base import compare_finetuned

__all__ = ["by_epoch", "each_training", "kept_diagonals", "stacked"]


def each_training(section: Trainings) -> Iterable[tuple[tuple, Trained]]:
    """Yield labels and the finished training of each of `trainings`, which is done if it is not."""
    trainings = section.trainings().items()
    for key, run in tqdm(trainings, desc="trainings", leave=False, disable=None):
        yield key, train(run, root=section.training_root)


def by_epoch(
    section: Trainings, pretrained: StagedModel, trained: Trained, epochs: Iterable[int]
) -> xr.Dataset:
    """Return forgetting and CKA divergence at `epochs`; only the start is inverted."""
    parts = {}
    for epoch in epochs:
        other = dict(inverted=("pt",), examples=0)
        parts[epoch] = kept_diagonals(
            compare_finetuned(section, pretrained, trained, epoch, **other)
        )
    return stack(parts, "epoch", shared=True)


def kept_diagonals(ds: xr.Dataset) -> xr.Dataset:
    """Keep what figures and claims use: of CKA and subspaces no values with an image left out."""
    ds = invariance.diagonals(ds).drop_dims("iteration")
    unused = [n for n in ds if n.startswith("cka") and n.endswith("jackknife")]
    return ds.drop_vars([*unused, *(n for n in ds if "centred" in n)])


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
