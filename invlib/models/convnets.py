"""Cut convolutional networks into stages: any net that runs its modules one after the other.

A new class of timm network needs only one line in `FAMILIES` of `invlib.models.staged`. Layers are

- the output of each *block*, a module with a convolution inside, such as a residual block, or in a
  network without blocks (VGG) of each convolution with the norm, ReLU and pooling that follow it;
- the output of a convolution after the last block (EfficientNet has one).

Layer 0 is the input of the first of these: the output of the stem (ResNet), or the normalised image
if there is no stem (VGG, the four-block net). A layer includes the pooling that follows it.

Only training steps normalise by the batch. Everywhere else batch norm uses its running statistics,
in an untrained network mean 0 and variance 1: it does nothing there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import takewhile

import torch
from torch import Tensor, nn
from torch.nn import functional

from invlib.models.base import Family, classifier, frozen, normalise, remember_normalisation

__all__ = ["CHAIN", "CONV4", "Conv4"]

_PROBE = 64  # side in pixels of the image that is run through the network; it allows 5 poolings
_HEAD = ("global_pool", "pre_logits", "head")  # where timm's ``forward_features`` ends


def _enter(net: nn.Module, stem: nn.Module, x: Tensor) -> Tensor:
    return stem(normalise(net, x))


def _is_block(unit: nn.Module) -> bool:
    inside = (module for module in unit.modules() if module is not unit)
    return not isinstance(unit, nn.Conv2d) and any(isinstance(m, nn.Conv2d) for m in inside)


def _chain(net: nn.Module) -> list[nn.Module]:
    """Return the modules that ``net.forward_features`` calls, in order, with sequences opened.

    ValueError if they do not reproduce the network's output for a random image.
    """
    trunk = takewhile(lambda child: child[0] not in _HEAD, net.named_children())
    units = list(_opened(module for _, module in trunk))
    x = torch.rand(1, 3, _PROBE, _PROBE, generator=torch.Generator().manual_seed(0))
    x = x.to(next(net.parameters()))
    with frozen(net), torch.no_grad():
        try:
            same = torch.allclose(nn.Sequential(*units)(x), net.forward_features(x))
        except (AssertionError, RuntimeError, TypeError, ValueError):  # the shapes do not fit
            same = False
    if not same:
        raise ValueError(
            f"{type(net).__name__} is not a chain of modules: calling {len(units)} of them one "
            "after the other does not give its forward_features; it needs a family of its own"
        )
    return units


def _opened(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    for module in modules:
        # a subclass of nn.Sequential may do something else
        yield from _opened(module) if type(module) is nn.Sequential else [module]


class Chains(Family):
    """Networks that call their modules one after the other."""

    # There is no reconstruction head, because it predicts pixels from the tokens of patches.
    heads = {"classification": classifier}

    def stages(self, net: nn.Module) -> dict[str, Callable[[Tensor], Tensor]]:
        """Return the stages by layer name; ValueError if the network is no chain of modules."""
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
    >>> Conv4(width=16, num_classes=5)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5])
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
