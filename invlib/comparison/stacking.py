"""Join several comparisons into one Dataset, along a new dim."""

from __future__ import annotations

from collections.abc import Mapping

import xarray as xr

__all__ = ["stack"]

_OF_FINETUNED = {"ft", "accuracy", "test"}  # words in names of variables of the fine-tuned model


def stack(parts: Mapping[object, xr.Dataset], dim: str, *, shared: bool = False) -> xr.Dataset:
    """Join comparisons along a new dim. Its coordinate is the keys of `parts`.

    With ``shared=True`` all parts (tasks or epochs, say) have the same pretrained model and images.
    Variables that do not involve the fine-tuned model then stay without the new dim.

    ValueError if a variable of the pretrained model differs with ``shared=True``, or if coordinates
    do. `left_out` is one of them, so all parts need the same number of images.

    Examples
    --------
    >>> toy = xr.Dataset({"stir_pt_pt": 1.0, "stir_ft_pt": 0.5})
    >>> both = stack({"classification": toy, "reconstruction": toy}, "task", shared=True)
    >>> both.stir_pt_pt.dims, both.stir_ft_pt.dims
    ((), ('task',))
    """
    first, *others = parts.values()
    once = [name for name in first if shared and not set(str(name).split("_")) & _OF_FINETUNED]
    for other in others:
        for name in once:
            if not first[name].identical(other[name]):
                raise ValueError(f"{name} differs along {dim!r}: not the same pretrained model")
    varying = xr.concat(
        [ds.drop_vars(once) for ds in parts.values()], xr.Variable(dim, list(parts)), join="exact"
    )
    return varying.merge(first[once]).assign_attrs(first.attrs)
