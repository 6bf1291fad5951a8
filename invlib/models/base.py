"""What all models share: the `Family` interface, normalisation, freezing, splitting batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain

import torch
from torch import Tensor, nn

from invlib.names import whole_number

__all__ = [
    "Family", "check_weights", "classifier", "evaluating", "frozen",
    "normalise", "outside_autocast", "remember_normalisation", "split_batches",
]  # fmt: skip

# Puts a freshly drawn head for so many classes into a network; returns what applies it.
MakeHead = Callable[[nn.Module, int | None], Callable[[Tensor], Tensor]]


class Family:
    """How a network is cut into stages, gets a head and is resized; by default as timm does it.

    A family keeps nothing: every method takes the network. `heads` has, by task, the function that
    puts a new head into the network.
    """

    heads: Mapping[str, MakeHead]

    def fits(self, net: nn.Module) -> bool:
        """Return whether a network of the family's class can be cut as the family does it."""
        return True

    def stages(self, net: nn.Module) -> dict[str, Callable[[Tensor], Tensor]]:
        """Return the stages by layer name; the first takes images (N, 3, H, W) in [0, 1]."""
        raise NotImplementedError

    def head_names(self, net: nn.Module) -> tuple[str, ...]:
        """Return the names of the modules that a new head replaces: ``fc``, ``head.fc``, …"""
        last = net.get_classifier() if hasattr(net, "get_classifier") else ()  # an encoder has none
        last = [last] if isinstance(last, nn.Module) else list(last or ())
        return tuple(name for name, module in net.named_modules() if module in last)

    def input_size(self, net: nn.Module) -> int:
        """Return the side of the input in pixels: as set, or that of timm's pretrained weights."""
        if size := getattr(net, "img_size", None):
            return size if isinstance(size, int) else size[0]
        channels, height, width = net.pretrained_cfg["input_size"]
        if channels != 3 or height != width:
            raise ValueError(f"it takes images of {channels}×{height}×{width}, not 3×n×n")
        return height

    def resize(self, net: nn.Module, img_size: int) -> None:
        """Set the side of the input in pixels; ValueError if the network does not take it."""
        whole_number("img_size", img_size, 1)
        x = torch.zeros(1, 3, img_size, img_size).to(next(net.parameters()))
        with frozen(net), torch.no_grad():
            try:
                if hasattr(net, "set_input_size"):
                    net.set_input_size(img_size=(img_size, img_size))
                net.forward_features(x)
            except Exception as error:  # each network of timm has its own
                raise ValueError(
                    f"img_size={img_size!r} does not fit {type(net).__name__}: "
                    f"{type(error).__name__}: {error}"
                ) from error
        if not isinstance(getattr(net, "img_size", None), tuple):  # its own, and set already
            net.img_size = img_size

    def match_resolution(self, net: nn.Module, state: dict[str, Tensor]) -> None:
        """Resize `net` to the size that the weights `state` were trained at, if they show it."""

    def patch_weight(self, net: nn.Module) -> Tensor | None:
        """Return the patch embedding as a matrix on raw pixels, (dim, 3·p·p); None without one."""
        return None


def classifier(net: nn.Module, num_classes: int | None) -> Callable[[Tensor], Tensor]:
    """Put timm's classifier for so many classes into `net` (None: keep it), and return it."""
    if num_classes is not None:
        net.reset_classifier(num_classes)
    return net.forward_head


def check_weights(net: nn.Module, name: str) -> None:
    """Raise ValueError if a weight of `net` has no values: on the meta device, in a lazy module."""
    for key, weight in chain(net.named_parameters(), net.named_buffers()):
        if nn.parameter.is_lazy(weight) or weight.is_meta:
            raise ValueError(f"{name}: {key} has no values yet: load some, or show it a batch")


def remember_normalisation(net: nn.Module, **values: Sequence[float]) -> None:
    """Give `net` the buffers `input_mean` and `input_std` (3, 1, 1): timm's values, or else 0.5.

    `values` are `mean` and `std` in place of these. Not persistent: they are in no checkpoint.

    Examples
    --------
    >>> net = nn.Identity()
    >>> remember_normalisation(net)
    >>> normalise(net, torch.ones(1, 3, 1, 1)).flatten().tolist()
    [1.0, 1.0, 1.0]
    """
    cfg = values or getattr(net, "pretrained_cfg", None) or {}
    for key in ("mean", "std"):
        value = torch.tensor(tuple(cfg.get(key, (0.5, 0.5, 0.5)))).view(3, 1, 1)
        net.register_buffer(f"input_{key}", value, persistent=False)


def normalise(net: nn.Module, x: Tensor) -> Tensor:
    """Return images (N, 3, H, W) in [0, 1], normalised as `net` expects them."""
    return (x - net.input_mean) / net.input_std


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put `model` into evaluation mode, and restore the mode of every part afterwards."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Put `model` into evaluation mode without parameter gradients, and restore it afterwards.

    Convolutions are as precise as matrix products. By default, cuDNN computes float32 convolutions
    in TF32, which changes the STIR of a ResNet by up to 0.16.
    """
    convolutions = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.get_float32_matmul_precision() != "highest"
    wanted = [p for p in model.parameters() if p.requires_grad]
    for p in wanted:
        p.requires_grad_(False)
    try:
        with evaluating(model):
            yield
    finally:
        for p in wanted:
            p.requires_grad_(True)
        torch.backends.cudnn.allow_tf32 = convolutions


def outside_autocast(device: torch.device) -> AbstractContextManager:
    """Operations in the precision of what they are given, within somebody's autocast, too."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def split_batches(order: Tensor, size: int, *, least: int = 1) -> list[Tensor]:
    """Split `order` (N,) into batches of `size`. The last one may be smaller.

    A last batch of fewer than `least` images joins the one before it: no image is left out.
    ValueError if `size` or all of `order` is less than `least`.

    Examples
    --------
    >>> [[len(b) for b in split_batches(torch.arange(9), 4, least=least)] for least in (1, 2)]
    [[4, 4, 1], [4, 5]]
    """
    if min(size, len(order)) < least:
        raise ValueError(
            f"batch_size={size} with n_train={len(order)} gives batches of one image; the network "
            f"has batch norm, whose statistics need at least {least}"
        )
    batches = list(order.split(size))
    if len(batches[-1]) < least:
        batches[-2:] = [order[-len(batches[-1]) - size :]]
    return batches
