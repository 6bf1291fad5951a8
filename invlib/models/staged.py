"""`StagedModel`: a vision model as a sequence of named stages, the layers numbered from 0.

Layer 0 is the input of the first block: patches plus position embedding in a ViT, the output of the
stem in a ResNet. Layer k is the output of block k. A representation is all that a stage returns, at
all token or pixel positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

import numpy as np
import torch
from timm.models.deit import VisionTransformerDistilled
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import ResNet
from timm.models.vgg import VGG
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from invlib.models.base import Family, check_weights
from invlib.models.convnets import CHAIN, CONV4, Conv4
from invlib.models.vit import VIT
from invlib.names import TASKS, choices, each, whole_numbers

__all__ = ["FAMILIES", "StagedModel", "check_layers", "check_model"]

# By exact class, because a subclass may compute something else with the same attributes. Networks
# of other classes are cut by their repeated blocks: see `invlib.models.hooked`.
FAMILIES: dict[type[nn.Module], Family] = {
    VisionTransformer: VIT,
    VisionTransformerDistilled: VIT,
    Conv4: CONV4,
    ResNet: CHAIN,
    VGG: CHAIN,
    EfficientNet: CHAIN,
    MobileNetV3: CHAIN,
}


class StagedModel(nn.Module):
    """A network cut into `stages`, which run in order, and a `head`.

    ``stages[0]`` takes float images (N, 3, H, W) in [0, 1] and normalises them. Every other stage
    takes the output of the stage before it. `net` is the wrapped module. Its ``state_dict`` keeps
    the names of the library it comes from, so a checkpoint can be loaded there too.

    Attributes
    ----------
    layers
        ``range(0, L + 1)``, the layer numbers used everywhere in this project.
    depth
        Array in [0, 1], one value for each layer: a common axis for networks of different length.
    notes
        What `load_model` stripped from the names of the weights, left out or drew, in words.

    Examples
    --------
    >>> from invlib import load_model
    >>> model, x = load_model("vit_pico_patch8_32"), torch.zeros(5, 3, 32, 32)
    >>> [tuple(h.shape) for h in model.features(x, [0, 3])]
    [(5, 17, 32), (5, 17, 32)]
    >>> [len(h) for h in model.walk(x, [1, 3], rows=[2, 3])]
    [2, 3]
    >>> sorted(model.net.state_dict().keys() - model.trunk().keys())
    ['head.bias', 'head.weight']
    >>> model.with_head("reconstruction")(x).shape, model.patch_basis().shape
    (torch.Size([5, 3, 32, 32]), torch.Size([32, 192]))
    """

    notes: tuple[str, ...] = ()

    def __init__(self, net: nn.Module, *, name: str, img_size: int):
        super().__init__()
        self.family = FAMILIES[type(net)]
        stages = self.family.stages(net)
        self.net = net
        self.stages = tuple(stages.values())  # a tuple: `net` owns the parameters
        self.layer_names = tuple(stages)
        self.name = name
        self.img_size = img_size
        self.with_head("classification")

    def patch_basis(self) -> Tensor | None:
        """Return orthonormal rows (k, 3·p·p) that span what layer 0 sees of a p×p patch.

        They are the right singular vectors of the patch embedding as a matrix on raw pixels,
        largest singular value first. None for networks without patches.
        """
        if (weight := self.family.patch_weight(self.net)) is None:
            return None
        weight = weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
        return torch.linalg.svd(weight, full_matrices=False).Vh

    def with_head(self, task: str, num_classes: int | None = None, *, seed: int = 0) -> StagedModel:
        """Give the model a new head, drawn from `seed`, and return the model."""
        heads = self.family.heads
        if choices("task", task, TASKS) not in heads:
            raise ValueError(
                f"task={task!r} needs patch tokens to predict pixels from, and {self.name} is a "
                f"{type(self.net).__name__}; its tasks are {', '.join(map(repr, heads))}"
            )
        with torch.random.fork_rng(devices=[]):  # timm draws from the global generator: restore it
            torch.manual_seed(seed)
            self.head = heads[task](self.net, num_classes)
        self.task = task
        self.net.to(self.device)
        return self

    def trunk(self) -> dict[str, Tensor]:
        """Return the ``state_dict`` of `net` without the head."""
        heads = tuple(f"{name}." for name in self.family.head_names(self.net))
        return {k: v for k, v in self.net.state_dict().items() if not k.startswith(heads)}

    def resize(self, img_size: int) -> None:
        """Set the side of the input in pixels; ValueError if it is impossible."""
        self.family.resize(self.net, img_size)
        self.img_size = img_size

    @property
    def layers(self) -> range:
        return range(len(self.stages))

    @property
    def depth(self) -> np.ndarray:
        return np.linspace(0.0, 1.0, len(self.stages))

    @property
    def device(self) -> torch.device:
        return next(chain(self.net.parameters(), self.buffers())).device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type of the weights, float32 for a module without any."""
        weights = chain(self.net.parameters(), self.buffers())
        return next(w.dtype for w in weights if w.is_floating_point() or w.is_complex())

    def prefix(self, x: Tensor, k: int) -> Tensor:
        """Return the representation of images `x` at layer `k`, without running later layers."""
        return self.features(x, [k])[0]

    def features(self, x: Tensor, layers: Iterable[int] | None = None) -> list[Tensor]:
        """Return the representations of images `x` at `layers` (default: all), in one pass."""
        layers = check_layers(self, layers)
        by_layer = dict(zip(sorted(layers), self.walk(x, sorted(layers)), strict=True))
        return [by_layer[k] for k in layers]

    def walk(
        self,
        x: Tensor,
        layers: Sequence[int],
        *,
        rows: Sequence[int] | None = None,
        batch: int | None = None,
    ) -> Iterator[Tensor]:
        """Yield the representations of images `x` at increasing `layers`, one after the other.

        With `rows`, the next ``rows[i]`` images leave at ``layers[i]``, and nothing beyond it is
        computed for them. A stage runs on `batch` images at a time (default: all), so that only one
        layer of many images is held.
        """
        leaving = dict(zip(layers, rows or [0] * len(layers), strict=True))
        for k in range(max(layers) + 1):
            stage = self.stages[k]
            x = stage(x) if batch is None else torch.cat([stage(part) for part in x.split(batch)])
            if k in leaving:
                rest = len(x) - leaving[k]
                here, x = x.split([leaving[k], rest]) if rows and rest else (x, x)
                yield here

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes), or with a reconstruction head images (N, 3, H, W)."""
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def __repr__(self) -> str:
        return f"StagedModel({self.name}, {self.img_size} px, layers 0–{len(self.stages) - 1})"


def check_model(model: object, name: str = "model") -> None:
    """Raise TypeError unless this is a StagedModel, ValueError if its weights have no values."""
    if not isinstance(model, StagedModel):
        ways = "load_model(...), or wrap_model(module, img_size=…, mean=…, std=…)"
        raise TypeError(f"{name} is of type {type(model).__name__}; expected a model from {ways}")
    check_weights(model.net, name)
    kinds = sorted({str(p.dtype)[6:] for p in model.net.parameters()})
    if len(kinds) > 1 and type(model) is StagedModel:  # other modules may know what they do
        raise TypeError(f"{name} has weights of {' and '.join(kinds)}; {name}.float() has one type")


def check_layers(model: StagedModel, layers: Iterable[int] | None) -> list[int]:
    """Return `layers` (None: all) as a list of int; raise unless distinct layers of the model.

    They may be given by number or by name.
    """
    check_model(model)
    if isinstance(layers, Iterable):
        names = model.layer_names
        layers = [
            names.index(choices("layer", k, names)) if isinstance(k, str) else k
            for k in each(layers)
        ]
    layers = whole_numbers("layers", model.layers if layers is None else layers)
    if not layers or len(set(layers)) < len(layers) or not set(layers) <= set(model.layers):
        raise ValueError(
            f"layers={layers!r} must be distinct numbers out of 0…{len(model.stages) - 1}, "
            f"the layers of {model.name}"
        )
    return layers
