"""Two models side by side: which layers are compared, and where they stand in the Dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from invlib.comparison.representations import layer_grams
from invlib.metrics.invariance import nearest_depth
from invlib.models.base import frozen
from invlib.models.staged import StagedModel
from invlib.models.tokens import check_tokens, enter, represent
from invlib.names import ESTIMATORS, SIMILARITIES, choices, owners, whole_numbers

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
        others = [choices("similarities", name, SIMILARITIES) for name in similarities]
        self.estimators = tuple(dict.fromkeys((*ESTIMATORS, *others)))
        asked = dict.fromkeys(models, layers)
        if isinstance(layers, Mapping):
            for short in layers:
                choices("layers", short, models)
            asked = dict.fromkeys(models) | dict(layers)
        elif isinstance(layers, Iterable) and not isinstance(layers, str):
            asked = _of_each(models, list(layers))
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

    def dataset(self, parts: dict[str, tuple]) -> xr.Dataset:
        """Return variables on the axes of all layers; NaN, or 0, at those that do not exist."""
        out = {}
        for name, (dims, values) in parts.items():
            if name.endswith(("_jackknife", "_left_out")):  # of CKA only
                missing = len(self.estimators) - len(ESTIMATORS)
                widths = [(0, missing if dim == "estimator" else 0) for dim in dims]
                values = np.pad(values, widths, constant_values=np.nan)
            for dim, short in owners(name).items() if not self.alike else ():
                where = [self.axis.index(layer) for layer in self.layers[short]]
                along = dims.index(dim)
                kind = np.result_type(values, np.float32) if values.dtype != np.uint8 else np.uint8
                shape = (*values.shape[:along], len(self.axis), *values.shape[along + 1 :])
                spread = np.full(shape, 0 if kind == np.uint8 else np.nan, kind)
                spread[(slice(None),) * along + (where,)] = values
                values = spread
            out[name] = (dims, values)
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
