"""The four-block convolutional network of few-shot learning, and how it is cut into stages.

Four times [3×3 convolution, batch norm, ReLU, 2×2 max pooling], flattened into a linear classifier
(Vinyals et al. 2016; the network of Goerttler & Obermayer 2022, with 64 filters).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from invlib.convnets import HEADS, head_names, input_size, patch_weight, resize, stages

__all__ = [
    "Conv4", "HEADS", "head_names", "input_size", "match_resolution", "patch_weight", "resize",
    "stages",
]  # fmt: skip

_SHRINKS = 2**4  # one pooling a block


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

    Speaks timm's protocol (``forward_features``, ``forward_head``, ``reset_classifier``). The
    classifier belongs to one image size. At another one the last map is averaged down, or repeated,
    to the grid the classifier knows; a new classifier is drawn for the size at hand.

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
        resize(self, img_size)
        self.reset_classifier(num_classes)

    def reset_classifier(self, num_classes: int) -> None:
        """Draw a new classifier, for the present image size."""
        self.num_classes = num_classes
        self.grid = self.img_size // _SHRINKS
        self.head = nn.Linear(self.width * self.grid**2, num_classes)

    def get_classifier(self) -> nn.Module:
        return self.head

    def forward_features(self, x: Tensor) -> Tensor:
        return self.blocks(x)  # (N, width, H/16, W/16)

    def forward_head(self, x: Tensor) -> Tensor:
        return self.head(F.adaptive_avg_pool2d(x, self.grid).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


def match_resolution(net: Conv4, state: dict[str, Tensor]) -> None:
    """Resize `net` to the image size that the classifier in `state` was made for."""
    if (weight := state.get("head.weight")) is not None:
        resize(net, _SHRINKS * max(1, round((weight.shape[1] / net.width) ** 0.5)))
