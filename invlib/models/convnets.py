"""Cut convolutional networks into stages: any net that runs its modules one after the other.

The code runs the network once and records which modules it calls. So a new class of timm network
needs only one line in `FAMILIES` of `invlib.models.staged`. Layers are

- the output of each *block*, a module with a convolution inside, such as a residual block, or in a
  network without blocks (VGG) of each convolution with the norm, ReLU and pooling that follow it;
- the output of a convolution after the last block (EfficientNet has one).

Layer 0 is the input of the first of these: the output of the stem (ResNet), or the normalised image
if there is no stem (VGG, the four-block net). A layer includes the pooling that follows it.

Only training steps normalise by the batch. Everywhere else batch norm is in evaluation mode and
uses its running statistics. In an untrained network these are mean 0 and variance 1, so batch norm
does nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from invlib.models.base import Family, check_size, frozen, normalise, remember_normalisation

__all__ = ["CHAIN", "CONV4", "Conv4"]

_PROBE = 64  # side in pixels of the image that is run through the network; it allows 5 poolings


def _enter(net: nn.Module, stem: nn.Module, x: Tensor) -> Tensor:
    return stem(normalise(net, x))


def _is_block(unit: nn.Module) -> bool:
    inside = (module for module in unit.modules() if module is not unit)
    return not isinstance(unit, nn.Conv2d) and any(isinstance(m, nn.Conv2d) for m in inside)


def _chain(net: nn.Module) -> list[nn.Module]:
    """Return the modules that ``net.forward_features`` calls, in order, with sequences opened.

    ValueError if they do not reproduce the network's output for a random image, or if the network
    does not take that image.
    """
    weight = next(net.parameters())
    x = torch.rand(1, 3, _PROBE, _PROBE, generator=torch.Generator().manual_seed(0)).to(weight)
    called: list[nn.Module] = []
    hooks = [
        module.register_forward_hook(lambda module, *_: called.append(module))
        for module in _parts(net)
    ]
    other = "it needs a family of its own"
    with frozen(net), torch.no_grad():
        try:
            expected = net.forward_features(x)
        except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(
                f"{type(net).__name__} is not a chain of modules that takes images of any size: "
                f"{_PROBE} px give {type(error).__name__}: {error}; {other}"
            ) from error
        finally:
            for hook in hooks:
                hook.remove()
        try:
            same = torch.allclose(nn.Sequential(*called)(x), expected)
        except (RuntimeError, TypeError, ValueError):  # the shapes do not fit
            same = False
    if not same:
        raise ValueError(
            f"{type(net).__name__} is not a chain of modules: calling {len(called)} of them one "
            f"after the other does not give its forward_features; {other}"
        )
    return called


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if type(child) is nn.Sequential:  # not a subclass, which may do something else
            yield from _parts(child)
        else:
            yield child


def _classifier(net: nn.Module, num_classes: int | None) -> Callable[[Tensor], Tensor]:
    if num_classes is not None:
        net.reset_classifier(num_classes)
    return partial(_classify, net)


def _classify(net: nn.Module, x: Tensor) -> Tensor:
    return net.forward_head(x)


class Chains(Family):
    """Networks that call their modules one after the other."""

    # There is no reconstruction head, because it predicts pixels from the tokens of patches.
    heads = {"classification": _classifier}

    def stages(self, net: nn.Module) -> dict[str, Callable[[Tensor], Tensor]]:
        """Return the stages by layer name; the first takes images (N, 3, H, W) in [0, 1].

        Raises
        ------
        ValueError
            If the network does anything between its modules, or has branches.
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
            else:  # norm, activation and pooling belong to the convolution before them
                (later[-1] if later else stem).append(unit)
        named = {"stem" if stem else "image": partial(_enter, net, nn.Sequential(*stem))}
        for k, members in enumerate(later, start=1):
            kind = "block" if _is_block(members[0]) else "conv"
            named[f"{kind} {k}"] = nn.Sequential(*members)
        return named

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
        """Set the side of the input in pixels. Weights stay, or timm resamples them.

        Raises
        ------
        ValueError
            If the network does not take images of `img_size`, such as too few for its poolings.
        """
        check_size(img_size)
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


CHAIN = Chains()


# ── The four-block network of few-shot learning ──────────────────────────────────────────────────
# Four times [3×3 convolution, batch norm, ReLU, 2×2 max pooling], then a linear classifier on the
# flattened map (Vinyals et al. 2016). Goerttler & Obermayer (2022) use it with 64 filters.

_SHRINKS = 2**4  # one pooling in each block


class ConvBlock(nn.Sequential):
    """3×3 convolution, batch norm, ReLU, 2×2 max pooling: (N, C, H, W) to (N, width, H/2, W/2)."""

    def __init__(self, channels: int, width: int):
        super().__init__(
            nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False),  # batch norm has one
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )


class Conv4(nn.Module):
    """Four blocks of `width` filters and a linear classifier on the flattened last map.

    It has timm's methods ``forward_features``, ``forward_head`` and ``reset_classifier``. A
    classifier fits one image size. For images of another size, the last map is averaged or repeated
    until it fits. A new classifier fits the present image size.

    Examples
    --------
    >>> import torch
    >>> net = Conv4(width=16, num_classes=5)
    >>> net.forward_features(torch.zeros(2, 3, 32, 32)).shape, net(torch.zeros(2, 3, 32, 32)).shape
    (torch.Size([2, 16, 2, 2]), torch.Size([2, 5]))
    """

    def __init__(self, *, width: int = 64, img_size: int = 32, num_classes: int = 10):
        super().__init__()
        self.width = width
        self.blocks = nn.Sequential(*(ConvBlock(width if k else 3, width) for k in range(4)))
        CONV4.resize(self, img_size)
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Draw a new classifier that fits the present image size."""
        self.num_classes = num_classes
        self.grid = self.img_size // _SHRINKS
        self.head = nn.Linear(self.width * self.grid**2, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward_features(self, x: Tensor) -> Tensor:
        return self.blocks(x)  # (N, width, H/16, W/16)

    def forward_head(self, x: Tensor) -> Tensor:
        return self.head(functional.adaptive_avg_pool2d(x, self.grid).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


class FourBlocks(Chains):
    """The family of `Conv4`, whose classifier fits one image size."""

    def match_resolution(self, net: Conv4, state: dict[str, Tensor]) -> None:
        """Resize `net` to the image size that the classifier in `state` fits."""
        if (weight := state.get("head.weight")) is not None and weight.ndim == 2:
            self.resize(net, _SHRINKS * max(1, round((weight.shape[1] / net.width) ** 0.5)))


CONV4 = FourBlocks()
