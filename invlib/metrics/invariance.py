r"""Learning, forgetting, CKA divergence and the flow matrix: equations 2–5 of paper A.

Each function takes a Dataset of `invlib.compare` and returns a DataArray. Learning, forgetting and
divergence compare a layer with itself (i = j); their dims are (…, estimator, seed, layer).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import xarray as xr

from invlib.names import SELF_TERMS, choices, unknown

__all__ = [
    "cka_divergence",
    "compressed_share",
    "compression",
    "diagonal",
    "diagonals",
    "expansion",
    "forgetting",
    "invariance_flow",
    "learning",
]


def learning(ds: xr.Dataset, *, self_term: str = "measured") -> xr.DataArray:
    r"""Return the part of a fine-tuned layer's invariances that the pretrained one lacks (eq. 3).

    .. math:: \text{learning}_i =
        \text{STIR}(ft^{[i]} \mid ft^{[i]}) - \text{STIR}(pt^{[i]} \mid ft^{[i]})

    With ``self_term="one"`` the first term is 1, as in the paper. It would be 1 if inversion were
    perfect. ``"measured"`` uses the measured value.

    Examples
    --------
    >>> ds = _toy(stir_ft_ft=0.9, stir_pt_ft=0.6)
    >>> learning(ds).values.round(2), learning(ds, self_term="one").values.round(2)
    (array([0.3, 0.3]), array([0.4, 0.4]))
    """
    value = _self_term(ds, "stir_ft_ft", self_term) - diagonal(ds, "stir_pt_ft")
    return _named(value, "learning")


def forgetting(ds: xr.Dataset, *, self_term: str = "measured") -> xr.DataArray:
    r"""Return the part of a pretrained layer's invariances that the fine-tuned one lost (eq. 2).

    .. math:: \text{forgetting}_i =
        \text{STIR}(pt^{[i]} \mid pt^{[i]}) - \text{STIR}(ft^{[i]} \mid pt^{[i]})

    `self_term` as in `learning`.

    Examples
    --------
    >>> forgetting(_toy(stir_pt_pt=0.9, stir_ft_pt=0.7)).values.round(2)
    array([0.2, 0.2])
    """
    value = _self_term(ds, "stir_pt_pt", self_term) - diagonal(ds, "stir_ft_pt")
    return _named(value, "forgetting")


def cka_divergence(ds: xr.Dataset) -> xr.DataArray:
    r"""Return how much less similar, in CKA, a layer is to its pretrained self (eq. 4).

    .. math:: \text{CKA}(pt^{[i]}, pt^{[i]}) - \text{CKA}(ft^{[i]}, pt^{[i]})

    Examples
    --------
    >>> cka_divergence(_toy(cka_pt_pt=1.0, cka_ft_pt=0.75)).values
    array([0.25, 0.25])
    """
    value = diagonal(ds, "cka_pt_pt") - diagonal(ds, "cka_ft_pt")
    return _named(value, "CKA divergence")


def invariance_flow(ds: xr.Dataset, *, target: str = "ft") -> xr.DataArray:
    r"""Return the Invariance Flow Matrix (eq. 5), rows `ref_layer` i, columns `layer` j.

    .. math:: M(i, j) = \text{STIR}(ft^{[j]} \mid pt^{[i]}) - \text{STIR}(ft^{[i]} \mid pt^{[j]})

    The matrix is antisymmetric, so its two triangles are one piece of evidence. M(i, j) > 0 with
    j < i means *compressed*: a shallower fine-tuned layer has the invariances of a deep pretrained
    one. With j > i it means *expanded*. ``target="pt"`` puts the pretrained model in the place of
    the fine-tuned one. This matrix is a baseline: nothing was trained, and yet it is not 0, because
    a deep layer has more invariances than a shallow one.

    Examples
    --------
    >>> ds = _toy(stir_ft_pt=0.5)
    >>> ds.stir_ft_pt[1, 0] = 0.8
    >>> invariance_flow(ds).values.round(2)
    array([[ 0. , -0.3],
           [ 0.3,  0. ]])
    """
    stir = _variable(ds, f"stir_{choices('target', target, ('ft', 'pt'))}_pt")
    # xarray aligns dims by name, so `A - A.T` is 0. Swapping the two names transposes instead.
    swapped = stir.rename(ref_layer="layer", layer="ref_layer")
    return _named((stir - swapped.transpose(*stir.dims)), "invariance flow")


def diagonal(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Return the entries of a matrix where ref_layer = layer, dims (…, layer).

    They come from ``<name>_diagonal`` if that is stored, because a trajectory may keep the whole
    matrix at a few epochs only. Otherwise they come from the matrix.

    Examples
    --------
    >>> diagonal(_toy(stir_pt_pt=0.9), "stir_pt_pt").values
    array([0.9, 0.9])
    """
    if f"{name}_diagonal" in ds:
        return ds[f"{name}_diagonal"]
    matrix = _variable(ds, name)
    entries = matrix.sel(ref_layer=matrix["layer"])  # an array as index: one entry a layer
    return entries.drop_vars([c for c in entries.coords if str(c).startswith("ref_")])


def diagonals(ds: xr.Dataset) -> xr.Dataset:
    """Return a comparison with every matrix replaced by its diagonal, ``<name>_diagonal``.

    Examples
    --------
    >>> list(diagonals(_toy(stir_pt_pt=0.9, cka_pt_pt=1.0)))
    ['stir_pt_pt_diagonal', 'cka_pt_pt_diagonal']
    """
    matrices = [name for name, array in ds.items() if {"ref_layer", "layer"} <= set(array.dims)]
    entries = {f"{name}_diagonal": diagonal(ds, name).drop_attrs() for name in matrices}
    return ds.drop_vars(matrices).assign(entries)


def compression(
    flow: xr.DataArray,
    pretrained: Iterable[int] | None = None,
    finetuned: Iterable[int] | None = None,
) -> xr.DataArray:
    """Return the mean flow from pretrained layers i to earlier fine-tuned layers, j < i.

    `pretrained` and `finetuned` choose the layers. By default these are all, and the value is the
    negative of `expansion`.

    Examples
    --------
    >>> ds = _toy(stir_ft_pt=0.5)
    >>> ds.stir_ft_pt[1, 0] = 0.8
    >>> float(compression(invariance_flow(ds)).round(2))
    0.3
    """
    return _block(flow, pretrained, finetuned, lambda i, j: j < i)


def expansion(
    flow: xr.DataArray,
    pretrained: Iterable[int] | None = None,
    finetuned: Iterable[int] | None = None,
) -> xr.DataArray:
    """Return the mean flow from pretrained layers i to deeper fine-tuned layers, j > i.

    Examples
    --------
    >>> ds = _toy(stir_ft_pt=0.5)
    >>> ds.stir_ft_pt[1, 0] = 0.8
    >>> float(expansion(invariance_flow(ds)).round(2))
    -0.3
    """
    return _block(flow, pretrained, finetuned, lambda i, j: j > i)


def _block(flow, pretrained, finetuned, side: Callable) -> xr.DataArray:
    block = flow.sel(
        ref_layer=slice(None) if pretrained is None else list(pretrained),
        layer=slice(None) if finetuned is None else list(finetuned),
    )
    return block.where(side(block["ref_layer"], block["layer"])).mean(("ref_layer", "layer"))


def compressed_share(flow: xr.DataArray) -> xr.DataArray:
    """Return the share of layer pairs whose invariances flow to the earlier layer, in [0, 1].

    It is the share of pairs j < i with M(i, j) > 0; the other pairs are expanded.

    Examples
    --------
    >>> ds = _toy(stir_ft_pt=0.5)
    >>> ds.stir_ft_pt[1, 0] = 0.8
    >>> float(compressed_share(invariance_flow(ds)))
    1.0
    """
    below = flow.where(flow["layer"] < flow["ref_layer"])
    dims = ("ref_layer", "layer")
    return (below > 0).sum(dims) / below.notnull().sum(dims)


def _self_term(ds: xr.Dataset, name: str, self_term: str) -> xr.DataArray | float:
    return diagonal(ds, name) if choices("self_term", self_term, SELF_TERMS) == "measured" else 1.0


def _variable(ds: xr.Dataset, name: str) -> xr.DataArray:
    if name not in ds:
        raise KeyError(unknown("variable", name, map(str, ds.data_vars)))
    return ds[name].drop_vars(["ref_layer_name", "ref_depth"], errors="ignore")


def _named(value: xr.DataArray, name: str) -> xr.DataArray:
    return value.rename(name.replace(" ", "_").lower()).assign_attrs(long_name=name, units="1")


def _toy(**constants: float) -> xr.Dataset:
    """Return a Dataset of two layers with constant matrices, for the examples above."""
    coords = dict(ref_layer=[0, 1], layer=[0, 1])
    return xr.Dataset(
        {name: (("ref_layer", "layer"), [[v, v], [v, v]]) for name, v in constants.items()}, coords
    )
