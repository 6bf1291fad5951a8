"""Two models side by side: which layers are compared, and where they stand in the Dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
import xarray as xr
from numpy.typing import ArrayLike
from torch import Tensor

from invlib.comparison.representations import layer_grams
from invlib.metrics.invariance import nearest_depth
from invlib.models.base import frozen
from invlib.models.staged import StagedModel
from invlib.models.tokens import check_tokens, enter, represent
from invlib.names import ESTIMATORS, SIMILARITIES, choices, each, owners, whole_numbers

__all__ = ["Layers", "Pair"]

Layers = Iterable[int | str] | Mapping[str, Iterable[int | str]]


class Pair:
    """Two models, the layers of each that are compared, and which layer answers to which."""

    def __init__(
        self,
        models: dict[str, StagedModel],
        layers: Layers | None,
        tokens: str,
        similarities: Iterable[str] = (),
    ):
        others = [choices("similarities", name, SIMILARITIES) for name in each(similarities)]
        self.estimators = tuple(dict.fromkeys((*ESTIMATORS, *others)))
        asked = dict.fromkeys(models, layers)
        if isinstance(layers, Mapping):
            for short in layers:
                choices("layers", short, models)
            asked = dict.fromkeys(models) | dict(layers)
        elif isinstance(layers, Iterable):
            asked = _of_each(models, each(layers))
        self.models, self.tokens = models, tokens
        self.layers = {s: check_tokens(model, asked[s], tokens) for s, model in models.items()}
        pt, ft = self.layers.values()
        self.alike = pt == ft and len({model.layer_names for model in models.values()}) == 1
        if not self.alike:
            self.layers = {short: sorted(own) for short, own in self.layers.items()}
        self.axis = pt if self.alike else sorted({*pt, *ft})

    def grams(
        self, short: str, images: Tensor, k: int | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Return `layer_grams` of one of the models at its layers."""
        return layer_grams(self.models[short], images, self.layers[short], k=k, tokens=self.tokens)

    @torch.no_grad()
    def width(self) -> int:
        """Return the size of a representation if all layers have the same features, else 0."""
        sizes = set()
        for short, model in self.models.items() if self.alike else ():
            blank = enter(model, torch.zeros(1, 3, model.img_size, model.img_size))
            with frozen(model):
                layers = model.features(blank, self.layers[short])
            sizes |= {represent(h, self.tokens).shape[1] for h in layers}
        return sizes.pop() if len(sizes) == 1 else 0

    def answering(self, target: str, reference: str) -> list[int]:
        """Return, for each layer of the reference, the index of the target's nearest in depth."""
        if self.alike or target == reference:
            return list(range(len(self.layers[reference])))
        depths = (self.models[m].depth[self.layers[m]] for m in (reference, target))
        return nearest_depth(*depths).tolist()

    def array(
        self, name: str, dims: Sequence[str], values: ArrayLike, some: Sequence[int] | None = None
    ) -> xr.DataArray:
        """Return a variable on the layers of the models that it is about.

        `some` are those of the reference that are there, if not all.
        """
        coords = {dim: self.layers[short] for dim, short in owners(name).items()}
        if some is not None:
            coords[next(iter(coords))] = list(some)
        if "estimator" in dims:  # a jackknife is of CKA only
            cka = name.endswith(("_jackknife", "_left_out"))
            coords["estimator"] = list(ESTIMATORS if cka else self.estimators)
        values = values.cpu().numpy() if isinstance(values, Tensor) else values
        return xr.DataArray(values, coords, dims, name)

    def places(self, short: str, layers: Iterable[int]) -> list[int]:
        """Return where some layers of a model stand among those that are compared."""
        return [self.layers[short].index(layer) for layer in layers]

    def dataset(self, parts: Iterable[xr.DataArray]) -> xr.Dataset:
        """Return variables on the axes of all layers; NaN, or 0, at those that do not exist."""
        axes = dict(layer=self.axis, ref_layer=self.axis, estimator=list(self.estimators))
        out = {}
        for part in parts:
            axis = {dim: axes[dim] for dim in part.dims if dim in axes}
            none = 0 if part.dtype == np.uint8 else np.nan
            out[part.name] = part.reindex(axis, fill_value=none)
        return xr.Dataset(out)

    def coordinates(self) -> dict[str, tuple]:
        """Return names and depths along the dim layer."""
        both = {"": "pt"} if self.alike else {"_pt": "pt", "_ft": "ft"}
        return {
            f"{what}{suffix}": (
                "layer",
                [values[k] if k in self.layers[short] else none for k in self.axis],
            )
            for suffix, short in both.items()
            for what, values, none in (
                ("layer_name", self.models[short].layer_names, ""),
                ("depth", self.models[short].depth, np.nan),
            )
        }


def _of_each(models: dict[str, StagedModel], layers: list) -> dict[str, list]:
    """Return, of each model, those `layers` that it has, and those that none has, to be refused."""
    whole_numbers("layers", [k for k in layers if not isinstance(k, str)])
    known = {short: {*model.layers, *model.layer_names} for short, model in models.items()}
    either = set.union(*known.values())
    return {s: [k for k in layers if k in own or k not in either] for s, own in known.items()}
