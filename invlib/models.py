"""Vision models as a sequence of named stages, so that one layer vocabulary fits them all.

Layer 0 is what enters the first block (for a ViT: patches plus position embedding); layer k is the
output of block k. A representation is everything a stage returns, all token positions included.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

import numpy as np
import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from timm.models.deit import VisionTransformerDistilled
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from invlib import vit
from invlib.errors import choices, nearest
from invlib.paths import resolve_weights

__all__ = ["SMALL_VITS", "StagedModel", "load_model"]

# ViTs small enough for a laptop. A patch holds twice as many numbers as its token (192 to 96), so
# that already layer 0 throws something away, as it does in ViT-B/32 (3072 to 768).
SMALL_VITS: dict[str, dict[str, int]] = {
    "vit_nano_patch8_32": dict(img_size=32, patch_size=8, embed_dim=96, depth=12, num_heads=3),
    "vit_pico_patch8_32": dict(img_size=32, patch_size=8, embed_dim=32, depth=3, num_heads=2),
}

# The module that knows how a network is cut into stages, by exact class: a subclass may compute
# something else between the same attributes.
_FAMILIES: dict[type[nn.Module], ModuleType] = {
    VisionTransformer: vit,
    VisionTransformerDistilled: vit,
}


class StagedModel(nn.Module):
    """A network cut into `stages` run in order, then `head`.

    ``stages[0]`` takes float images (N, 3, H, W) in [0, 1] and normalises them itself; every other
    stage takes what the one before it returned. `net` is the wrapped module: its ``state_dict``
    keeps the names of the library it comes from, so a checkpoint loads there as well.

    Attributes
    ----------
    layers
        ``range(0, L + 1)``, the layer numbers used everywhere in this project.
    depth
        Array in [0, 1], one value a layer: a shared axis for networks of different length.
    """

    def __init__(self, net: nn.Module, *, name: str, img_size: int):
        super().__init__()
        stages = _FAMILIES[type(net)].stages(net)
        self.net = net
        self.stages = tuple(stages.values())  # a tuple: `net` owns the parameters
        self.layer_names = tuple(stages)
        self.name = name
        self.img_size = img_size
        self.with_head("classification")

    def patch_basis(self) -> Tensor | None:
        """Return orthonormal rows (k, 3·p·p) that span all that layer 0 sees of a p×p patch.

        Right singular vectors of the patch embedding with respect to raw pixels, largest singular
        value first. None for networks that do not cut the image into patches.

        Examples
        --------
        >>> load_model("vit_pico_patch8_32").patch_basis().shape
        torch.Size([32, 192])
        """
        if (weight := self.family.patch_weight(self.net)) is None:
            return None
        return torch.linalg.svd(weight.detach(), full_matrices=False).Vh

    def with_head(self, task: str, num_classes: int | None = None, *, seed: int = 0) -> StagedModel:
        """Give the model a new head, initialised from `seed`, in place; return the model.

        Examples
        --------
        >>> model = load_model("vit_pico_patch8_32").with_head("reconstruction")
        >>> model(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
        """
        heads = self.family.HEADS
        choices("task", task, heads)
        with torch.random.fork_rng(devices=[]):  # timm draws from the global generator; lend it
            torch.manual_seed(seed)
            self.head = heads[task](self.net, num_classes)
        self.task = task
        self.net.to(self.device)
        return self

    @property
    def family(self) -> ModuleType:
        return _FAMILIES[type(self.net)]

    @property
    def layers(self) -> range:
        return range(len(self.stages))

    @property
    def depth(self) -> np.ndarray:
        return np.linspace(0.0, 1.0, len(self.stages))

    @property
    def device(self) -> torch.device:
        return next(self.net.parameters()).device

    def prefix(self, x: Tensor, k: int) -> Tensor:
        """Return the representation at layer `k`, computing nothing beyond it.

        Examples
        --------
        >>> model = load_model("vit_pico_patch8_32")
        >>> model.prefix(torch.zeros(2, 3, 32, 32), 1).shape
        torch.Size([2, 17, 32])
        """
        for stage in self.stages[: check_layers(self, [k])[0] + 1]:
            x = stage(x)
        return x

    def features(self, x: Tensor, layers: Iterable[int] | None = None) -> list[Tensor]:
        """Return the representations at `layers` (default: all) from one pass.

        Examples
        --------
        >>> model = load_model("vit_pico_patch8_32")
        >>> [tuple(h.shape) for h in model.features(torch.zeros(2, 3, 32, 32), [0, 3])]
        [(2, 17, 32), (2, 17, 32)]
        """
        layers = check_layers(self, layers)
        found = {}
        for k in range(max(layers) + 1):
            x = self.stages[k](x)
            if k in layers:
                found[k] = x
        return [found[k] for k in layers]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes), or images (N, 3, H, W) for a reconstruction head."""
        for stage in self.stages:
            x = stage(x)
        return self.head(x)

    def __repr__(self) -> str:
        return f"StagedModel({self.name}, {self.img_size} px, layers 0–{len(self.stages) - 1})"


def check_layers(model: StagedModel, layers: Iterable[int] | None) -> list[int]:
    """Return `layers` as a list of this model's layer numbers; ValueError if one does not exist."""
    layers = list(model.layers if layers is None else layers)
    bad = [k for k in layers if isinstance(k, bool) or k not in model.layers]
    if bad or not layers or len(set(layers)) < len(layers):
        raise ValueError(
            f"layers={layers!r} must be distinct numbers out of 0…{len(model.stages) - 1}, "
            f"the layers of {model.name}"
        )
    return layers


# ── Loading ──────────────────────────────────────────────────────────────────────────────────────


def load_model(
    name: str,
    *,
    weights: str | Path | None = None,
    img_size: int | None = None,
    num_classes: int | None = None,
    seed: int = 0,
) -> StagedModel:
    """Build a model by its timm name (or one of `SMALL_VITS`), in evaluation mode on the CPU.

    Parameters
    ----------
    weights
        None: random, drawn from `seed`. ``"timm"``: the hub's pretrained weights. Otherwise the
        path of a safetensors file with timm's key names, relative paths also below
        ``$INVLIB_DATA``. A checkpoint of `train` brings its own head and task.
    img_size
        Side of the square input in pixels, divisible by the patch. Position embeddings are
        resampled (bicubic, timm's routine). Default: what the weights were trained at.
    num_classes
        Default: as the weights have. Another number gives a new head, drawn from `seed`.

    Raises
    ------
    ValueError
        Unknown name, a class of network that is not supported, an `img_size` that the patch does
        not divide, or weights that do not fit (the message names the tensors).
    FileNotFoundError
        No such weights file.
    ConnectionError
        The hub cannot be reached.

    Examples
    --------
    >>> model = load_model("vit_nano_patch8_32", num_classes=10, seed=1)
    >>> model.layers
    range(0, 13)
    >>> model(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _create(name, pretrained=weights == "timm", num_classes=num_classes)
    if type(net) not in _FAMILIES:
        supported = ", ".join(sorted(cls.__name__ for cls in _FAMILIES))
        raise ValueError(
            f"model={name!r} is a timm {type(net).__name__}; supported are {supported}"
        )
    state, task = None, "classification"
    if weights is not None and weights != "timm":
        path = resolve_weights(weights)
        state = _read_weights(path)
        if "head.proj.weight" in state:
            task = "reconstruction"
        _FAMILIES[type(net)].match_resolution(net, state)
    model = StagedModel(net, name=name, img_size=net.patch_embed.img_size[0])
    if state is not None:
        model.with_head(task, _classes_in(state), seed=seed)
        _load_state(model, state, path)
    if task == "classification" and num_classes not in (None, net.num_classes):
        model.with_head(task, num_classes, seed=seed)
    if img_size is not None and img_size != model.img_size:
        model.family.resize(net, img_size)
        model.img_size = img_size
    return model.eval()


def _create(name: str, *, pretrained: bool, num_classes: int | None) -> nn.Module:
    classes = {} if num_classes is None or pretrained else {"num_classes": num_classes}
    if name in SMALL_VITS:
        if pretrained:
            raise ValueError(f"weights='timm': timm has no weights for {name!r}; train them")
        return VisionTransformer(**SMALL_VITS[name], **classes)
    if not timm.is_model(name):
        known = [*SMALL_VITS, *timm.list_models()]
        raise ValueError(
            f"unknown model {name!r}{nearest(name, known)}; known are {', '.join(SMALL_VITS)} "
            "and the vision transformers of timm.list_models()"
        )
    try:
        return timm.create_model(name, pretrained=pretrained, **classes)
    except Exception as error:  # huggingface_hub has no one base class for "could not fetch"
        if not pretrained:
            raise
        raise ConnectionError(
            f"weights='timm': the pretrained weights of {name!r} could not be fetched "
            f"({type(error).__name__}); with a copy on disk, pass its path as `weights`"
        ) from error


def _read_weights(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weights={str(path)!r} is not a safetensors file: {error}") from error


def _classes_in(state: dict[str, Tensor]) -> int | None:
    return len(state["head.weight"]) if "head.weight" in state else None


def _load_state(model: StagedModel, state: dict[str, Tensor], path: Path) -> None:
    own = model.net.state_dict()
    problems = [f"{key} is missing" for key in own.keys() - state.keys()]
    problems += [f"{key} is not in the model" for key in state.keys() - own.keys()]
    problems += [
        f"{key} is {tuple(state[key].shape)}, the model has {tuple(own[key].shape)}"
        for key in own.keys() & state.keys()
        if own[key].shape != state[key].shape
    ]
    if problems:
        shown, more = sorted(problems)[:5], len(problems) - 5
        raise ValueError(
            f"weights={str(path)!r} do not fit {model.name!r}: {'; '.join(shown)}"
            + (f"; and {more} more" if more > 0 else "")
        )
    model.net.load_state_dict(state)
