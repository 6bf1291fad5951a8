"""Probe layers: how well a linear classifier reads the class from each, and its numerical rank.

A probe is a ridge classifier on standardised features. Its regularisation is the one with the
smallest leave-one-out squared error: each training image is predicted by a fit to all others
(Golub, Heath & Wahba 1979). Nothing is random, so there is no seed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from numpy.typing import ArrayLike
from sklearn.linear_model import RidgeClassifierCV
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from invlib.data.images import ImageSet
from invlib.metrics.subspaces import numerical_rank
from invlib.models.base import frozen
from invlib.models.staged import StagedModel, check_layers
from invlib.models.tokens import enter
from invlib.names import choices
from invlib.results.provenance import provenance

__all__ = ["POOLS", "linear_probe", "pooled", "probe_layers"]

POOLS = ("grid", "mean", "none")
GRID = 4  # cells on each side
# The largest eigenvalue of standardised features of n images is between n and n·d. So these range
# from no regularisation to one that leaves only the strongest directions.
STRENGTHS = np.logspace(-2, 6, 17)


def pooled(h: Tensor, pool: str = "mean") -> Tensor:
    """Return features (N, d) from a representation: maps (N, C, H, W), tokens (N, P, d) or (N, d).

    ``"mean"``: averaged over all positions, class tokens included. ``"grid"``: averaged over the
    cells of a 4 x 4 grid, only for maps, because with a class token, tokens do not fill a grid.
    ``"none"``: all positions, flattened. ValueError for another `pool` or shape.

    Examples
    --------
    >>> maps, tokens = torch.zeros(5, 64, 8, 8), torch.zeros(5, 17, 32)
    >>> [tuple(pooled(maps, pool).shape) for pool in POOLS], tuple(pooled(tokens).shape)
    ([(5, 1024), (5, 64), (5, 4096)], (5, 32))
    """
    choices("pool", pool, POOLS)
    if h.ndim not in (2, 3, 4):
        raise ValueError(
            f"features have shape {tuple(h.shape)}; allowed are (N, d), (N, P, d) and (N, C, H, W)"
        )
    if pool == "none" or h.ndim == 2:
        return h.flatten(1)
    if h.ndim == 4:
        return F.adaptive_avg_pool2d(h, GRID if pool == "grid" else 1).flatten(1)
    if pool == "grid":
        raise ValueError("pool='grid' is for maps (N, C, H, W); for tokens use 'mean' or 'none'")
    return h.mean(dim=1)


def linear_probe(
    train_features: Tensor | ArrayLike,
    train_labels: Tensor | ArrayLike,
    test_features: Tensor | ArrayLike,
    test_labels: Tensor | ArrayLike,
    *,
    pool: str = "mean",
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[float, float]:
    """Return the test accuracy of a linear classifier on features, and its regularisation.

    The accuracy, in [0, 1], is the blue line in figure 4 of Masarczyk et al. (2023).

    Parameters
    ----------
    train_features, test_features : (N, d), (N, P, d) or (N, C, H, W)
        Representations of both sets of images, which are `pooled`, then standardised with the mean
        and standard deviation of the training images.
    train_labels, test_labels : integers (N,)
    pool : {"grid", "mean", "none"}
        As in `pooled`.
    strengths : sequence of float
        Candidates for the factor α of the penalty α‖w‖², of which one is chosen.

    ValueError if features are not finite, features and labels differ in number, there is only one
    class, or a class of the test images has no training image.

    Examples
    --------
    >>> from invlib import load_images
    >>> train, test = load_images("digits", "train", n=500), load_images("digits", "test")
    >>> accuracy, regularisation = linear_probe(
    ...     train.tensor(8), train.labels, test.tensor(8), test.labels, pool="none")
    >>> accuracy > 0.85, regularisation in STRENGTHS
    (True, True)
    """
    x, y = _checked(train_features, train_labels, pool, "train")
    x_test, y_test = _checked(test_features, test_labels, pool, "test")
    if x.shape[1] != x_test.shape[1]:
        raise ValueError(f"train has {x.shape[1]} features and test {x_test.shape[1]}")
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(f"train_labels hold one class, {classes.tolist()}; a probe needs two")
    if unseen := sorted(set(y_test.tolist()) - set(classes.tolist())):
        raise ValueError(
            f"test_labels hold the classes {unseen}, of which train_labels have no image "
            f"(there are {len(y)} images of {len(classes)} classes)"
        )
    scaler = StandardScaler().fit(x)
    probe = RidgeClassifierCV(alphas=strengths).fit(scaler.transform(x), y)
    return float(probe.score(scaler.transform(x_test), y_test)), float(probe.alpha_)


def probe_layers(
    model: StagedModel,
    train: ImageSet,
    test: ImageSet,
    *,
    layers: Iterable[int] | None = None,
    pool: str = "mean",
    rtol: Sequence[float] = (1e-4, 1e-3, 1e-2),
    batch: int = 250,
) -> xr.Dataset:
    """Return the accuracy of a linear probe on every layer, and the layer's numerical rank.

    Probes are fitted to `train` and tested on `test`, on features as in `pooled`. `batch` images
    are in a forward pass.

    Returns
    -------
    xarray.Dataset
        Of kind ``probes``. ``numerical_rank`` (layer, rtol) is that of the test images at each
        threshold `rtol` (the paper states none), of the whole representation, not pooled. It cannot
        exceed min(n − 1, ``num_features``) for n test images; the attribute ``parameters`` has n.

    ValueError for fewer training images than classes, other classes in `test`, a layer that is not
    finite (the message names it), or as by `linear_probe`.

    Examples
    --------
    >>> from invlib import load_images, load_model
    >>> train, test = load_images("digits", "train", n=100), load_images("digits", "test", n=50)
    >>> ds = probe_layers(load_model("vit_pico_patch8_32"), train, test)
    >>> dict(ds.numerical_rank.sizes), bool((ds.probe_accuracy > 0.1).all())
    ({'layer': 4, 'rtol': 3}, True)
    """
    started = time.perf_counter()
    layers, rtol = sorted(check_layers(model, layers)), sorted(float(value) for value in rtol)
    if len(train) < train.num_classes:
        raise ValueError(
            f"train has {len(train)} images of {train.num_classes} classes; a probe needs at least "
            "one of each"
        )
    if train.class_names != test.class_names:
        raise ValueError(f"{train!r} and {test!r} do not have the same classes")
    # Training images: all layers in one pass, pooled. Test images: one layer at a time, because the
    # rank needs the whole representation of all of them.
    features: dict[int, list[Tensor]] = {k: [] for k in layers}
    rows = []
    with torch.no_grad(), frozen(model):
        for x in train.tensor(model.img_size).split(batch):
            for k, h in zip(layers, model.features(enter(model, x), layers), strict=True):
                features[k].append(pooled(h, pool).cpu())
        x = enter(model, test.tensor(model.img_size))
        for k, h in zip(layers, model.walk(x, layers, batch=batch), strict=True):
            try:
                probe = linear_probe(
                    torch.cat(features.pop(k)), train.labels, pooled(h, pool), test.labels
                )
                rows.append((*probe, numerical_rank(h, rtol=rtol).tolist(), h[0].numel()))
            except ValueError as error:
                name = model.layer_names[k]
                raise ValueError(f"layer {k} ({name}) of {model.name}: {error}") from error
    accuracy, regularisation, rank, num_features = zip(*rows, strict=True)
    ds = xr.Dataset(
        {
            "probe_accuracy": ("layer", list(accuracy)),
            "probe_regularisation": ("layer", list(regularisation)),
            "numerical_rank": (("layer", "rtol"), list(rank)),
            "num_features": ("layer", list(num_features)),
        },
        {
            "layer": layers,
            "layer_name": ("layer", [model.layer_names[k] for k in layers]),
            "depth": ("layer", model.depth[layers]),
            "rtol": rtol,
        },
    )
    data = {
        split: {"name": s.name, "split": s.split, "n": len(s), "fingerprint": s.fingerprint}
        for split, s in (("train", train), ("test", test))
    }
    parameters = dict(model=model.name, img_size=model.img_size, pool=pool, layers=layers) | data
    ds.attrs = {"kind": "probes"} | provenance(
        parameters=parameters,
        seeds=[],
        device=model.device,
        wall_time=time.perf_counter() - started,
        command=f"probe_layers(model, train, test, pool={pool!r}, rtol={rtol})",
    )
    return ds


def _checked(
    features: Tensor | ArrayLike, labels: Tensor | ArrayLike, pool: str, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Return pooled features (N, d) and labels (N,) as arrays; ValueError if they do not fit."""
    x = pooled(torch.as_tensor(features), pool).detach().cpu()
    x = x.to(torch.promote_types(x.dtype, torch.float32)).numpy()  # which has no bfloat16
    y = torch.as_tensor(labels).cpu().numpy()
    if y.shape != x.shape[:1]:
        raise ValueError(f"{split}_labels have shape {y.shape}, but there are {len(x)} images")
    if not len(x):
        raise ValueError(f"{split}_features hold no images")
    if not np.isfinite(x).all():
        raise ValueError(f"{split}_features hold non-finite values")
    return x, y
