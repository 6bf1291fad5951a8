"""How a convolutional network is cut into stages: a family for every net that is one long chain.

What a network calls one after the other is watched, not written down here, so a new class of timm
network needs one line in the table of `invlib.models`. Layers are

- after each *block* (a module with a convolution inside: a residual block, say), or, in a network
  without blocks, after each convolution with the norm, ReLU and pooling that follow it (VGG);
- a convolution after the last block is a layer of its own (EfficientNet has one).

Layer 0 is what enters the first of them: the output of the stem (ResNet), or the normalised image
where nothing comes before (VGG, the four-block net). A layer includes the pooling that follows it.

Batch norm is in evaluation mode wherever a representation is looked at, inverted or scored: it uses
its running statistics, which in a network that was never trained are mean 0 and variance 1, so that
batch norm does nothing there. Only training steps normalise by the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from invlib.normalisation import normalise, remember_normalisation

__all__ = [
    "HEADS", "head_names", "input_size", "match_resolution", "patch_weight", "resize", "stages",
]  # fmt: skip

_PROBE = 64  # pixels a side of the image that is sent through to see what is called; 5 poolings fit


def stages(net: nn.Module) -> dict[str, Callable[[Tensor], Tensor]]:
    """Return the stages by layer name; the first takes images (N, 3, H, W) in [0, 1].

    Raises
    ------
    ValueError
        If the network is not a chain: it does something between its modules, or has branches.
    """
    remember_normalisation(net)
    units = _chain(net)
    has_blocks = any(map(_is_block, units))
    stem, later = [], []
    for unit in units:
        # In a network with blocks, the convolutions before the first one are the stem.
        convolves = isinstance(unit, nn.Conv2d) and (later or not has_blocks)
        if _is_block(unit) or convolves:
            later.append([unit])
        else:  # norm, activation, pooling: of the convolution before
            (later[-1] if later else stem).append(unit)
    named = {"stem" if stem else "image": partial(_enter, net, nn.Sequential(*stem))}
    for k, members in enumerate(later, start=1):
        kind = "block" if _is_block(members[0]) else "conv"
        named[f"{kind} {k}"] = nn.Sequential(*members)
    return named


def _enter(net: nn.Module, stem: nn.Module, x: Tensor) -> Tensor:
    return stem(normalise(net, x))


def _is_block(unit: nn.Module) -> bool:
    inside = (module for module in unit.modules() if module is not unit)
    return not isinstance(unit, nn.Conv2d) and any(isinstance(m, nn.Conv2d) for m in inside)


def _chain(net: nn.Module) -> list[nn.Module]:
    """The modules that ``net.forward_features`` calls one after the other, sequences taken apart.

    They are watched at work, and have to reproduce what the network makes of a random image.
    """
    weight = next(net.parameters())
    x = torch.rand(1, 3, _PROBE, _PROBE, generator=torch.Generator().manual_seed(0)).to(weight)
    called: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: called.append(module))
        for module in _parts(net)
    ]
    with _looked_at(net):
        try:
            expected = net.forward_features(x)
        finally:
            for hook in hooks:
                hook.remove()
        try:
            same = torch.allclose(nn.Sequential(*called)(x), expected)
        except (RuntimeError, TypeError, ValueError):  # the pieces do not even fit together
            same = False
    if not same:
        raise ValueError(
            f"{type(net).__name__} is not a chain of modules: calling {len(called)} of them one "
            "after the other does not give its forward_features; it needs a family of its own"
        )
    return called


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if type(child) is nn.Sequential:  # a subclass is a unit: it may do something else
            yield from _parts(child)
        else:
            yield child


@contextmanager
def _looked_at(net: nn.Module) -> Iterator[None]:
    """No gradients, and evaluation mode: looking at a network must not move its statistics."""
    training = {module: module.training for module in net.modules()}
    net.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in training.items():
            module.training = mode


def patch_weight(net: nn.Module) -> None:
    """Return None: there are no patches, so an inversion works on pixels."""


def _classifier(net: nn.Module, num_classes: int | None) -> Callable[[Tensor], Tensor]:
    if num_classes is not None:
        net.reset_classifier(num_classes)
    return partial(_classify, net)


def _classify(net: nn.Module, x: Tensor) -> Tensor:
    return net.forward_head(x)


# No reconstruction head: it predicts the pixels of each patch from the token of that patch.
HEADS = {"classification": _classifier}


def head_names(net: nn.Module) -> tuple[str, ...]:
    """Return the name of the module that a new head replaces: ``fc``, ``head.fc``, …"""
    classifier = net.get_classifier()
    return tuple(name for name, module in net.named_modules() if module is classifier)


def input_size(net: nn.Module) -> int:
    """Return the side of the images in pixels: as set, or what timm's weights were trained at."""
    return getattr(net, "img_size", None) or net.pretrained_cfg["input_size"][-1]


def match_resolution(net: nn.Module, state: dict[str, Tensor]) -> None:
    """Do nothing: convolutions and pooled heads have no size to match."""


def resize(net: nn.Module, img_size: int) -> None:
    """Set the side of the input; weights stay, feature maps grow or shrink.

    Raises
    ------
    ValueError
        If `img_size` is too small: a pooling has nothing left to pool.
    """
    if isinstance(img_size, bool) or not isinstance(img_size, int) or img_size <= 0:
        raise ValueError(f"img_size={img_size!r} must be a positive whole number")
    x = torch.zeros(1, 3, img_size, img_size).to(next(net.parameters()))
    with _looked_at(net):
        try:
            net.forward_features(x)
        except RuntimeError as error:
            raise ValueError(
                f"img_size={img_size!r} is too small for {type(net).__name__}: {error}"
            ) from error
    net.img_size = img_size
