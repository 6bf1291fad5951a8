r"""Learning, forgetting, CKA divergence and the flow matrix: equations 2–5 of paper A.

Each function takes a Dataset of `invlib.compare` and returns a DataArray. Learning, forgetting and
divergence compare a layer with itself (i = j); their dims are (…, estimator, seed, layer).

Of two different networks, layer j = i of the other network is its layer at the nearest relative
depth, i*; of two equally near ones the shallower. With equal networks i* = i.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from invlib.names import SELF_TERMS, choices, dataset, owners, unknown

__all__ = [
    "cka_divergence", "compressed_share", "compression", "diagonal", "diagonals", "expansion",
    "forgetting", "invariance_flow", "learning", "nearest_depth",
]  # fmt: skip

_BY_MODEL = [f"{what}_{short}" for what in ("depth", "layer_name") for short in ("pt", "ft")]


def learning(ds: xr.Dataset, *, self_term: str = "measured") -> xr.DataArray:
    r"""Return the part of a fine-tuned layer's invariances that the pretrained one lacks (eq. 3).

    .. math:: \text{learning}_i =
        \text{STIR}(ft^{[i]} \mid ft^{[i]}) - \text{STIR}(pt^{[i]} \mid ft^{[i]})

    With ``self_term="one"`` the first term is 1, as in the paper. It would be 1 if inversion were
    perfect. ``"measured"`` uses the measured value. Of different networks, `layer` runs over the
    fine-tuned one's layers i, and the second term is that of the pretrained layer i*.

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

    `self_term` as in `learning`. Of different networks, `layer` runs over the pretrained one's
    layers i, and the second term is that of the fine-tuned layer i*.

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

    Of different networks, `layer` runs over the pretrained one's layers i, beside ft[i*].

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

    Of different networks the second term is STIR(ft[i*] | pt[j*]). The matrix is then rectangular,
    and antisymmetric only where i** = i. Its coordinate ``nearest_layer`` is i*.

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
    if _different(ds):  # the rows of `swapped` are layers of the target, its columns those of pt
        stir, layers = stir.drop_vars(_BY_MODEL), stir["layer"].values
        rows, columns = _nearest(ds, target, "pt"), _nearest(ds, "pt", target)
        swapped = swapped.drop_vars(_BY_MODEL).sel(ref_layer=rows, layer=columns)
        swapped = swapped.assign_coords(ref_layer=layers, layer=layers)
        stir = stir.assign_coords(nearest_layer=("ref_layer", rows))
    return _named((stir - swapped.transpose(*stir.dims)), "invariance flow")


def diagonal(ds: xr.Dataset, name: str) -> xr.DataArray:
    """Return the entries of a matrix where ref_layer = layer, dims (…, layer).

    They come from ``<name>_diagonal`` if that is stored: a trajectory may keep the whole matrix at
    a few epochs only.

    Of different networks, `layer` runs over the layers i of the reference (pt in ``stir_ft_pt``),
    with its `depth` and `layer_name`, and the entry is at (i, i*). It is NaN where the reference
    has no such layer.

    Examples
    --------
    >>> diagonal(_toy(stir_pt_pt=0.9), "stir_pt_pt").values
    array([0.9, 0.9])
    """
    if f"{name}_diagonal" in dataset(ds):
        return _labelled(ds, ds[f"{name}_diagonal"], name)
    matrix = _variable(ds, name)
    if _different(ds):
        whose, layers = owners(name), matrix["layer"].values
        pairs = {"ref_layer": layers, "layer": _nearest(ds, whose["layer"], whose["ref_layer"])}
        matrix = matrix.drop_vars(_BY_MODEL)
        entries = matrix.sel({dim: xr.DataArray(v, dims="pair") for dim, v in pairs.items()})
        entries = entries.drop_vars(pairs).rename(pair="layer").transpose(..., "layer")
        return _labelled(ds, entries.assign_coords(layer=ds["layer"]), name)
    if not np.isin(matrix["layer"], matrix["ref_layer"]).all() or "ref_layer" not in matrix.dims:
        raise ValueError(f"{name} has ref_layer {matrix['ref_layer'].values}: cut the result")
    entries = matrix.sel(ref_layer=matrix["layer"])  # an array as index: one entry a layer
    return entries.drop_vars("ref_layer")


def diagonals(ds: xr.Dataset) -> xr.Dataset:
    """Return a comparison with every matrix replaced by its diagonal, ``<name>_diagonal``.

    Of different networks these are the diagonals at the nearest depth, each along the layers of
    its reference.

    Examples
    --------
    >>> list(diagonals(_toy(stir_pt_pt=0.9, cka_pt_pt=1.0)))
    ['stir_pt_pt_diagonal', 'cka_pt_pt_diagonal']
    """
    both = {"ref_layer", "layer"}
    matrices = [name for name, array in dataset(ds).items() if both <= set(array.dims)]
    entries = {f"{name}_diagonal": diagonal(ds, name).drop_attrs() for name in matrices}
    if _different(ds):  # which differ in them
        entries = {k: array.drop_vars(["depth", "layer_name"]) for k, array in entries.items()}
    return ds.drop_vars(matrices).assign(entries)


def compression(
    flow: xr.DataArray,
    pretrained: Iterable[int] | None = None,
    finetuned: Iterable[int] | None = None,
) -> xr.DataArray:
    """Return the mean flow from pretrained layers i to earlier fine-tuned layers, j < i.

    `pretrained` and `finetuned` choose the layers. By default these are all, and the value is the
    negative of `expansion`. Of different networks earlier means j < i*, and the two need not be
    negatives of one another.

    Examples
    --------
    >>> ds = _toy(stir_ft_pt=0.5)
    >>> ds.stir_ft_pt[1, 0] = 0.8
    >>> flow = invariance_flow(ds)
    >>> [float(f(flow).round(2)) for f in (compression, expansion, compressed_share)]
    [0.3, -0.3, 1.0]
    """
    return _block(flow, pretrained, finetuned, lambda i, j: j < i)


def expansion(
    flow: xr.DataArray,
    pretrained: Iterable[int] | None = None,
    finetuned: Iterable[int] | None = None,
) -> xr.DataArray:
    """Return the mean flow from pretrained layers i to deeper fine-tuned layers, j > i (or i*)."""
    return _block(flow, pretrained, finetuned, lambda i, j: j > i)


def _block(flow, pretrained, finetuned, side: Callable) -> xr.DataArray:
    block = flow.sel(
        ref_layer=slice(None) if pretrained is None else list(pretrained),
        layer=slice(None) if finetuned is None else list(finetuned),
    )
    return block.where(side(_row(block), block["layer"])).mean(("ref_layer", "layer"))


def _row(flow: xr.DataArray) -> xr.DataArray:
    """Return the layer j that stands for row i: i*, and i itself if the networks are equal."""
    return flow["nearest_layer" if "nearest_layer" in flow.coords else "ref_layer"]


def compressed_share(flow: xr.DataArray) -> xr.DataArray:
    """Return the share of layer pairs whose invariances flow to the earlier layer, in [0, 1].

    It is the share of pairs j < i (of different networks, j < i*) with M(i, j) > 0; the other pairs
    are expanded.
    """
    below = flow.where(flow["layer"] < _row(flow))
    dims = ("ref_layer", "layer")
    return (below > 0).sum(dims) / below.notnull().sum(dims)


def nearest_depth(depths: ArrayLike, among: ArrayLike) -> np.ndarray:
    """Return, for each of `depths`, the index of the nearest one `among` others; NaN is far away.

    Examples
    --------
    >>> nearest_depth([0, 0.5, 1], [0, 0.25, 0.75, 1])
    array([0, 1, 3])
    """
    gaps = np.abs(np.asarray(depths, float)[:, None] - np.asarray(among, float))
    return np.nan_to_num(gaps.round(9), nan=np.inf).argmin(1)  # rounded: a tie is a tie


def _different(ds: xr.Dataset | xr.DataArray) -> bool:
    return "depth_pt" in ds.coords


def _nearest(ds: xr.Dataset, target: str, reference: str) -> np.ndarray:
    """Return the target's layer i* for each number of `layer` as a layer i of the reference."""
    found = nearest_depth(ds[f"depth_{reference}"], ds[f"depth_{target}"])
    return ds["layer"].values[found]


def _labelled(ds: xr.Dataset, entries: xr.DataArray, name: str) -> xr.DataArray:
    """Return a diagonal with depth and names of the reference's layers, if the networks differ."""
    if not _different(ds):
        return entries
    short = owners(name)["ref_layer"]
    own = {what: ("layer", ds[f"{what}_{short}"].data) for what in ("depth", "layer_name")}
    return entries.drop_vars(_BY_MODEL, errors="ignore").assign_coords(own)


def _self_term(ds: xr.Dataset, name: str, self_term: str) -> xr.DataArray | float:
    return diagonal(ds, name) if choices("self_term", self_term, SELF_TERMS) == "measured" else 1.0


def _variable(ds: xr.Dataset, name: str) -> xr.DataArray:
    if name not in dataset(ds):
        raise KeyError(unknown("variable", name, map(str, ds.data_vars)))
    return ds[name]


def _named(value: xr.DataArray, name: str) -> xr.DataArray:
    return value.rename(name.replace(" ", "_").lower()).assign_attrs(long_name=name, units="1")


def _toy(**constants: float) -> xr.Dataset:
    """Return a Dataset of two layers with constant matrices, for the examples above."""
    coords = dict(ref_layer=[0, 1], layer=[0, 1])
    return xr.Dataset(
        {name: (("ref_layer", "layer"), [[v, v], [v, v]]) for name, v in constants.items()}, coords
    )
